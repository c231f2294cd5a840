"""C-MOVE: having an archive send instances to our receiver, or straight to the destination (PS3.4 C.4.2)."""

import select
import time
from contextlib import AbstractContextManager

from adit_core.dicom.association import Association
from adit_core.dicom.command import Command, CommandField
from adit_core.dicom.contexts import message_proposals
from adit_core.dicom.handover_stream import HandedInstance
from adit_core.dicom.identifier import encode_identifier
from adit_core.dicom.node import QueryRoot, ServerNode, Service
from adit_core.dicom.ports import Inlet, RetrieveRequest, Source
from adit_core.dicom.status import PENDING, SUCCESS, is_warning, status_error
from adit_core.dicom.subscription import ReceiverAddress, Subscription
from adit_core.dicom.wishes import Wish, missing_wishes, study_wish
from adit_core.errors import AditError, OperationFailed, PeerBusy, PeerTimeout

GRACE = 10.0
"""Seconds without an arrival, after an archive has said that it is done, until the rest is given up."""

_MOVE_CLASSES = {
    QueryRoot.PATIENT: "1.2.840.10008.5.1.4.1.2.1.2",
    QueryRoot.STUDY: "1.2.840.10008.5.1.4.1.2.2.2",
}
_DESTINATION_UNKNOWN = 0xA801
_FLUSH_INTERVAL = 1.0
_HAND_OVER_TIME = 0.1
"""Seconds within which a receiver begins to hand over what it has got."""
_DIRECT_PATIENCE = 600.0
"""Seconds that an archive may be busy with a direct move without a word; it need not tell how far it is."""


class DimseMoveSource(Source):
    """Retrieves from an archive by C-MOVE through our receiver; implements Source of the ports.

    The study is subscribed to first, so that what arrives is taken as it comes. What waits already, for
    a worker that died, is taken before anything is asked for. An archive answers when it thinks that it
    is done; how long is waited then for what it expects to have sent:

    ====================  ==================================  ===================================
    final status          sub-operations that it counts done  waited
    ====================  ==================================  ===================================
    any                   some                                until as many have arrived
    failure               none, or it does not say            only for what is being handed over
    success or warning    none, or it does not say            until all that was asked for has
    ====================  ==================================  ===================================

    It is waited as long as something arrives within the grace time.
    """

    def __init__(self, node: ServerNode, receiver: ReceiverAddress, grace: float = GRACE) -> None:
        self._node = node
        self._receiver = receiver
        self._grace = grace

    def close(self) -> None:
        """Do nothing: connections are open during a retrieval only."""

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        """Put the instances of `request` into `inlet`, as they arrive at the receiver.

        Raises:
            PeerBusy: The archive answered with a failure, and the receiver has no room.
            PeerBusy, OperationFailed, IncompleteTransfer: Not one instance came, and the archive
                answered with a failure.
            NoPresentationContext: The archive does not support C-MOVE.
            AditError: The association or the connection to the receiver failed; what had come
                completely has gone into `inlet`.
            Exception: What `inlet` raised; the archive was told to end the operation then.
        """
        if not request.parts:
            return
        with Subscription(self._receiver, request.study.study_instance_uid) as subscription:
            arrivals = _Arrivals(subscription, request, inlet)
            arrivals.take_what_waits()
            retrieval = _Retrieval(self._node, self._receiver.ae_title, arrivals, self._grace)
            retrieval.fetch(request)
            # Archives tell it in many ways, or not at all, that they were refused for want of space.
            if retrieval.has_failed and not subscription.has_room():
                raise PeerBusy(f"The receiver at {self._receiver.url} is full: its spool's disk is low")
        retrieval.raise_failure()


class DirectMove:
    """Has an archive send instances straight to the node whose AE title it knows as `destination`."""

    def __init__(self, node: ServerNode, destination: str, patience: float = _DIRECT_PATIENCE) -> None:
        self._node = node
        self._destination = destination
        self._patience = patience

    def move(self, request: RetrieveRequest) -> AditError | None:
        """Ask for the instances of `request`, and return what the archive said went wrong, if it said so.

        What arrived is for the caller to find out, at the destination.

        Raises:
            NoPresentationContext: The archive does not support C-MOVE.
            AditError: The association failed.
        """
        wishes = [study_wish(self._node, request)] if request.whole else None
        failure: AditError | None = None
        with _open(self._node) as association:
            for wish in wishes or missing_wishes(self._node, request.parts, ()):
                exchange = _Exchange(association, self._node, wish, self._destination)
                with exchange.under_way():
                    while exchange.final is None:
                        exchange.take_response(self._patience)
                failure = failure or exchange.failure()
        return failure


class _Exchange:
    """One C-MOVE operation, whose request is sent. ``final`` is the response that ended it, if it came."""

    def __init__(self, association: Association, node: ServerNode, wish: Wish, destination: str) -> None:
        self.final: Command | None = None
        self.last = time.monotonic()
        """When something was sent or received."""
        self._association = association
        self._destination = destination
        self._wish = wish
        move_class = _MOVE_CLASSES[node.query_root]
        context = self._context = association.context_of(move_class)
        self._request = Command(
            CommandField.C_MOVE_RQ,
            association.next_message_id(),
            move_class,
            has_data_set=True,
            move_destination=destination,
        )
        association.send(context, self._request, [encode_identifier(wish.keys, context.transfer_syntax_uid)])

    def under_way(self) -> AbstractContextManager[None]:
        """Have the archive end the operation if the block is left early."""
        return self._association.responses_to(self._context, self._request)

    def take_response(self, patience: float | None = None) -> None:
        """Read the next response, waiting for it `patience` seconds instead of the silence timeout."""
        message = self._association.receive(patience)
        self._association.check_response(message, self._request)
        # The list of what failed, if there is one, adds nothing: what arrived is compared with what was
        # asked for.
        self._association.skip_data_set()
        self.last = time.monotonic()
        if message.command.status not in PENDING:
            self.final = message.command

    def failure(self) -> AditError | None:
        """Return the error that the final status stands for, None for success."""
        status = self.final.status if self.final else SUCCESS
        operation = f"{self._association.peer}: C-MOVE of {self._wish} to {self._destination}"
        if status == SUCCESS:
            return None
        if status == _DESTINATION_UNKNOWN:
            return OperationFailed(
                f"{operation} ended with status 0xA801: the archive does not know this AE title as a move "
                "destination; enter it there, with its host and port"
            )
        return status_error(status, Service.MOVE, operation)


class _Arrivals:
    """Takes in what the receiver hands over, and knows what came."""

    def __init__(self, subscription: Subscription, request: RetrieveRequest, inlet: Inlet) -> None:
        self.received: set[str] = set()
        self.last = 0.0
        """When something arrived."""
        self._subscription = subscription
        self._inlet = inlet
        self._wanted = {
            instance.reference.sop_instance_uid for part in request.parts for instance in part.instances
        }
        self._last_flush = time.monotonic()

    def has_input(self) -> bool:
        return self._subscription.has_input()

    def fileno(self) -> int:
        return self._subscription.fileno()

    def take_what_waits(self) -> None:
        """Take in what the receiver had before."""
        while self.take_next():
            pass

    def take_next(self) -> bool:
        """Take in the next instance; return False if the receiver says that there is none now."""
        handed = self._subscription.next_instance()
        if handed is not None:
            self._take_in(handed)
        if time.monotonic() - self._last_flush >= _FLUSH_INTERVAL:
            self._last_flush = time.monotonic()
            self._subscription.flush()
        return handed is not None

    def take_next_within(self, seconds: float) -> bool:
        """Wait for the receiver at most for so long, and take in what comes; return False if nothing did."""
        if not self.has_input():
            _poll(seconds, self)
        if not self.has_input():
            return False
        self.take_next()
        return True

    def _take_in(self, handed: HandedInstance) -> None:
        """Pass an instance on if it is wanted; others were asked for by other tasks of the same study."""
        uid = handed.header.sop_instance_uid
        if uid in self._wanted and uid not in self.received:
            self._inlet.begin(handed.header)
            for fragment in self._subscription.fragments():
                self._inlet.write(fragment)
            self._inlet.end()
            self.received.add(uid)
        self._subscription.acknowledge(uid)
        self.last = time.monotonic()


class _Retrieval:
    """One retrieval: asks for what has not come, and knows why the rest did not."""

    def __init__(self, node: ServerNode, ae_title: str, arrivals: _Arrivals, grace: float) -> None:
        self._node = node
        self._ae_title = ae_title
        self._arrivals = arrivals
        self._grace = grace
        self._failure: AditError | None = None

    def fetch(self, request: RetrieveRequest) -> None:
        """Ask for everything that has not come yet, over one association."""
        received = self._arrivals.received
        if request.whole and not received:
            wishes = [study_wish(self._node, request)]
        else:
            wishes = missing_wishes(self._node, request.parts, received)
        if not wishes:
            return
        with _open(self._node) as association:
            for wish in wishes:
                self._move(association, wish)
                if received.isdisjoint(wish.sop_instance_uids):
                    self._move_one_by_one(association, wish)

    @property
    def has_failed(self) -> bool:
        """True if the archive answered with anything but success."""
        return self._failure is not None

    def raise_failure(self) -> None:
        """Raise why nothing came, if nothing came and the archive said why."""
        if self._failure is not None and not self._arrivals.received:
            raise self._failure

    def _move_one_by_one(self, association: Association, wish: Wish) -> None:
        """Ask for the instances of a list one after the other, for archives that know no lists."""
        for single in wish.singles():
            self._move(association, single)

    def _move(self, association: Association, wish: Wish) -> None:
        exchange = _Exchange(association, self._node, wish, self._ae_title)
        before = len(self._arrivals.received)
        with exchange.under_way():
            while exchange.final is None:
                if association.has_input():
                    exchange.take_response()
                elif self._arrivals.has_input():
                    self._arrivals.take_next()
                else:
                    self._wait(association, max(exchange.last, self._arrivals.last))
        failure = exchange.failure()
        if exchange.final.completed:
            self._await_stragglers(wish, before + exchange.final.completed)
        elif failure is None or is_warning(exchange.final.status):
            self._await_stragglers(wish, before + len(wish.sop_instance_uids))
        else:
            self._take_what_is_at_hand()
        self._failure = self._failure or failure

    def _wait(self, association: Association, last: float) -> None:
        """Wait for the archive or the receiver; that of which nothing is heard for too long has stalled."""
        left = last + self._node.profile.silence_timeout - time.monotonic()
        if left <= 0:
            raise PeerTimeout(
                f"{association.peer} neither answered nor sent anything to {self._ae_title} "
                f"for {self._node.profile.silence_timeout:g} s"
            )
        _poll(left, association, self._arrivals)

    def _await_stragglers(self, wish: Wish, expected: int) -> None:
        """Take in what is still on its way until `expected` have arrived, see DimseMoveSource."""
        arrivals = self._arrivals
        done_at = time.monotonic()
        while len(arrivals.received) < expected and not arrivals.received.issuperset(wish.sop_instance_uids):
            left = max(done_at, arrivals.last) + self._grace - time.monotonic()
            if left <= 0:
                return
            self._arrivals.take_next_within(left)

    def _take_what_is_at_hand(self) -> None:
        """Take in what the receiver has got and is about to hand over."""
        while self._arrivals.take_next_within(_HAND_OVER_TIME):
            pass


def _open(node: ServerNode) -> Association:
    return Association.open(node, message_proposals(_MOVE_CLASSES[node.query_root]))


def _poll(seconds: float, *connections: Association | _Arrivals) -> None:
    """Wait until one of the connections can be read, at most for so long."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection.fileno(), select.POLLIN)
    poll.poll(seconds * 1000)
