"""C-GET: retrieving instances over the association that asked for them (PS3.4 C.4.3)."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from adit_core.dicom.association import Association, Message
from adit_core.dicom.command import Command, CommandField, is_sendable_uid
from adit_core.dicom.contexts import (
    LOSSLESS_COMPRESSED_SYNTAXES,
    MESSAGE_TRANSFER_SYNTAXES,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    message_proposals,
    storage_groups,
    storage_proposals,
)
from adit_core.dicom.identifier import encode_identifier, unique_keys
from adit_core.dicom.node import QueryRoot, ServerNode, Service
from adit_core.dicom.ports import Inlet, InstanceHeader, RetrieveRequest, SeriesPart, Source
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.references import StudyReference, is_valid_uid
from adit_core.dicom.status import PENDING, SUCCESS, status_error
from adit_core.dicom.wishes import MOST_INSTANCES, Wish, missing_wishes, narrowed, study_wish
from adit_core.errors import AditError, NoPresentationContext, ProtocolError

_GET_CLASSES = {
    QueryRoot.PATIENT: "1.2.840.10008.5.1.4.1.2.1.3",
    QueryRoot.STUDY: "1.2.840.10008.5.1.4.1.2.2.3",
}
_FAILED_SUBOPERATIONS = frozenset({0xA702, 0xB000})
"""Statuses that say that instances could not be sent (PS3.4 table C.4-3)."""


class Arrival(NamedTuple):
    """An instance that is coming."""

    header: InstanceHeader
    fragments: Iterator[memoryview]


Arrivals = Generator[Arrival, None, None]


class DimseSource(Source):
    """Retrieves from an archive by C-GET; implements :class:`~adit_core.dicom.ports.Source`.

    An archive can send only what was agreed upon when the association began, and a single instance
    that it cannot send ends the whole operation in some (Orthanc). So the SOP classes of what is
    wanted decide what is asked for, and how:

    ===============================================  ===============================================
    SOP classes                                      requests
    ===============================================  ===============================================
    all known, and they fit in one association       the study; else each whole series; else batches
                                                     of instances
    all known, but too many                          one association for each group of them, with
                                                     the series and instances of these classes only
    some unknown                                     series by series with known classes first, then
                                                     with one group of common ones after the other,
                                                     as long as something comes
    ===============================================  ===============================================

    What an archive then failed to send is asked for in one compressed transfer syntax after the other.
    """

    def __init__(self, node: ServerNode) -> None:
        self._node = node

    def close(self) -> None:
        """Do nothing: an association is open during a retrieval only, for it depends on what is wanted."""

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        """Put the instances of `request` into `inlet`, as they come.

        Raises:
            PeerBusy, OperationFailed, IncompleteTransfer: Not one instance came, and the archive
                answered with a failure.
            NoPresentationContext: The archive does not support C-GET, or sends none of the SOP classes.
            AditError: The association failed; what had come completely has gone into `inlet`.
            Exception: What `inlet` raised; the archive was told to end the operation then.
        """
        retrieval = _Retrieval(self._node)
        classes = _sop_classes(request)
        if "" in classes:
            arrivals = retrieval.search(request, [sop_class for sop_class in classes if sop_class])
        else:
            arrivals = retrieval.fetch(request, classes)
        with closing(arrivals):
            for header, fragments in arrivals:
                inlet.begin(header)
                for fragment in fragments:
                    inlet.write(fragment)
                inlet.end()
        retrieval.raise_failure()

    def arriving(
        self, study: StudyReference, series_instance_uid: str, sop_classes: Sequence[str]
    ) -> Arrivals:
        """Yield what the archive has of a study, or of a series of it, as it comes by one operation.

        For those who know the SOP classes, which must fit in one association, but no instances. What the
        archive does not send is for the caller to find out. Closing the iterator ends the operation.
        Raises what `retrieve` raises.
        """
        keys = unique_keys(self._node, "SERIES" if series_instance_uid else "STUDY", study)
        if series_instance_uid:
            keys["SeriesInstanceUID"] = series_instance_uid
        retrieval = _Retrieval(self._node)
        yield from retrieval.fetch_unseen(Wish(keys, ()), sop_classes)
        retrieval.raise_failure()


def fit_one_association(sop_classes: Sequence[str]) -> bool:
    """Tell whether instances of all these SOP classes can be asked for over one association."""
    are_known = bool(sop_classes) and all(map(is_valid_uid, sop_classes))
    return are_known and len(storage_groups(sop_classes, reserved=len(MESSAGE_TRANSFER_SYNTAXES))) == 1


class _Retrieval:
    """One retrieval: yields what comes, and knows why the rest did not.

    What was not read of an arrival is skipped when the next one is asked for.
    """

    def __init__(self, node: ServerNode) -> None:
        self._node = node
        self._get_class = _GET_CLASSES[node.query_root]
        self._received: set[str] = set()
        self._failure: AditError | None = None
        self._has_failed_suboperations = False

    def fetch(self, request: RetrieveRequest, sop_classes: Sequence[str]) -> Arrivals:
        """Retrieve what is of the known SOP classes, each group of them over its own association."""
        groups = storage_groups(sop_classes, reserved=len(MESSAGE_TRANSFER_SYNTAXES))
        for group in groups:
            parts = [_within(part, group) for part in request.parts]
            is_all = request.whole and len(groups) == 1
            wishes = [study_wish(self._node, request)] if is_all else self._missing(parts)
            yield from self._exchange(group, STORAGE_TRANSFER_SYNTAXES, wishes, patience=MOST_INSTANCES)
            yield from self._exchange_compressed(group, parts, patience=MOST_INSTANCES)

    def fetch_unseen(self, wish: Wish, sop_classes: Sequence[str]) -> Arrivals:
        """Retrieve by one wish whose instances are not known."""
        return self._exchange(sop_classes, STORAGE_TRANSFER_SYNTAXES, [wish], patience=0)

    def search(self, request: RetrieveRequest, known_classes: Sequence[str]) -> Arrivals:
        """Retrieve what is of unknown SOP classes, by trying the common ones until nothing comes.

        A series is asked for at a time, for most are of a single class. More than one round is
        needed for one that is not: in each, an instance of another class may end its retrieval.
        """
        candidates = tuple(dict.fromkeys((*known_classes, *STORAGE_SOP_CLASSES)))
        groups = storage_groups(candidates, reserved=len(MESSAGE_TRANSFER_SYNTAXES))
        before = -1
        while len(self._received) > before:
            before = len(self._received)
            for group in groups:
                missing = self._missing(request.parts)
                yield from self._exchange(group, STORAGE_TRANSFER_SYNTAXES, missing, patience=1)
                yield from self._exchange_compressed(group, request.parts, patience=1)

    def raise_failure(self) -> None:
        """Raise why nothing came, if nothing came and the archive said why."""
        if self._failure is not None and not self._received:
            raise self._failure

    def _missing(self, parts: Iterable[SeriesPart]) -> list[Wish]:
        """Return the wishes for what of `parts` has not been received."""
        return missing_wishes(self._node, parts, self._received)

    def _exchange_compressed(
        self, sop_classes: Sequence[str], parts: Sequence[SeriesPart], *, patience: int
    ) -> Arrivals:
        """Ask again for what an archive failed to send, in one compressed transfer syntax after the other.

        DCMTK's archives choose one context for each SOP class, an uncompressed one if there is any,
        and fail if the instance is compressed, although its own transfer syntax was accepted. Lossy
        syntaxes are not offered alone: an archive that fails for other reasons might degrade images
        in order to comply.
        """
        if not self._has_failed_suboperations:
            return
        self._has_failed_suboperations = False
        for syntax in LOSSLESS_COMPRESSED_SYNTAXES:
            yield from self._exchange(sop_classes, (syntax,), self._missing(parts), patience=patience)

    def _exchange(
        self,
        sop_classes: Sequence[str],
        syntaxes: Sequence[str],
        wishes: Sequence[Wish],
        *,
        patience: int,
    ) -> Arrivals:
        """Ask for `wishes` over one association; `patience` is for :meth:`_get_one_by_one`."""
        if not wishes:
            return
        proposals = [*message_proposals(self._get_class), *storage_proposals(sop_classes, syntaxes)]
        with Association.open(self._node, proposals, provided=sop_classes) as association:
            association.context_of(self._get_class)
            if not association.contexts.cover(sop_classes):
                self._failure = self._failure or NoPresentationContext(
                    f"{association.peer} accepted no presentation context for {', '.join(sop_classes)}"
                )
                return
            for wish in wishes:
                yield from self._get(association, wish)
                if self._received.isdisjoint(wish.sop_instance_uids):
                    yield from self._get_one_by_one(association, wish, patience)

    def _get_one_by_one(self, association: Association, wish: Wish, patience: int) -> Arrivals:
        """Ask for the instances of a list one after the other, until `patience` of them did not come.

        Some archives know no lists (pynetdicom's qrscp), others send nothing if they lack a single
        one of the instances (Orthanc).
        """
        for single in wish.singles():
            yield from self._get(association, single)
            if self._received.isdisjoint(single.sop_instance_uids):
                patience -= 1
                if not patience:
                    return

    def _get(self, association: Association, wish: Wish) -> Arrivals:
        context = association.context_of(self._get_class)
        message_id = association.next_message_id()
        request = Command(CommandField.C_GET_RQ, message_id, self._get_class, has_data_set=True)
        association.send(context, request, [encode_identifier(wish.keys, context.transfer_syntax_uid)])
        with association.responses_to(context, request):
            message = association.receive()
            while _is_under_way(association, message, request):
                if message.command.field is CommandField.C_STORE_RQ:
                    yield _arrival(association, message)
                    association.answer(SUCCESS)
                    self._received.add(message.command.sop_instance_uid)
                message = association.receive()
        status = message.command.status
        if status in _FAILED_SUBOPERATIONS:
            self._has_failed_suboperations = True
        if status != SUCCESS and self._failure is None:
            operation = f"{association.peer}: C-GET of {wish}"
            self._failure = status_error(status, Service.GET, operation)


def _is_under_way(association: Association, message: Message, request: Command) -> bool:
    """Tell whether more is to come after a message: it brings an instance, or says that some are left."""
    if message.command.field is CommandField.C_STORE_RQ:
        return True
    association.check_response(message, request)
    return message.command.status in PENDING


def _arrival(association: Association, message: Message) -> Arrival:
    command = message.command
    if not command.has_data_set or command.sop_class_uid != message.context.sop_class_uid:
        raise ProtocolError(f"{association.peer} sent a C-STORE request that does not fit its context")
    if not is_sendable_uid(command.sop_instance_uid):
        raise ProtocolError(f"{association.peer} sent an instance without a valid SOP Instance UID")
    syntax = message.context.transfer_syntax_uid
    header = InstanceHeader(command.sop_class_uid, command.sop_instance_uid, syntax)
    return Arrival(header, _data_set(association))


def _data_set(association: Association) -> Iterator[memoryview]:
    """Yield the data set of an instance; the archive gets its answer before the last fragment is passed on.

    So it reads the next one meanwhile. What it is told means nothing: that the instance was kept is known by
    whoever keeps it.
    """
    for fragment in association.data_set():
        if not association.has_unread:
            association.answer(SUCCESS)
        yield fragment


def _sop_classes(request: RetrieveRequest) -> list[str]:
    """Return the SOP classes of the request, the most frequent one first; "" stands for unknown."""
    counts: dict[str, int] = {}
    for part in request.parts:
        for instance in part.instances:
            sop_class = _sop_class(instance)
            counts[sop_class] = counts.get(sop_class, 0) + 1
    return sorted(counts, key=lambda sop_class: counts[sop_class], reverse=True)


def _sop_class(instance: InstanceResult) -> str:
    return instance.sop_class_uid if is_valid_uid(instance.sop_class_uid) else ""


def _within(part: SeriesPart, sop_classes: Sequence[str]) -> SeriesPart:
    """Return what of the part is of the classes."""
    return narrowed(part, lambda instance: instance.sop_class_uid in sop_classes)
