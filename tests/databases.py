"""Databases of SQLite with all tables: copied, since that is quicker than to make the tables again."""

import tempfile
from functools import cache
from pathlib import Path

from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring


def new_database(path: Path, keyring: Keyring = Keyring()) -> Database:  # noqa: B008 - has no keys, and gets none
    """Return a database with all tables and no rows, in a new file."""
    path.write_bytes(_file_with_tables())
    return Database(f"sqlite:///{path}", keyring)


@cache
def _file_with_tables() -> bytes:
    with tempfile.TemporaryDirectory(prefix="adit-tables-") as folder:
        path = Path(folder) / "adit.sqlite"
        db = Database(f"sqlite:///{path}")
        db.upgrade()
        db.dispose()
        return path.read_bytes()
