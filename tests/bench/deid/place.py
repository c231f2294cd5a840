"""Where an instance stands: its patient, study and series, its times, and what it may refer to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.bench.deid.people import Person, Staff
from tests.factories import dataset

Elements = dict[str, Any]
"""Data elements by keyword."""


@dataclass(frozen=True, slots=True)
class Referenced:
    """An instance of the same patient that others refer to."""

    sop_class_uid: UID
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str

    def item(self) -> Dataset:
        """Return a reference as the SOP Instance Reference macro has it (PS3.3 table 10-11)."""
        return dataset(
            ReferencedSOPClassUID=self.sop_class_uid, ReferencedSOPInstanceUID=self.sop_instance_uid
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The hierarchy above an instance. `referenced` holds at least one image of another series."""

    person: Person
    staff: tuple[Staff, ...]
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    frame_of_reference_uid: str
    series_number: int
    instance_number: int
    accession_number: str
    taken: datetime
    referenced: tuple[Referenced, ...]

    @property
    def date(self) -> str:
        """The day as a DA value."""
        return f"{self.taken:%Y%m%d}"

    @property
    def time(self) -> str:
        """The time as a TM value."""
        return f"{self.taken:%H%M%S}"

    @property
    def date_time(self) -> str:
        """Both as a DT value with a fraction and an offset from UTC."""
        return f"{self.taken:%Y%m%d%H%M%S}.250000+0100"


def items(*found: Dataset) -> Sequence:
    """Return a sequence of these items."""
    return Sequence(found)


def item(**elements: Any) -> Sequence:
    """Return a sequence of one item."""
    return Sequence([dataset(**elements)])


def code(value: str, scheme: str, meaning: str, **more: Any) -> Sequence:
    """Return a code sequence of one item (PS3.3 8)."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning, **more)
