"""C-STORE: handing instances to an archive (PS3.4 Annex B)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from adit_core.dicom.association import Association
from adit_core.dicom.command import Command, CommandField, is_sendable_uid
from adit_core.dicom.contexts import (
    MOST_CONTEXTS,
    PresentationContext,
    ProposedContext,
    storage_proposals,
)
from adit_core.dicom.find import DimseSearcher
from adit_core.dicom.manifest import found_in
from adit_core.dicom.node import ServerNode, Service
from adit_core.dicom.ports import Delivery, Destination, ExpectedStudy, IncomingInstance, InstanceHeader
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.dicom.status import SOP_CLASS_NOT_SUPPORTED, SUCCESS, in_words, is_out_of_resources, is_warning
from adit_core.errors import AditError, ConnectionFailed, PeerAborted, PeerTimeout

_LOST = (ConnectionFailed, PeerAborted, PeerTimeout)
"""Errors after which another association may do."""


class DimseDestination(Destination):
    """Delivers to an archive by C-STORE; implements :class:`~adit_core.dicom.ports.Destination`.

    There is one association at a time. It is opened for the first question or instance and kept for both, if
    the archive takes both over the same one, see :class:`~adit_core.dicom.find.DimseSearcher`. An instance of
    a SOP class or transfer syntax that was not proposed leads to another one, which proposes that as well.
    """

    def __init__(self, node: ServerNode) -> None:
        self._node = node
        self._searcher = DimseSearcher(node, self._likely)
        self._association: Association | None = None
        self._is_asked = False
        self._expected: tuple[str, ...] = ()
        self._used: dict[ProposedContext, None] = {}

    def close(self) -> None:
        """Release the association, without raising."""
        self._hand_to_searcher()
        self._searcher.close()

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        """Propose all SOP classes from the beginning, which saves negotiating again for each."""
        classes = {one.sop_class_uid for series in expected.series for one in series.instances}
        self._expected = tuple(sorted(filter(is_sendable_uid, classes)))
        return {}

    def held(
        self,
        study: StudyReference,  # noqa: ARG002 - each series names its study
        series: Sequence[SeriesReference],
    ) -> frozenset[str] | None:
        """Return the SOP Instance UIDs that the archive has in `series`; None if it cannot be asked."""
        if Service.FIND not in self._node.services:
            return None
        self._is_asked = True
        self._hand_to_searcher()
        return found_in(self._searcher, series)

    def _hand_to_searcher(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            self._searcher.keep(association)

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Send each instance and yield what became of it, in the same order.

        There are instances that break the archive that takes them. So when the association fails with one,
        the next one is sent over another association, once; if that works, the first one failed by itself.

        Raises:
            AditError: The association could not be opened, or failed again; what came with it was not taken.
            Exception: What an instance's fragments raised; the association was aborted then, so that
                the archive keeps nothing of it.
        """
        lost: AditError | None = None
        unclear: list[Delivery] = []
        for instance in instances:
            fragments = _Fragments(instance)
            try:
                delivery = self._deliver(instance.header, fragments)
            except _LOST as error:
                if fragments.have_failed or lost is not None or self._association is None:
                    raise
                lost = error
                unclear.append(Delivery(instance.header.sop_instance_uid, failure=str(error), retryable=True))
                continue
            yield from unclear
            unclear.clear()
            yield delivery
        if lost is not None and unclear:
            raise lost

    def _deliver(self, header: InstanceHeader, instance: "_Fragments") -> Delivery:
        uid = header.sop_instance_uid
        fragments = iter(instance)
        first = next(fragments, None)
        if first is None:
            return Delivery(uid, failure="the data set is empty")
        if not all(map(is_sendable_uid, (uid, header.sop_class_uid, header.transfer_syntax_uid))):
            return Delivery(uid, failure="a UID is invalid")
        association, context = self._prepare(header)
        if context is None:
            return Delivery(
                uid,
                failure=f"no presentation context for {header.sop_class_uid} in {header.transfer_syntax_uid}",
                status=SOP_CLASS_NOT_SUPPORTED,
            )
        with association.operation():
            request = Command(
                CommandField.C_STORE_RQ,
                association.next_message_id(),
                header.sop_class_uid,
                uid,
                has_data_set=True,
            )
            association.send(context, request, chain((first,), fragments))
            status = association.receive_response(request).command.status
        return _delivery(uid, status)

    def _prepare(self, header: InstanceHeader) -> tuple[Association, PresentationContext | None]:
        """Return an association on which the instance was proposed, and its context if it was accepted."""
        needed = ProposedContext(header.sop_class_uid, header.transfer_syntax_uid)
        association, self._association = self._association or self._searcher.take(), None
        if association is None or not association.is_usable or not association.contexts.was_proposed(needed):
            if association is not None:
                association.release()
            association = Association.open(self._node, self._proposals(needed))
        if self._takes_queries_only(association):
            self._searcher.is_alone = True
            association.release()
            association = Association.open(self._node, self._proposals(needed))
        self._association = association
        self._used[needed] = None
        return association, association.contexts.accepting(needed)

    def _takes_queries_only(self, association: Association) -> bool:
        """Tell whether the archive has accepted nothing but queries, although it was asked for instances."""
        accepted = {context.sop_class_uid for context in association.contexts}
        return bool(accepted) and accepted <= {query.sop_class_uid for query in self._searcher.proposals}

    def _proposals(self, needed: ProposedContext) -> list[ProposedContext]:
        """Return what is needed, what was used before, for queries, and what may come, as far as it fits."""
        queries = self._searcher.proposals if self._is_asked and not self._searcher.is_alone else []
        return list(dict.fromkeys((needed, *self._used, *queries, *self._likely(needed.sop_class_uid))))[
            :MOST_CONTEXTS
        ]

    def _likely(self, *sop_class_uids: str) -> list[ProposedContext]:
        """Return the proposals for what is about to come, and for instances of these classes."""
        return list(dict.fromkeys((*self._used, *storage_proposals((*sop_class_uids, *self._expected)))))


class _Fragments:
    """The encoded data set of an instance. ``have_failed`` tells whether its source did."""

    def __init__(self, instance: IncomingInstance) -> None:
        self.have_failed = False
        self._instance = instance

    def __iter__(self) -> Iterator[bytes | memoryview]:
        try:
            for fragment in self._instance.fragments():
                if fragment:
                    yield fragment
        except AditError:
            self.have_failed = True
            raise


def _delivery(uid: str, status: int) -> Delivery:
    if status == SUCCESS:
        return Delivery(uid)
    words = in_words(status, Service.STORE)
    if is_warning(status):
        return Delivery(uid, warning=words, status=status)
    return Delivery(uid, failure=words, retryable=is_out_of_resources(status), status=status)
