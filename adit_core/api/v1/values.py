"""Values that many routes take or give."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

T = TypeVar("T")

_LARGEST_ID = 2**31 - 1
_PRINTED = r"^[^\x00-\x1f\x7f]*$"

Id = Annotated[int, Field(ge=1, le=_LARGEST_ID, examples=[42])]
"""A number that ADIT gave to something."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=_PRINTED)]
"""One line, without control characters."""
JobName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=150, pattern=_PRINTED)]
ProjectName = Annotated[str, StringConstraints(max_length=64, pattern=f"^$|{_PRINTED}"), Field(examples=[""])]
Mark = Annotated[str, StringConstraints(max_length=64, pattern=r"^[ -\[\]-~]*$")]
"""Of a trial: ASCII without backslash."""
NodeName = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTED), Field(examples=["PACS"])
]
Uid = Annotated[
    str,
    StringConstraints(max_length=64, pattern=r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$"),
    Field(examples=["1.2.826.0.1.3680043.8.498.1"]),
]


class Given(BaseModel):
    """What is sent; a field that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(BaseModel):
    """What is answered, made of what a service returns."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: int | None = None
    """Give it as the parameter of that name to get what follows; null if nothing does."""


class Paging:
    """Which part of a list is wanted."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
        next: Annotated[  # noqa: A002 - the name in the URL
            int | None, Query(ge=1, le=_LARGEST_ID, description="`next` of the page before.", examples=[42])
        ] = None,
    ) -> None:
        self.limit = limit
        self.cursor = next

    def page(self, items: Sequence[T], cursor: Callable[[T], int]) -> Page[T]:
        """Return what was found as a page; a full one may be followed by others."""
        return Page(items=list(items), next=cursor(items[-1]) if len(items) == self.limit else None)


Paged = Annotated[Paging, Depends()]
