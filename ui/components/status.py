"""The words and colours of the status of jobs and tasks."""

from typing import Literal

from adit_core.db import JobStatus, TaskStatus
from ui.components.table import Badge, Tone

Color = Literal["gray", "blue", "green", "orange", "red"]

_TONES = {
    "UNVERIFIED": Tone.NEUTRAL,
    "PENDING": Tone.NEUTRAL,
    "IN_PROGRESS": Tone.ACTIVE,
    "CANCELING": Tone.WARNING,
    "CANCELED": Tone.NEUTRAL,
    "SUCCESS": Tone.GOOD,
    "WARNING": Tone.WARNING,
    "FAILURE": Tone.BAD,
}
_COLORS: dict[Tone, Color] = {
    Tone.NEUTRAL: "gray",
    Tone.ACTIVE: "blue",
    Tone.GOOD: "green",
    Tone.WARNING: "orange",
    Tone.BAD: "red",
}


def status_word(status: JobStatus | TaskStatus) -> str:
    """Return the status as people write it, such as ``In progress``."""
    return status.value.replace("_", " ").capitalize()


def status_tone(status: JobStatus | TaskStatus) -> Tone:
    """Return what the colour of the status says."""
    return _TONES[status.value]


def status_color(status: JobStatus | TaskStatus) -> Color:
    """Return what Streamlit calls the colour of the status."""
    return _COLORS[status_tone(status)]


def status_badge(status: JobStatus | TaskStatus) -> Badge:
    """Return the status as a cell of a table."""
    return Badge(status_word(status), status_tone(status))
