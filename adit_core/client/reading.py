"""Reading what the server tells into values. Fields that a newer server tells besides are left out."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Table(list[T]):
    """A list of values that can become a data frame."""

    def to_pandas(self) -> "pd.DataFrame":
        """Return the values as a data frame, one row each. Identifiers stay text.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd  # noqa: PLC0415 - an optional dependency

        return pd.DataFrame([asdict(value) for value in self])  # pyright: ignore[reportArgumentType]


def made(kind: type[T], told: Mapping[str, Any]) -> T:
    """Return what was told as a value of `kind`, a dataclass whose fields say how they are read."""
    known = fields(kind)  # pyright: ignore[reportArgumentType]
    return kind(**{each.name: _read(each.metadata, told[each.name]) for each in known if each.name in told})


def made_all(kind: type[T], told: list[Mapping[str, Any]]) -> Table[T]:
    """Return all that was told as values of `kind`."""
    return Table(made(kind, each) for each in told)


def reader(read: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the arguments of a field whose value is read by `read`, unless it is None."""
    return {"metadata": {"read": read}}


def table_of(kind: type[Any]) -> dict[str, Any]:
    """Return the arguments of a field that has a table of values of `kind`."""
    return reader(lambda told: made_all(kind, told))


DAY = reader(date.fromisoformat)
MOMENT = reader(datetime.fromisoformat)
TUPLE = reader(tuple)


def _read(metadata: Mapping[Any, Any], value: Any) -> Any:
    return value if value is None or "read" not in metadata else metadata["read"](value)
