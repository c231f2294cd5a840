"""DICOM files in a folder as an archive to search and to retrieve from."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

from adit_core.dicom.durable import translated_errors
from adit_core.dicom.folder_index import SERIES_KEYWORDS, STUDY_KEYWORDS, FolderIndex, IndexedFile
from adit_core.dicom.identifier import Answer
from adit_core.dicom.json_encoding import JsonDataSet, json_of_texts
from adit_core.dicom.node import FolderNode
from adit_core.dicom.ports import Closable, Inlet, InstanceHeader, RetrieveRequest
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
from adit_core.dicom.references import SeriesReference, StudyReference, is_valid_uid
from adit_core.dicom.results import (
    INSTANCE_KEYS,
    instance_result,
    patient_result,
    series_result,
    study_result,
)
from adit_core.errors import IncompleteTransfer, OperationFailed, StudyNotFound

_FRAGMENT = 256 << 10
_STUDY = ", ".join(STUDY_KEYWORDS)
_PATIENT = ", ".join(STUDY_KEYWORDS[:4])
_STUDY_COUNTS = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
_SERIES_COUNT = "NumberOfSeriesRelatedInstances"


class _Fate(StrEnum):
    """What became of an instance that was asked for."""

    HANDED_OUT = "handed out"
    UNKNOWN = "unknown"
    UNUSABLE = "damaged, or there in different versions"
    CHANGED = "changed or gone since the folder was searched"


class _FolderAdapter(Closable):
    """Looks at the folder anew when it is first used."""

    def __init__(self, node: FolderNode, index: FolderIndex) -> None:
        self._node = node
        self._index = index
        self._is_fresh = False

    def close(self) -> None:
        """Do nothing: the index belongs to the caller."""

    def _refresh(self) -> None:
        if not self._is_fresh:
            with self._translated_errors("its files"):
                self._index.refresh()
            self._is_fresh = True

    def _translated_errors(self, what: str) -> AbstractContextManager[None]:
        return translated_errors(f"{self._node.name}: {what} below {self._node.path}")


class FolderSearcher(_FolderAdapter):
    """Searches the files in a folder; implements :class:`~adit_core.dicom.ports.Searcher`.

    Instances that no file stands for are found as well if a file claims to hold them, so that a
    transfer accounts for them.
    """

    def rest(self) -> None:
        """Do nothing: nothing is open."""

    def find_patients(self, query: PatientQuery) -> Iterator[PatientResult]:
        """Yield patients that fulfil `query`."""
        self._refresh()
        for row in self._index.rows(f"SELECT DISTINCT {_PATIENT} FROM found"):  # noqa: S608 - our own names
            patient = patient_result(_answer(STUDY_KEYWORDS[:4], row))
            if query.matches(patient):
                yield patient

    def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
        """Yield studies that fulfil `query`."""
        for answer in self._studies(query.study_instance_uid):
            study = study_result(answer, patient_result(answer))
            if query.matches(study):
                yield study

    def find_series(self, query: SeriesQuery) -> Iterator[SeriesResult]:
        """Yield series of one study that fulfil `query`."""
        for answer in self._series(query.study):
            series = series_result(answer, query.study)
            if query.matches(series):
                yield series

    def find_instances(
        self,
        series: SeriesReference,
        *,
        uids_only: bool = False,  # noqa: ARG002 - the index knows the rest as well
    ) -> Iterator[InstanceResult]:
        """Yield the instances of one series."""
        for answer in self._instances(series):
            yield instance_result(answer, series)

    def find_data_sets(self, query: AttributeQuery) -> Iterator[JsonDataSet]:
        """Yield what the index knows at the level, whether it matches or not."""
        match query.level:
            case Level.STUDY:
                uid = query.keys.get("StudyInstanceUID", "")
                is_one = isinstance(uid, str) and is_valid_uid(uid)
                answers = self._studies(str(uid) if is_one else "")
            case Level.SERIES:
                answers = self._series(query.study)
            case Level.INSTANCE:
                answers = self._instances(SeriesReference(query.study, query.series_instance_uid))
        return (json_of_texts(answer.texts_by_keyword) for answer in answers)

    def _studies(self, study_instance_uid: str) -> Iterator[Answer]:
        """Yield one study, or all if none is named."""
        self._refresh()
        # SQLite separates distinct values by commas, which no modality has.
        modalities = r"REPLACE(GROUP_CONCAT(DISTINCT Modality), ',', '\')"
        counts = f"{modalities}, COUNT(DISTINCT SeriesInstanceUID), COUNT(DISTINCT SOPInstanceUID)"
        chosen = "StudyInstanceUID = ?" if study_instance_uid else "'' = ?"
        statement = f"""
            SELECT {_STUDY}, {counts} FROM found WHERE {chosen} GROUP BY StudyInstanceUID, PatientID
        """  # noqa: S608 - our own names
        for row in self._index.rows(statement, study_instance_uid):
            yield _answer((*STUDY_KEYWORDS, *_STUDY_COUNTS), row)

    def _series(self, study: StudyReference) -> Iterator[Answer]:
        self._refresh()
        statement = f"""
            SELECT {", ".join(SERIES_KEYWORDS)}, COUNT(DISTINCT SOPInstanceUID) FROM found
            WHERE StudyInstanceUID = ? GROUP BY SeriesInstanceUID
        """  # noqa: S608 - our own names
        for row in self._index.rows(statement, study.study_instance_uid):
            yield _answer((*SERIES_KEYWORDS, _SERIES_COUNT), row)

    def _instances(self, series: SeriesReference) -> Iterator[Answer]:
        self._refresh()
        statement = """
            SELECT SOPInstanceUID, SOPClassUID, InstanceNumber FROM found
            WHERE StudyInstanceUID = ? AND SeriesInstanceUID = ? GROUP BY SOPInstanceUID
        """
        uids = (series.study.study_instance_uid, series.series_instance_uid)
        for row in self._index.rows(statement, *uids):
            yield _answer(INSTANCE_KEYS, row)


class FolderSource(_FolderAdapter):
    """Hands out instances from files in a folder; implements :class:`~adit_core.dicom.ports.Source`."""

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        """Put the instances of `request` into `inlet`, as they are in their files.

        Raises:
            StudyNotFound: No file claims to hold any of it.
            OperationFailed: The files of some instances are damaged, or there are different ones of
                the same UID. Everything else was handed out before.
            IncompleteTransfer: Files were changed or removed meanwhile. The same holds.
            ConnectionFailed: The folder is on a network share that does not answer.
        """
        self._refresh()
        wanted = [one.reference.sop_instance_uid for part in request.parts for one in part.instances]
        fates = Counter(self._hand_out(uid, inlet) for uid in wanted)
        study = request.study.study_instance_uid
        if wanted and fates[_Fate.UNKNOWN] == len(wanted):
            raise StudyNotFound(f"{self._node.name} has nothing of study {study} that was asked for.")
        for fate, kind in ((_Fate.UNUSABLE, OperationFailed), (_Fate.CHANGED, IncompleteTransfer)):
            if fates[fate]:
                raise kind(f"{self._node.name}: {fates[fate]} instances of study {study} are {fate}.")

    def _hand_out(self, uid: str, inlet: Inlet) -> _Fate:
        indexed = self._index.file_of(uid)
        if indexed is None:
            return _Fate.UNUSABLE if self._index.knows(uid) else _Fate.UNKNOWN
        with self._translated_errors(f"instance {uid}"):
            return _hand_out(indexed, inlet)


def _hand_out(indexed: IndexedFile, inlet: Inlet) -> _Fate:
    file = indexed.open()
    if file is None:
        return _Fate.CHANGED
    with file:
        inlet.begin(
            InstanceHeader(indexed.sop_class_uid, indexed.sop_instance_uid, indexed.transfer_syntax_uid)
        )
        while fragment := file.read(_FRAGMENT):
            inlet.write(fragment)
        inlet.end()
    return _Fate.HANDED_OUT


def _answer(keywords: tuple[str, ...], row: tuple[Any, ...]) -> Answer:
    values = ("" if value is None else str(value) for value in row)
    return Answer(dict(zip(keywords, values, strict=True)))
