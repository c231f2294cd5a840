"""Descriptions of synthetic studies, from which all their UIDs follow.

The same description gives the same UIDs on every machine, so that a batch file in the repository
can name studies that are written only when the demo starts.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "demo.adit.invalid")


class Form(StrEnum):
    """What the instances of a series are (PS3.3 A)."""

    CT = "CT"
    MR = "MR"
    CR = "CR"
    US_CINE = "US cine"
    SECONDARY_CAPTURE = "colour secondary capture"
    REPORT = "structured report"
    ENHANCED_CT = "enhanced multi-frame CT"

    @property
    def modality(self) -> str:
        """The value of Modality (PS3.3 C.7.3.1.1.1)."""
        return _CLASSES[self][0]

    @property
    def sop_class_uid(self) -> str:
        """The SOP class of the instances."""
        return _CLASSES[self][1]


_CLASSES = {
    Form.CT: ("CT", CTImageStorage),
    Form.MR: ("MR", MRImageStorage),
    Form.CR: ("CR", ComputedRadiographyImageStorage),
    Form.US_CINE: ("US", UltrasoundMultiFrameImageStorage),
    Form.SECONDARY_CAPTURE: ("OT", SecondaryCaptureImageStorage),
    Form.REPORT: ("SR", BasicTextSRStorage),
    Form.ENHANCED_CT: ("CT", EnhancedCTImageStorage),
}


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """A series: so many instances of one form, each with so many frames of rows by columns pixels.

    ``private`` adds a block of private data elements. Compressed transfer syntaxes fit forms with
    one frame.
    """

    form: Form
    instances: int = 1
    description: str = ""
    rows: int = 512
    columns: int = 512
    frames: int = 1
    transfer_syntax_uid: str = ExplicitVRLittleEndian
    private: bool = False


@dataclass(frozen=True, slots=True)
class StudySpec:
    """A study of a fictional person. Dates are DA values, ``study_time`` is a TM value.

    ``character_set`` is the Specific Character Set that the texts are encoded in, empty for the
    default repertoire. ``key`` tells studies apart that have the same accession number.
    """

    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_date: str
    study_time: str
    accession_number: str
    description: str
    series: tuple[SeriesSpec, ...]
    character_set: str = ""
    key: str = "demo"

    @property
    def study_instance_uid(self) -> str:
        """The UID of the study."""
        return self._uid("study")

    @property
    def frame_of_reference_uid(self) -> str:
        """The UID of the frame of reference that all series share."""
        return self._uid("frame of reference")

    @property
    def instances(self) -> int:
        """The number of instances in all series."""
        return sum(series.instances for series in self.series)

    def series_instance_uid(self, series: int) -> str:
        """Return the UID of the series with this index."""
        return self._uid("series", series)

    def sop_instance_uid(self, series: int, instance: int) -> str:
        """Return the UID of an instance by the indexes of its series and within that."""
        return self._uid("instance", series, instance)

    def sop_instance_uids(self) -> frozenset[str]:
        """Return the UIDs of all instances."""
        return frozenset(
            self.sop_instance_uid(index, instance)
            for index, series in enumerate(self.series)
            for instance in range(series.instances)
        )

    def _uid(self, *path: str | int) -> str:
        """Derive a UID from a UUID (PS3.5 B.2)."""
        name = "/".join(str(part) for part in (self.key, self.patient_id, self.accession_number, *path))
        return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"
