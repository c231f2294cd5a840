"""`adit db …`: the database."""

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.services.database import configured_database
from adit_core.settings import get_settings
from adit_core.terminal import cell

app = new_app("The database: PostgreSQL, or a file on this machine.")


@app.callback()
def group() -> None:
    """Make `upgrade` a command of a group, although it is the only one."""


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Create the tables, or bring them up to date. It can be run again at any time."""
    db = configured_database(get_settings())
    db.upgrade()
    present(
        {"database": db.engine.url.render_as_string(hide_password=True)},
        lambda upgraded: cell(f"The tables are up to date in {upgraded['database']}."),
        as_json=as_json,
    )
    db.dispose()
