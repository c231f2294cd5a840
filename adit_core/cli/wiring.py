"""What commands work with: the database, the scheduler, and the user in whose name they act."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from sqlalchemy.exc import DatabaseError

from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.services import local_access
from adit_core.services.database import configured_database
from adit_core.services.launching import Launcher
from adit_core.services.local_access import require_current
from adit_core.settings import get_settings


@contextmanager
def open_database() -> Iterator[Database]:
    """Yield the database of the settings.

    Raises:
        ActionNotPossible: Its tables are not those of this version.
        DatabaseUnavailable: It does not answer.
    """
    db = configured_database(get_settings())
    if _has_no_file(db):
        require_current(db)
    try:
        yield db
    except DatabaseError:
        # To ask before would take longer than most commands.
        require_current(db)
        raise
    finally:
        db.dispose()


def acting_user(ctx: typer.Context, db: Database) -> User:
    """Return the user in whose name the command acts; raises what `local_access.acting_user` raises."""
    return local_access.acting_user(db, ctx.find_root().obj)


def scheduler() -> Launcher:
    """Return the launcher. To import Prefect takes longer than most commands, so few ask for it."""
    from adit_core.services.launcher import PrefectLauncher  # noqa: PLC0415 - see above

    return PrefectLauncher()


def _has_no_file(db: Database) -> bool:
    """Tell whether the database was never made; to connect to it would make an empty one."""
    url = db.engine.url
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file()
