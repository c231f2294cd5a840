"""What an import of ADIT's first edition does: what becomes of what, and what is not taken over."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from adit_core.services.adit_dump import DumpProblem


class Kind(StrEnum):
    """What is taken over."""

    GROUP = "group"
    USER = "user"
    NODE = "node"
    MEMBERSHIP = "membership"
    ACCESS = "access"


class Outcome(StrEnum):
    """What becomes of something."""

    NEW = "new"
    UPDATED = "updated"
    THERE = "there already"


@dataclass(frozen=True, slots=True)
class ImportWish:
    """How a dump is to be taken over."""

    update: bool = False
    """Whether what is there already is brought to what the dump says."""
    calling_ae_title: str = "ADIT"
    """What we call ourselves to servers; dumps do not say."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Something that was taken over, or is there."""

    kind: Kind
    name: str
    outcome: Outcome
    remark: str = ""


@dataclass(slots=True)
class ImportReport:
    """What an import does, or would do."""

    items: list[Imported] = field(default_factory=list)
    problems: list[DumpProblem] = field(default_factory=list)
    """What was not taken over, and why."""
    ignored: dict[str, int] = field(default_factory=dict)
    """How many entries of the dump are of kinds that are not taken over."""

    def count(self, outcome: Outcome) -> dict[Kind, int]:
        """Return how many of each kind have an outcome."""
        return dict(Counter(item.kind for item in self.items if item.outcome is outcome))
