"""Tables of the DICOM conformance statement, from what `adit_core.dicom` proposes, accepts and knows."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from http import HTTPStatus

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID

from adit_core.dicom import results, web_status
from adit_core.dicom.acceptance import Refusal
from adit_core.dicom.contexts import (
    MESSAGE_TRANSFER_SYNTAXES,
    MOST_CONTEXTS,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
)
from adit_core.dicom.key_matching import RANGE_VRS, WILDCARD_VRS
from adit_core.dicom.negotiation import APPLICATION_CONTEXT_NAME, REJECTION_REASONS, rejection
from adit_core.dicom.node import ConnectionProfile, QueryRoot, Service
from adit_core.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adit_core.dicom.probe import QUERY_RETRIEVE_CLASSES
from adit_core.dicom.query import PatientQuery, SeriesQuery, StudyQuery
from adit_core.dicom.status import (
    CANCELED,
    GENERAL_MEANINGS,
    SERVICE_MEANINGS,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    in_words,
    is_out_of_resources,
    is_warning,
    status_error,
)
from adit_core.dicom.wishes import MOST_INSTANCES
from adit_core.errors import AditError, OperationFailed, TransientError
from adit_core.services import proxy_store
from deployments.documentation.fields import meanings
from deployments.documentation.markdown import code, table

_AGAIN = "is tried again"
_GIVEN_UP = "is given up"
_COMPARED = {
    Service.FIND: "all answers have come",
    Service.GET: "what came is compared with the manifest",
    Service.MOVE: "what came is compared with the manifest",
    Service.STORE: "the destination is asked whether it is there",
}
"""What success leads to: no status is believed to tell what is where."""
_MODALITIES = "ModalitiesInStudy"


def implementation() -> str:
    """Return what identifies the implementation, and how much fits into an association."""
    longest = ConnectionProfile().max_pdu_length
    return table(
        ("what", "value"),
        [
            ("Application Context Name", code(APPLICATION_CONTEXT_NAME)),
            ("Implementation Class UID", code(IMPLEMENTATION_CLASS_UID)),
            ("Implementation Version Name", code(IMPLEMENTATION_VERSION_NAME)),
            ("Maximum Length Received, unless a connection profile says otherwise", f"{longest} bytes"),
            ("presentation contexts proposed in one association, at most", str(MOST_CONTEXTS)),
            ("SOP Instance UIDs asked for in one C-GET or C-MOVE, at most", str(MOST_INSTANCES)),
        ],
    )


def storage_sop_classes() -> str:
    """Return the SOP classes that are proposed where an archive does not tell which it has."""
    return table(("SOP class", "UID"), _named(STORAGE_SOP_CLASSES))


def storage_transfer_syntaxes() -> str:
    """Return the transfer syntaxes of instances."""
    return table(("transfer syntax", "UID"), _named(STORAGE_TRANSFER_SYNTAXES))


def message_transfer_syntaxes() -> str:
    """Return the transfer syntaxes of messages without instances."""
    return table(("transfer syntax", "UID"), _named(MESSAGE_TRANSFER_SYNTAXES))


def query_sop_classes() -> str:
    """Return the classes of queries and retrievals, by service and information model."""
    return table(
        ("SOP class", "UID", "service", "used if the node's query root is"),
        [
            (UID(uid).name, code(uid), service.value, root.value)
            for root in QueryRoot
            for (service, of_root), uid in QUERY_RETRIEVE_CLASSES.items()
            if of_root is root
        ],
    )


def query_keys() -> str:
    """Return the keys that are sent at each level, and how each is matched if a user gives a value."""
    levels = (
        ("PATIENT", results.PATIENT_KEYS, PatientQuery),
        ("STUDY", (*results.PATIENT_KEYS, *results.STUDY_KEYS), StudyQuery),
        ("SERIES", results.SERIES_KEYS, SeriesQuery),
        ("IMAGE", results.INSTANCE_KEYS, None),
    )
    rows = (
        (
            level,
            keyword,
            code(Tag(tag_for_keyword(keyword) or 0)),
            dictionary_VR(keyword),
            _match(keyword, query),
        )
        for level, keywords, query in levels
        for keyword in keywords
    )
    return table(("level", "attribute", "tag", "VR", "matching"), rows)


def statuses(service: Service) -> str:
    """Return the statuses that end an operation of a service, and what is made of each."""
    of_service = SERVICE_MEANINGS[service]
    codes = [
        SUCCESS,
        *of_service,
        *(status for status in GENERAL_MEANINGS if status not in (SUCCESS, CANCELED)),
    ]
    if service is not Service.STORE:
        codes.append(CANCELED)
    rows = (
        (code(_range(status, of_service)), _words(status, service), _made_of(status, service))
        for status in codes
    )
    return table(("status", "meaning", "what becomes of it"), rows)


def store_failures() -> str:
    """Return the failure reasons that the DICOMweb proxy gives by itself (PS3.18 table I.2-2)."""
    reasons = (
        (proxy_store.NOT_UNDERSTOOD, "it is no DICOM file, is damaged, or has no Study Instance UID"),
        (proxy_store.OTHER_STUDY, "it is of another study than the path names"),
        (SOP_CLASS_NOT_SUPPORTED, "the archive accepted no presentation context for it"),
        (proxy_store.OUT_OF_RESOURCES, "the archive was out of resources, and gave no status"),
        (proxy_store.REFUSED, "the archive refused it, and gave no status"),
    )
    return table(("reason", "the instance"), ((code(f"{reason:04X}"), words) for reason, words in reasons))


def http_statuses() -> str:
    """Return the statuses of DICOMweb servers that are not simply failures."""
    kinds = ((status, web_status.status_error(status, "")) for status in HTTPStatus if status >= 400)
    rows = [
        (f"{status.value} {status.phrase}", _explained(error))
        for status, error in kinds
        if type(error) is not OperationFailed
    ]
    return table(("status", "what becomes of it"), [*rows, ("any other of 400 and more", _GIVEN_UP)])


def rejections() -> str:
    """Return the reasons of A-ASSOCIATE-RJ: what is made of them, and which the receiver gives."""
    given = {(refusal.value[1], refusal.value[2]): refusal for refusal in Refusal}
    rows = []
    for (source, reason), words in REJECTION_REASONS.items():
        refusal = given.get((source, reason))
        result = refusal.value[0] if refusal else 1
        passes = isinstance(rejection("", bytes((0, result, source, reason))), TransientError)
        rows.append(
            (
                f"{'rejected-transient' if passes else 'rejected-permanent'}",
                f"{source} / {reason}",
                words,
                _AGAIN if passes else _GIVEN_UP,
                "yes" if refusal else "no",
            )
        )
    head = ("result", "source / reason", "meaning", "as a user: the operation", "given by the receiver")
    return table(head, rows)


def connection_parameters() -> str:
    """Return what a connection profile sets, with the usual values."""
    told = meanings(ConnectionProfile)
    rows = [
        (
            code(field.name),
            f"{field.default:g}" if field.default < 1e6 else str(field.default),
            told[field.name],
        )
        for field in fields(ConnectionProfile)
        if isinstance(field.default, int | float)
    ]
    return table(("parameter", "usual value", "meaning"), rows)


def _named(uids: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((UID(uid).name, code(uid)) for uid in uids)


def _match(keyword: str, query: type | None) -> str:
    if keyword == _MODALITIES:
        return "single value, if one modality is asked for; several are matched here"
    asked = {field.name for field in fields(query)} if query else set()
    if _snake(keyword) not in asked:
        return "universal"
    vr = dictionary_VR(keyword)
    if vr in RANGE_VRS:
        return "single value or range"
    return "single value or wildcard" if vr in WILDCARD_VRS and vr != "CS" else "single value"


def _snake(keyword: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", keyword).lower()


def _range(status: int, of_service: dict[int, str]) -> str:
    """Return a status, with x for the digits that make no difference."""
    siblings = sum(other >> 12 == status >> 12 for other in of_service)
    if status in of_service and status & 0x0FFF == 0 and siblings == 1:
        return f"{status >> 12:X}xxx"
    if status in of_service and status & 0xFF == 0 and status >> 12 != 0xB:
        return f"{status >> 8:X}xx"
    return f"{status:04X}"


def _words(status: int, service: Service) -> str:
    return in_words(status, service).partition("(")[2].removesuffix(")")


def _made_of(status: int, service: Service) -> str:
    if status == SUCCESS:
        return _COMPARED[service]
    if service is Service.STORE:
        if is_warning(status):
            return "stored; the warning is in the report"
        return f"not stored, {_AGAIN}" if is_out_of_resources(status) else "not stored, fails"
    if service is Service.FIND and (is_warning(status) or status == CANCELED):
        return f"{_AGAIN}: there may be more answers"
    return _explained(status_error(status, service, ""))


def _explained(error: AditError) -> str:
    return _AGAIN if isinstance(error, TransientError) else _GIVEN_UP
