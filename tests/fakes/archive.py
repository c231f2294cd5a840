"""An archive in memory that passes the contract of real ones, and fails on demand."""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Self

from pydicom import Dataset, dcmread

from adit_core.dicom.dicom_json import JsonDataSet
from adit_core.dicom.json_encoding import json_of_texts
from adit_core.dicom.part10 import encode_file_header, read_file_instance
from adit_core.dicom.ports import (
    Delivery,
    ExpectedStudy,
    IncomingInstance,
    Inlet,
    InstanceHeader,
    RetrieveRequest,
)
from adit_core.dicom.query import (
    AttributeQuery,
    InstanceResult,
    Level,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import ConnectionFailed, StudyNotFound
from tests.factories import dataset_hash

_PIECE = 1 << 16


@dataclass
class Faults:
    """What a fake archive does wrong. All of it is off at first and may be changed at any time."""

    withholds: set[str] = field(default_factory=set)
    """Instances that are not handed out, although the retrieval ends as if they were."""
    sends_twice: set[str] = field(default_factory=set)
    sends_unasked: set[str] = field(default_factory=set)
    """Instances that are handed out in addition to what was asked for."""
    breaks_after: int | None = None
    """The connection breaks in the middle of the instance after so many, once."""
    breaks_search_after: int | None = None
    """The connection breaks after so many instances have been found, once."""
    is_gone: bool = False
    """Whoever brings something finds the connection broken."""
    refuses: set[str] = field(default_factory=set)
    """Instances that are not taken."""
    never_takes: dict[str, str] = field(default_factory=dict)
    """Series that are said beforehand not to be taken, each with the reason."""
    is_full: bool = False
    """No instance is taken, which may change."""
    forgets: set[str] = field(default_factory=set)
    """Instances that are taken and then lost."""
    hides: int = 0
    """So many questions for what is held are answered as if nothing had come yet."""
    stalls: bool = False
    """A retrieval waits before its first instance until it is let go on."""
    go_on: Event = field(default_factory=Event)
    """Ends all stalling when it is set."""
    stalled: Event = field(default_factory=Event)
    """Is set as soon as a retrieval waits."""


@dataclass(frozen=True)
class Held:
    """An instance as an archive keeps it: its encoded data set, and what is known of it."""

    header: InstanceHeader
    data_set: bytes
    patient: PatientResult
    study: StudyResult
    series: SeriesResult
    instance: InstanceResult

    @property
    def hash(self) -> str:
        return dataset_hash(BytesIO(encode_file_header(self.header) + self.data_set))


class FakeArchive:
    """Keeps instances by their SOP Instance UID."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.held: dict[str, Held] = {}
        self.retrievals: list[RetrieveRequest] = []
        """What was asked for, in order."""
        self.expected: list[ExpectedStudy] = []
        """What was announced, in order."""
        self.delivered: list[str] = []
        """The SOP Instance UIDs of everything that was ever sent here, in order."""

    def load(self, files: Iterable[Path]) -> None:
        """Store Part 10 files."""
        for path in files:
            file = read_file_instance(path)
            self.keep(file.header, b"".join(file.fragments()))

    def keep(self, header: InstanceHeader, data_set: bytes) -> None:
        """Store an encoded data set."""
        self.held[header.sop_instance_uid] = _held(header, data_set)

    def contents(self) -> dict[str, str]:
        """Return the data set hash of each instance by its SOP Instance UID."""
        return {uid: held.hash for uid, held in self.held.items()}

    def searcher(self) -> "FakeSearcher":
        return FakeSearcher(self)

    def source(self) -> "FakeSource":
        return FakeSource(self)

    def destination(self) -> "FakeDestination":
        return FakeDestination(self)


class _Closable:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        pass


class FakeSearcher(_Closable):
    """Implements Searcher."""

    def __init__(self, archive: FakeArchive) -> None:
        self._archive = archive

    def rest(self) -> None:
        pass

    def find_patients(self, query: PatientQuery) -> Iterator[PatientResult]:
        found = dict.fromkeys(held.patient for held in self._archive.held.values())
        yield from filter(query.matches, found)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
        studies: dict[StudyReference, list[Held]] = defaultdict(list)
        for held in self._archive.held.values():
            studies[held.study.reference].append(held)
        yield from filter(query.matches, map(_summary, studies.values()))

    def find_series(self, query: SeriesQuery) -> Iterator[SeriesResult]:
        found: dict[str, list[Held]] = defaultdict(list)
        for held in self._archive.held.values():
            if held.study.reference.study_instance_uid == query.study.study_instance_uid:
                found[held.series.reference.series_instance_uid].append(held)
        for instances in found.values():
            series = _with_number_of_instances(instances)
            if query.matches(series):
                yield series

    def find_instances(
        self,
        series: SeriesReference,
        *,
        uids_only: bool = False,  # noqa: ARG002
    ) -> Iterator[InstanceResult]:
        faults = self._archive.faults
        found = [
            held.instance
            for held in self._archive.held.values()
            if held.series.reference.series_instance_uid == series.series_instance_uid
        ]
        for number, instance in enumerate(found):
            if number == faults.breaks_search_after:
                faults.breaks_search_after = None
                raise ConnectionFailed("the fake broke the connection")
            yield instance

    def find_data_sets(self, query: AttributeQuery) -> Iterator[JsonDataSet]:
        """Yield the UIDs of what it has at the level, whether it matches or not."""
        study, series = query.study.study_instance_uid, query.series_instance_uid
        found = {
            tuple(uids[: _DEPTHS[query.level]]): None
            for held in self._archive.held.values()
            for uids in [_uids_of(held)]
            if query.level is Level.STUDY or uids[0] == study
            if query.level is not Level.INSTANCE or uids[1] == series
        }
        for uids in found:
            yield json_of_texts(dict(zip(_UID_KEYWORDS, uids, strict=False)))


_UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_DEPTHS = {Level.STUDY: 1, Level.SERIES: 2, Level.INSTANCE: 3}


def _uids_of(held: Held) -> tuple[str, str, str]:
    instance = held.instance.reference
    series = instance.series
    return series.study.study_instance_uid, series.series_instance_uid, instance.sop_instance_uid


class FakeSource(_Closable):
    """Implements Source."""

    def __init__(self, archive: FakeArchive) -> None:
        self._archive = archive

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        self._archive.retrievals.append(request)
        faults = self._archive.faults
        if faults.stalls:
            faults.stalled.set()
            faults.go_on.wait()
        wanted = [self._archive.held[uid] for uid in self._wanted(request) if uid in self._archive.held]
        if not wanted and request.parts:
            raise StudyNotFound(f"the fake has nothing of {request.study.study_instance_uid}")
        for number, held in enumerate(wanted):
            if number == faults.breaks_after:
                faults.breaks_after = None
                inlet.begin(held.header)
                inlet.write(held.data_set[: len(held.data_set) // 2])
                raise ConnectionFailed("the fake broke the connection")
            _hand_out(held, inlet)

    def _wanted(self, request: RetrieveRequest) -> Iterator[str]:
        faults = self._archive.faults
        for part in request.parts:
            for instance in part.instances:
                uid = instance.reference.sop_instance_uid
                if uid in faults.withholds:
                    continue
                yield uid
                if uid in faults.sends_twice:
                    yield uid
        yield from sorted(faults.sends_unasked)


def _hand_out(held: Held, inlet: Inlet) -> None:
    inlet.begin(held.header)
    for start in range(0, len(held.data_set), _PIECE):
        inlet.write(held.data_set[start : start + _PIECE])
    inlet.end()


class FakeDestination(_Closable):
    """Implements Destination."""

    def __init__(self, archive: FakeArchive) -> None:
        self._archive = archive

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        self._archive.expected.append(expected)
        known = {entry.series.reference.series_instance_uid for entry in expected.series}
        return {uid: reason for uid, reason in self._archive.faults.never_takes.items() if uid in known}

    def held(
        self,
        study: StudyReference,  # noqa: ARG002 - each series names its study
        series: Sequence[SeriesReference],
    ) -> frozenset[str]:
        if self._archive.faults.hides:
            self._archive.faults.hides -= 1
            return frozenset()
        wanted = {reference.series_instance_uid for reference in series}
        return frozenset(
            uid
            for uid, held in self._archive.held.items()
            if held.series.reference.series_instance_uid in wanted
        )

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        faults = self._archive.faults
        for instance in instances:
            uid = instance.header.sop_instance_uid
            data_set = b"".join(instance.fragments())
            if faults.is_gone:
                raise ConnectionFailed("the fake is gone")
            self._archive.delivered.append(uid)
            if faults.is_full:
                yield Delivery(uid, failure="out of resources", retryable=True)
            elif uid in faults.refuses:
                yield Delivery(uid, failure="refused")
            else:
                if uid not in faults.forgets:
                    self._archive.keep(instance.header, data_set)
                yield Delivery(uid)


def _held(header: InstanceHeader, data_set: bytes) -> Held:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts that do not fit their character set are welcome
        return _read(header, data_set)


def _read(header: InstanceHeader, data_set: bytes) -> Held:
    read = dcmread(BytesIO(encode_file_header(header) + data_set), stop_before_pixels=True)
    patient = PatientResult(
        patient_id=read.get("PatientID", ""),
        patient_name=str(read.get("PatientName", "")),
        patient_birth_date=_date(read, "PatientBirthDate"),
        patient_sex=read.get("PatientSex", ""),
    )
    study = StudyReference(read.StudyInstanceUID, patient.patient_id)
    series = SeriesReference(study, read.SeriesInstanceUID)
    return Held(
        header,
        data_set,
        patient,
        StudyResult(
            reference=study,
            patient_name=patient.patient_name,
            patient_birth_date=patient.patient_birth_date,
            patient_sex=patient.patient_sex,
            accession_number=read.get("AccessionNumber", ""),
            study_date=_date(read, "StudyDate"),
            study_time=read.get("StudyTime", ""),
            study_description=read.get("StudyDescription", ""),
        ),
        SeriesResult(
            reference=series,
            modality=read.get("Modality", ""),
            series_number=read.get("SeriesNumber"),
            series_description=read.get("SeriesDescription", ""),
        ),
        InstanceResult(
            InstanceReference(series, header.sop_instance_uid),
            header.sop_class_uid,
            read.get("InstanceNumber"),
        ),
    )


def _date(read: Dataset, keyword: str) -> date | None:
    value = read.get(keyword)
    return datetime.strptime(value, "%Y%m%d").date() if value else None  # noqa: DTZ007 - a day has no zone


def _summary(instances: list[Held]) -> StudyResult:
    """Return the study that these instances are, with what can be counted."""
    return replace(
        instances[0].study,
        modalities=frozenset(held.series.modality for held in instances),
        number_of_series=len({held.series.reference for held in instances}),
        number_of_instances=len(instances),
    )


def _with_number_of_instances(instances: list[Held]) -> SeriesResult:
    return replace(instances[0].series, number_of_instances=len(instances))
