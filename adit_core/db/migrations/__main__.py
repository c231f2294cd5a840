"""Draft a migration: ``python -m adit_core.db.migrations "Say what changes"``."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from adit_core.db import migrations
from adit_core.db.engine import Database


def main() -> None:
    """Compare the tables of the code with those that the migrations make, on a scratch database."""
    if len(sys.argv) != 2:
        sys.exit('usage: python -m adit_core.db.migrations "Say what changes"')
    with TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'scratch.sqlite'}")
        db.upgrade()
        with db.engine.begin() as connection:
            migrations.draft(connection, sys.argv[1])
        db.dispose()


if __name__ == "__main__":
    main()
