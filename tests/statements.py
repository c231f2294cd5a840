"""Watches what is asked of a database: statements, their plans, and how many rows become objects."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event

from adit_core.db.engine import Database

_SCAN = {
    "sqlite": re.compile(r"^SCAN (\w+)(?! USING)"),
    "postgresql": re.compile(r"Seq Scan on (\w+)"),
}


@dataclass
class Statements:
    """What was asked while somebody watched."""

    database: Database
    made: list[tuple[str, Any]] = field(default_factory=list)
    loaded: Counter[str] = field(default_factory=Counter)
    """How many rows of which class became objects."""

    def __len__(self) -> int:
        return len(self.made)

    def scanned(self) -> set[str]:
        """Return the tables that are read from one end to the other, because no index helps."""
        name = self.database.engine.dialect.name
        found: set[str] = set()
        with self.database.engine.connect() as connection:
            if name == "postgresql":  # it scans small tables anyway, unless it is told not to if it can
                connection.exec_driver_sql("SET enable_seqscan = off")
            explain = "EXPLAIN QUERY PLAN " if name == "sqlite" else "EXPLAIN "
            for statement, parameters in self.made:
                for row in connection.exec_driver_sql(explain + statement, parameters):
                    match = _SCAN[name].search(str(row[-1]))
                    found.update([match[1]] if match else [])
        return found


@contextmanager
def watched(database: Database, *classes: type) -> Iterator[Statements]:
    """Yield what is told of the queries of the block, and of the objects of these classes that it loads."""
    statements = Statements(database)

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            statements.made.append((statement, parameters))

    def count(target: object, _context: object) -> None:
        statements.loaded[type(target).__name__] += 1

    engines = _engines(database)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    for each in classes:
        event.listen(each, "load", count)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
        for each in classes:
            event.remove(each, "load", count)


def _engines(database: Database) -> list[Engine]:
    """Return those that have to be listened to; one that was made from the other tells what both do."""
    both = [database.engine, database.reading_engine]
    return both if database.engine.dialect.name == "sqlite" else both[:1]
