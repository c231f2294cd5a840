"""Searching archives, or what they told before."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from adit_core.api.v1.callers import Reader, Wired
from adit_core.api.v1.values import Given, NodeName, Shown, Text, Uid
from adit_core.dicom.query import (
    DateRange,
    InstanceResult,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.services import search
from adit_core.services.remembered import remembered_patients, remembered_series, remembered_studies

_LONGEST_AGE = 10 * 366 * 24 * 3600

Code = Annotated[str, StringConstraints(strip_whitespace=True, pattern="^[A-Za-z0-9_ ]{1,16}$")]
MaxAge = Annotated[int, Field(ge=1, le=_LONGEST_AGE, examples=[86400])]

router = APIRouter(prefix="/search", tags=["search"])


class Search(Given):
    """What every search is told."""

    node: NodeName
    """The archive."""
    limit: int = Field(default=search.MOST_RESULTS, ge=1, le=10_000)
    """End the query after so many results; if there are as many, there may be more."""


class _OfPatient(Search):
    """Keys that tell of patients."""

    patient_id: Text = ""
    patient_name: Text = Field(default="", examples=["Doe^J*"])
    birth_date_from: date | None = None
    birth_date_until: date | None = None


class PatientSearch(_OfPatient):
    """Keys for patients; empty ones match all. Texts may have the wildcards * and ?."""

    def query(self) -> PatientQuery:
        """Return what is asked."""
        return PatientQuery(
            self.patient_id, self.patient_name, DateRange(self.birth_date_from, self.birth_date_until)
        )


class StudySearch(_OfPatient):
    """Keys for studies; empty ones match all. Texts may have the wildcards * and ?."""

    study_instance_uid: Uid | None = None
    accession_number: Text = ""
    study_date_from: date | None = Field(default=None, examples=["2024-01-01"])
    study_date_until: date | None = Field(default=None, examples=["2024-12-31"])
    study_description: Text = ""
    modalities: list[Code] = Field(default=[], max_length=50, examples=[["CT", "MR"]])
    """Studies that have any of them."""

    def query(self) -> StudyQuery:
        """Return what is asked."""
        return StudyQuery(
            patient_id=self.patient_id,
            patient_name=self.patient_name,
            patient_birth_date=DateRange(self.birth_date_from, self.birth_date_until),
            study_instance_uid=self.study_instance_uid or "",
            accession_number=self.accession_number,
            study_date=DateRange(self.study_date_from, self.study_date_until),
            study_description=self.study_description,
            modalities=frozenset(self.modalities),
        )


class SeriesSearch(Search):
    """Keys for the series of one study; empty ones match all."""

    study_instance_uid: Uid
    patient_id: Text = ""
    """Some archives need it."""
    series_instance_uid: Uid | None = None
    modality: Code | None = None
    series_description: Text = ""
    series_number: int | None = Field(default=None, ge=-(2**31), le=2**31 - 1)

    def query(self) -> SeriesQuery:
        """Return what is asked."""
        return SeriesQuery(
            study=StudyReference(self.study_instance_uid, self.patient_id),
            series_instance_uid=self.series_instance_uid or "",
            modality=self.modality or "",
            series_description=self.series_description,
            series_number=self.series_number,
        )


class InstanceSearch(Search):
    """The series whose instances are wanted."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    patient_id: Text = ""
    """Some archives need it."""

    def series(self) -> SeriesReference:
        """Return the series."""
        study = StudyReference(self.study_instance_uid, self.patient_id)
        return SeriesReference(study, self.series_instance_uid)


class RememberedPatientSearch(PatientSearch):
    """Keys for patients, and how old the archive's answer may be."""

    max_age: MaxAge
    """In seconds."""


class RememberedStudySearch(StudySearch):
    """Keys for studies, and how old the archive's answer may be."""

    max_age: MaxAge
    """In seconds."""


class RememberedSeriesSearch(SeriesSearch):
    """Keys for series, and how old the archive's answer may be."""

    max_age: MaxAge
    """In seconds."""


class Patient(Shown):
    """A patient that an archive knows."""

    patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str


class Study(Patient):
    """A study that an archive knows. Counts are null where it does not tell them."""

    study_instance_uid: str
    accession_number: str
    study_date: date | None
    study_time: str
    study_description: str
    modalities: list[str]
    number_of_series: int | None
    number_of_instances: int | None
    institution_name: str


class Series(Shown):
    """A series that an archive knows."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    series_number: int | None
    series_description: str
    number_of_instances: int | None
    institution_name: str


class Instance(Shown):
    """An instance that an archive knows."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    instance_number: int | None


@router.post("/patients")
def find_patients(wiring: Wired, caller: Reader, wanted: PatientSearch) -> list[Patient]:
    """Ask an archive for patients."""
    found = search.find_patients(
        wiring.database,
        caller.user,
        wanted.node,
        wanted.query(),
        limit=wanted.limit,
        address=caller.address,
    )
    return [_patient(result) for result in found]


@router.post("/studies")
def find_studies(wiring: Wired, caller: Reader, wanted: StudySearch) -> list[Study]:
    """Ask an archive for studies."""
    found = search.find_studies(
        wiring.database,
        caller.user,
        wanted.node,
        wanted.query(),
        limit=wanted.limit,
        address=caller.address,
    )
    return [_study(result) for result in found]


@router.post("/series")
def find_series(wiring: Wired, caller: Reader, wanted: SeriesSearch) -> list[Series]:
    """Ask an archive for the series of a study."""
    found = search.find_series(
        wiring.database,
        caller.user,
        wanted.node,
        wanted.query(),
        limit=wanted.limit,
        address=caller.address,
    )
    return [_series(result) for result in found]


@router.post("/instances")
def find_instances(wiring: Wired, caller: Reader, wanted: InstanceSearch) -> list[Instance]:
    """Ask an archive for the instances of a series."""
    found = search.find_instances(
        wiring.database,
        caller.user,
        wanted.node,
        wanted.series(),
        limit=wanted.limit,
        address=caller.address,
    )
    return [_instance(result) for result in found]


@router.post("/remembered/patients")
def recall_patients(wiring: Wired, caller: Reader, wanted: RememberedPatientSearch) -> list[Patient]:
    """Search the patients of studies that an archive told of before, without asking it."""
    found = remembered_patients(
        wiring.database,
        caller.user,
        wanted.node,
        wanted.query(),
        max_age=timedelta(seconds=wanted.max_age),
        limit=wanted.limit,
        address=caller.address,
    )
    return [_patient(result) for result in found]


@router.post("/remembered/studies")
def recall_studies(wiring: Wired, caller: Reader, wanted: RememberedStudySearch) -> list[Study]:
    """Search the studies that an archive told of before, without asking it; the newest first."""
    found = remembered_studies(
        wiring.database,
        caller.user,
        wanted.node,
        wanted.query(),
        max_age=timedelta(seconds=wanted.max_age),
        limit=wanted.limit,
        address=caller.address,
    )
    return [_study(result) for result in found]


@router.post("/remembered/series")
def recall_series(wiring: Wired, caller: Reader, wanted: RememberedSeriesSearch) -> list[Series]:
    """Search the series of a study that an archive told of before, without asking it."""
    found = remembered_series(
        wiring.database,
        caller.user,
        wanted.node,
        wanted.query(),
        max_age=timedelta(seconds=wanted.max_age),
        limit=wanted.limit,
        address=caller.address,
    )
    return [_series(result) for result in found]


def _patient(result: PatientResult) -> Patient:
    return Patient.model_validate(result)


def _study(result: StudyResult) -> Study:
    return Study(
        patient_id=result.reference.patient_id,
        patient_name=result.patient_name,
        patient_birth_date=result.patient_birth_date,
        patient_sex=result.patient_sex,
        study_instance_uid=result.reference.study_instance_uid,
        accession_number=result.accession_number,
        study_date=result.study_date,
        study_time=result.study_time,
        study_description=result.study_description,
        modalities=sorted(result.modalities),
        number_of_series=result.number_of_series,
        number_of_instances=result.number_of_instances,
        institution_name=result.institution_name,
    )


def _series(result: SeriesResult) -> Series:
    return Series(
        study_instance_uid=result.reference.study.study_instance_uid,
        series_instance_uid=result.reference.series_instance_uid,
        modality=result.modality,
        series_number=result.series_number,
        series_description=result.series_description,
        number_of_instances=result.number_of_instances,
        institution_name=result.institution_name,
    )


def _instance(result: InstanceResult) -> Instance:
    series = result.reference.series
    return Instance(
        study_instance_uid=series.study.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        sop_instance_uid=result.reference.sop_instance_uid,
        sop_class_uid=result.sop_class_uid,
        instance_number=result.instance_number,
    )
