"""What searches and orders can be told, by name."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypedDict


class PatientKeys(TypedDict, total=False):
    """Keys for patients. Texts may have the wildcards * and ?."""

    patient_id: str
    patient_name: str
    birth_date_from: date | str
    birth_date_until: date | str
    limit: int
    """End the query after so many results; 1000 by default."""
    max_age: int
    """Do not ask the archive, but search what it told at most so many seconds ago."""


class StudyKeys(PatientKeys, total=False):
    """Keys for studies. Texts may have the wildcards * and ?."""

    study_instance_uid: str
    accession_number: str
    study_date_from: date | str
    study_date_until: date | str
    study_description: str
    modalities: Sequence[str]
    """Studies that have any of them."""


class SeriesKeys(TypedDict, total=False):
    """Keys for the series of a study."""

    series_instance_uid: str
    modality: str
    series_description: str
    series_number: int
    limit: int
    max_age: int
    """As of patients."""


class JobOptions(TypedDict, total=False):
    """What every kind of job can be told."""

    name: str
    urgent: bool
    """Go before other jobs; needs the permission to process urgently."""


class ProjectSettings(TypedDict, total=False):
    """What is said of a project; what is left out stays as it is, or is as usual."""

    profile: str | Mapping[str, Any]
    """The name of a profile that ADIT brings, or a profile."""
    pseudonyms: str
    """Where pseudonyms come from that nobody gives: keyed, random or given."""
    trial_protocol_id: str
    trial_protocol_name: str


class _DeliveryOptions(JobOptions, total=False):
    """What every kind of transfer can be told."""

    project: str
    """The name of the project that the studies are pseudonymized for."""
    excluded_modalities: Sequence[str]
    """Series of these are left out."""
    as_nifti: bool
    """Have a folder keep NIfTI volumes instead of DICOM files."""
    archive_password: str
    """Have all studies put into one encrypted 7z archive in a folder, which `Job.archive_file` names."""
    trial_protocol_id: str
    """Written into the data sets instead of the project's trial protocol."""
    trial_protocol_name: str


class MassOptions(_DeliveryOptions, total=False):
    """What mass transfers can be told."""

    direct_move: bool
    """Whether the source may send straight to the destination, where both nodes allow it."""


class UploadOptions(_DeliveryOptions, total=False):
    """What transfers of uploads can be told."""


class TransferOptions(MassOptions, UploadOptions, total=False):
    """What other transfers can be told."""
