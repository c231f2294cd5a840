"""For whom and as whom: the project that data are de-identified for, and the patient they are about."""

import re
from dataclasses import dataclass, field

from adit_core.deid.profile import DeidProfile
from adit_core.errors import InputProblem, refuse

_SHORTEST_SECRET = 16
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+#@()-]{0,62}[A-Za-z0-9.)]|[A-Za-z0-9]")
_LONGEST_VALUE = 64
"""Characters in a Long String (PS3.5 6.2)."""


@dataclass(frozen=True, slots=True)
class Project:
    """What de-identified data are for.

    ``secret`` keys everything that is derived from original values (UIDs, shifts of dates); whoever
    has it can tell which original a known patient or UID belongs to. Raises InvalidInput if it is
    shorter than 16 bytes.
    """

    secret: bytes = field(repr=False)
    profile: DeidProfile
    trial_protocol_id: str = ""
    trial_protocol_name: str = ""

    def __post_init__(self) -> None:
        if len(self.secret) < _SHORTEST_SECRET:
            refuse(InputProblem(f"must have at least {_SHORTEST_SECRET} bytes", field="secret"))
        for name in ("trial_protocol_id", "trial_protocol_name"):
            value: str = getattr(self, name)
            if not is_fit_for_mark(value):
                refuse(InputProblem("must be at most 64 ASCII characters without backslash", field=name))


def is_fit_for_mark(value: str) -> bool:
    """Tell whether a value can be a mark of a trial in whatever character set an instance has."""
    return len(value) <= _LONGEST_VALUE and value.isascii() and value.isprintable() and "\\" not in value


@dataclass(frozen=True, slots=True)
class Subject:
    """The original patient and what is to stand for them.

    ``pseudonym`` becomes Patient ID and Patient's Name, in whatever character set an instance has.
    Raises InvalidInput if it is not fit for that.
    """

    patient_id: str = field(repr=False)
    pseudonym: str

    def __post_init__(self) -> None:
        if not _PSEUDONYM.fullmatch(self.pseudonym):
            refuse(
                InputProblem(
                    "must be 1 to 64 ASCII letters, digits or any of . _ + # @ ( ) - and spaces,"
                    " beginning with a letter or digit",
                    field="pseudonym",
                )
            )
