"""The migrations of the tables, run by Alembic; they are part of the package, so every install has them.

To add one after a change of the tables: ``python -m adit_core.db.migrations "Say what changes"``, then
read and correct the file that it wrote to `versions`. There is no way down: restore a backup instead.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Run what is missing, in the transaction of `connection`."""
    command.upgrade(_configured(connection), "head")


def draft(connection: Connection, message: str) -> None:
    """Write the migration that leads from the tables behind `connection` to those of the code."""
    command.revision(_configured(connection), message=message, autogenerate=True)


def is_current(connection: Connection) -> bool:
    """Tell whether all migrations have been run, and none that this version does not know."""
    scripts = ScriptDirectory.from_config(_configured(connection))
    context = MigrationContext.configure(connection)
    return set(context.get_current_heads()) == set(scripts.get_heads())


def _configured(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s")
    config.attributes["connection"] = connection
    return config
