"""C-FIND: asking an archive what it holds (PS3.4 C.4.1)."""

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from adit_core.dicom.association import Association, Message
from adit_core.dicom.command import Command, CommandField
from adit_core.dicom.contexts import MOST_CONTEXTS, PresentationContext, ProposedContext, message_proposals
from adit_core.dicom.dicom_json import uids_of, values_of
from adit_core.dicom.identifier import (
    Answer,
    decode_answer,
    decode_json,
    encode_identifier,
    unique_keys,
)
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.node import QueryRoot, ServerNode, Service
from adit_core.dicom.ports import Searcher
from adit_core.dicom.query import (
    AttributeQuery,
    InstanceResult,
    Keys,
    Level,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import SeriesReference
from adit_core.dicom.results import (
    INSTANCE_KEYS,
    PATIENT_KEYS,
    SERIES_KEYS,
    STUDY_KEYS,
    UID_KEYS,
    identity,
    instance_result,
    is_of_series,
    is_of_study,
    patient_result,
    series_result,
    study_result,
)
from adit_core.dicom.status import CANCELED, PENDING, SUCCESS, in_words, is_warning, status_error
from adit_core.errors import AnswerCutOff, AssociationRejected, ConnectionFailed, PeerAborted, ProtocolError

_log = logging.getLogger(__name__)

_FIND_CLASSES = {
    QueryRoot.PATIENT: "1.2.840.10008.5.1.4.1.2.1.1",
    QueryRoot.STUDY: "1.2.840.10008.5.1.4.1.2.2.1",
}


_OF_PATIENT = frozenset(
    {"PatientID", "PatientName", "PatientBirthDate", "PatientSex", "SpecificCharacterSet"}
)
"""What the patient level knows of a patient (PS3.4 table C.6-1)."""

_Answer = TypeVar("_Answer")
_Result = TypeVar("_Result", PatientResult, StudyResult, SeriesResult, InstanceResult)


class _Question(NamedTuple):
    """A query that was asked, and the first message of its answer."""

    association: Association
    context: PresentationContext
    request: Command
    first: Message


class DimseSearcher(Searcher):
    """Searches an archive by C-FIND; implements :class:`~adit_core.dicom.ports.Searcher`.

    The association stays open from one query to the next; a query that starts while the answers to
    another one are still being read gets an association of its own. It may be one that serves other
    purposes as well, see `keep` and `take`.

    Which levels are asked depends on the query root of the node:

    ==========  =======================================  ==========================================
    asked for   study root                               patient root
    ==========  =======================================  ==========================================
    patients    STUDY level, each patient yielded once   PATIENT level
    studies     STUDY level                              PATIENT level, then STUDY level of each
    series      SERIES level                             SERIES level with the Patient ID
    instances   IMAGE level                              IMAGE level with the Patient ID
    ==========  =======================================  ==========================================
    """

    def __init__(self, node: ServerNode, also: Callable[[], Sequence[ProposedContext]] = lambda: ()) -> None:
        """Search `node`; `also` is proposed besides, as long as the archive does not mind."""
        self.is_alone = False
        """Whether the archive does not want to be searched over an association with other purposes."""
        self._node = node
        self._also = also
        self._idle: Association | None = None

    def close(self) -> None:
        """Release the association, without raising."""
        if (association := self.take()) is not None:
            association.release()

    def rest(self) -> None:
        """Release the association; the next query opens another one."""
        self.close()

    def take(self) -> Association | None:
        """Return the idle association, if there is one, for another purpose; it is not kept here any more."""
        association, self._idle = self._idle, None
        return association

    def keep(self, association: Association) -> None:
        """Have the next query go over an association that is idle; release it if that cannot be."""
        can_be_used = association.is_usable and association.contexts.cover([self._find_class])
        if self._idle is None and can_be_used:
            self._idle = association
        else:
            association.release()

    @property
    def proposals(self) -> list[ProposedContext]:
        """What an association has to be asked for so that queries can go over it."""
        return message_proposals(self._find_class)

    def find_patients(self, query: PatientQuery) -> Iterator[PatientResult]:
        """Yield patients, as they come. Closing the iterator early ends the query."""
        level = "PATIENT" if self._node.query_root is QueryRoot.PATIENT else "STUDY"
        keys = _keys(level, PATIENT_KEYS) | {
            "PatientID": query.patient_id,
            "PatientName": query.patient_name,
            "PatientBirthDate": query.patient_birth_date.to_dicom(),
        }

        def read(answer: Answer) -> PatientResult | None:
            patient = patient_result(answer)
            return patient if query.matches(patient) else None

        yield from self._results(keys, read)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
        """Yield studies, as they come. Closing the iterator early ends the query."""
        if self._node.query_root is QueryRoot.PATIENT:
            yield from self._find_studies_of_patients(query)
            return
        keys = {
            **_keys("STUDY", PATIENT_KEYS),
            **_study_keys(query),
            "PatientID": query.patient_id,
            "PatientName": query.patient_name,
            "PatientBirthDate": query.patient_birth_date.to_dicom(),
        }

        def read(answer: Answer) -> StudyResult | None:
            study = study_result(answer, patient_result(answer), query.further)
            return study if self._has_uid(answer, "StudyInstanceUID") and query.matches(study) else None

        yield from self._results(keys, read)

    def find_series(self, query: SeriesQuery) -> Iterator[SeriesResult]:
        """Yield series of one study, as they come. Closing the iterator early ends the query."""
        keys = {
            **unique_keys(self._node, "SERIES", query.study),
            **_keys("SERIES", SERIES_KEYS),
            "SeriesInstanceUID": query.series_instance_uid,
            "Modality": query.modality,
            "SeriesDescription": query.series_description,
            "SeriesNumber": "" if query.series_number is None else str(query.series_number),
            **dict(query.further),
        }

        def read(answer: Answer) -> SeriesResult | None:
            series = series_result(answer, query.study, query.further)
            is_meant = self._has_uid(answer, "SeriesInstanceUID") and is_of_study(answer, query.study)
            return series if is_meant and query.matches(series) else None

        yield from self._results(keys, read)

    def find_instances(self, series: SeriesReference, *, uids_only: bool = False) -> Iterator[InstanceResult]:
        """Yield the instances of one series, as they come. Closing the iterator early ends the query."""
        keys = {
            **unique_keys(self._node, "IMAGE", series.study),
            **_keys("IMAGE", UID_KEYS if uids_only else INSTANCE_KEYS),
            "SeriesInstanceUID": series.series_instance_uid,
        }

        def read(answer: Answer) -> InstanceResult | None:
            is_meant = self._has_uid(answer, "SOPInstanceUID") and is_of_series(answer, series)
            return instance_result(answer, series) if is_meant else None

        yield from self._results(keys, read)

    def find_data_sets(self, query: AttributeQuery) -> Iterator[JsonDataSet]:
        """Yield all that is answered, as it comes. Closing the iterator early ends the query."""
        if query.level is not Level.STUDY:
            keys = {**query.keys, **unique_keys(self._node, query.level, query.study)}
            if query.level is Level.INSTANCE:
                keys["SeriesInstanceUID"] = query.series_instance_uid
            yield from self._data_sets(keys)
        elif self._node.query_root is QueryRoot.STUDY:
            yield from self._data_sets({**query.keys, "QueryRetrieveLevel": query.level})
        else:
            yield from self._data_sets_of_patients(query.keys)

    def _data_sets_of_patients(self, keys: Keys) -> Iterator[JsonDataSet]:
        """Ask for patients first, and add to each study what was said of its patient."""
        of_patient = {keyword: value for keyword, value in keys.items() if keyword in _OF_PATIENT}
        of_study = {keyword: value for keyword, value in keys.items() if keyword not in _OF_PATIENT}
        patients = {"PatientID": "", **of_patient, "QueryRetrieveLevel": "PATIENT"}
        for patient in list(self._data_sets(patients)):
            for patient_id in values_of(patient, "PatientID")[:1]:
                found = {**of_study, "QueryRetrieveLevel": Level.STUDY, "PatientID": str(patient_id)}
                for study in self._data_sets(found):
                    yield {**patient, **study}

    def _data_sets(self, keys: Keys) -> Iterator[JsonDataSet]:
        seen: set[Hashable] = set()
        for answer in self._answers(keys, decode_json):
            uids = uids_of(answer) if any(uids_of(answer)) else str(values_of(answer, "PatientID"))
            if uids not in seen:
                seen.add(uids)
                yield answer

    def _find_studies_of_patients(self, query: StudyQuery) -> Iterator[StudyResult]:
        """Ask for patients first: below them, the patient root knows their ID only (PS3.4 C.6.1.1)."""
        patients = PatientQuery(query.patient_id, query.patient_name, query.patient_birth_date)
        for patient in list(self.find_patients(patients)):
            if patient.patient_id:  # an empty key would find the studies of everybody
                yield from self._find_studies_of(patient, query)

    def _find_studies_of(self, patient: PatientResult, query: StudyQuery) -> Iterator[StudyResult]:
        def read(answer: Answer) -> StudyResult | None:
            study = study_result(answer, patient, query.further)
            return study if self._has_uid(answer, "StudyInstanceUID") and query.matches(study) else None

        yield from self._results(_study_keys(query) | {"PatientID": patient.patient_id}, read)

    def _results(
        self, keys: Mapping[str, str], read: Callable[[Answer], _Result | None]
    ) -> Iterator[_Result]:
        """Yield what `read` makes of the answers, but nothing twice.

        Some archives answer once for each instance, whatever the level (pynetdicom's qrscp).
        """
        seen: set[Hashable] = set()

        def decode(encoded: bytes, transfer_syntax_uid: str) -> Answer:
            return decode_answer(encoded, transfer_syntax_uid, keys)

        for answer in self._answers(keys, decode):
            result = read(answer)
            if result is not None and identity(result) not in seen:
                seen.add(identity(result))
                yield result

    def _answers(self, keys: Keys, decode: Callable[[bytes, str], _Answer]) -> Iterator[_Answer]:
        """Yield the answers to a query, as they come."""
        association, context, request, message = self._ask(keys)
        with association.responses_to(context, request):
            while message.command.status in PENDING:
                yield _read_answer(association, message, decode)
                message = association.receive_response(request)
        self.keep(association)
        status = message.command.status
        operation = f"{association.peer}: C-FIND at {keys['QueryRetrieveLevel']} level"
        if status == CANCELED or is_warning(status):
            raise AnswerCutOff(
                f"{operation} ended with {in_words(status, Service.FIND)}, although not all was told"
            )
        if status != SUCCESS:
            raise status_error(status, Service.FIND, operation)

    def _ask(self, keys: Keys) -> _Question:
        association = self.take()
        if association is not None:
            if association.is_usable:
                try:
                    return _ask(association, self._find_class, keys)
                except (ConnectionFailed, PeerAborted):
                    _log.info("%s ended an idle association; asking again on a new one", association.peer)
            association.abort()
        return _ask(self._open(), self._find_class, keys)

    def _open(self) -> Association:
        also = () if self.is_alone else self._also()
        if also:
            try:
                association = Association.open(self._node, [*self.proposals, *also][:MOST_CONTEXTS])
            except AssociationRejected:
                pass  # so may the other one be, which says why
            else:
                if association.contexts.cover([self._find_class]):
                    return association
                association.release()
            self.is_alone = True
        return Association.open(self._node, self.proposals)

    @property
    def _find_class(self) -> str:
        return _FIND_CLASSES[self._node.query_root]

    def _has_uid(self, answer: Answer, keyword: str) -> bool:
        """Tell whether what was found can be referred to."""
        if not answer.text(keyword):
            _log.warning("%s answered a C-FIND without a value for %s", self._node.name, keyword)
            return False
        return True


def _ask(association: Association, find_class: str, keys: Keys) -> _Question:
    with association.operation():
        context = association.context_of(find_class)
        request = Command(
            CommandField.C_FIND_RQ, association.next_message_id(), find_class, has_data_set=True
        )
        association.send(context, request, [encode_identifier(keys, context.transfer_syntax_uid)])
        return _Question(association, context, request, association.receive_response(request))


def _keys(level: str, keywords: tuple[str, ...]) -> dict[str, str]:
    return {"QueryRetrieveLevel": level, **dict.fromkeys(keywords, "")}


def _study_keys(query: StudyQuery) -> dict[str, str]:
    # Archives read a list of modalities in different ways, or not at all; ours is matched afterwards.
    modality = next(iter(query.modalities)) if len(query.modalities) == 1 else ""
    return _keys("STUDY", STUDY_KEYS) | {
        "StudyInstanceUID": query.study_instance_uid,
        "AccessionNumber": query.accession_number,
        "StudyDate": query.study_date.to_dicom(),
        "StudyTime": query.study_time.to_dicom(),
        "StudyDescription": query.study_description,
        "ModalitiesInStudy": modality,
        **dict(query.further),
    }


def _read_answer(
    association: Association, message: Message, decode: Callable[[bytes, str], _Answer]
) -> _Answer:
    encoded = association.read_data_set()
    try:
        return decode(encoded, message.context.transfer_syntax_uid)
    except ValueError as reason:
        raise ProtocolError(f"{association.peer} sent {reason}") from reason
