"""What makes a run of thousands of tests in one process quicker, and changes nothing that they test.

Each test has a database of its own, and so an engine, which would compile every statement anew; and the
garbage collector would look again and again at what lives as long as the run. The many small files that
tests and their servers write, and wait for, would take most of the time on some disks.
"""

import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from starlette.routing import BaseRoute, Mount

_STATEMENTS = 5000
_GARBAGE_THRESHOLDS = (50_000, 20, 50)
_MEMORY = Path("/dev/shm")
_FILES_SIZE = 6 << 30
"""How many bytes all files of a run may take, and more."""

_shared_routes: list[BaseRoute] = []


def share_compiled_sql() -> None:
    """Have all engines of one kind of database share the statements that they have compiled."""
    shared: LRUCache[Any, Any] = LRUCache(_STATEMENTS)

    def share(connection: Connection) -> None:
        connection.engine._compiled_cache = shared

    event.listen(Engine, "engine_connect", share)
    for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):  # a part of the keys
        dialect.__eq__ = _is_same_kind
        dialect.__hash__ = _hash_of_kind


def collect_garbage_rarely() -> None:
    """Leave alone what is there now, and look at the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


def share_routes(app: FastAPI) -> None:
    """Have all applications of one kind share the routes of the API that are mounted in them.

    FastAPI takes the signatures of all of them apart when an application gets its first request.
    """
    (api,) = (route.app for route in app.routes if isinstance(route, Mount) and route.path == "/api")
    assert isinstance(api, FastAPI)
    if not _shared_routes:
        _shared_routes.extend(api.router.routes)
    api.router.routes[:] = _shared_routes


def keep_files_in_memory() -> None:
    """Have temporary files, also of the processes that tests start, in a file system in memory that has room.

    Where the environment says where they shall be, they are there.
    """
    if "TMPDIR" in os.environ or not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _FILES_SIZE:
        return
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # it is asked for anew


def _is_same_kind(one: object, other: object) -> bool:
    return type(one) is type(other)


def _hash_of_kind(self: object) -> int:
    return hash(type(self))
