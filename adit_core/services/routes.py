"""Chooses the adapters that lead from one node to another."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.move import DimseMoveSource, DirectMove
from adit_core.dicom.node import ConnectionProfile, FolderNode, Node, ServerNode, Service
from adit_core.dicom.ports import Destination, Source
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.dicom.transfer import Route, Verification
from adit_core.errors import ActionNotPossible
from adit_core.settings import Settings


@contextmanager
def open_route(
    source: Node, destination: Node, *, receiver: ReceiverAddress | None = None, direct: bool = False
) -> Iterator[Route]:
    """Yield the route from `source` to `destination`; its connections are closed at the end.

    Args:
        source: Where studies are retrieved, by C-GET if it can, else by C-MOVE.
        destination: Where they are delivered.
        receiver: Where the source can send to for C-MOVE.
        direct: Whether the source knows the destination as a move destination, so that it may send to
            it without a detour. Only for transfers that change nothing.

    Raises:
        ActionNotPossible: `source` is a node that nothing can be retrieved from.
    """
    if not isinstance(source, ServerNode):
        raise ActionNotPossible(f"{source.name} is a folder; studies can be transferred to it, not from it.")
    with ExitStack() as stack:
        yield Route(
            searcher=stack.enter_context(DimseSearcher(source)),
            source=stack.enter_context(_source(source, receiver)),
            destination=stack.enter_context(_destination(destination)),
            verification=_verification(destination),
            direct=_direct_mover(source, destination) if direct else None,
        )


def receiver_address(settings: Settings) -> ReceiverAddress | None:
    """Return where the receiver of this worker is; None if there is none, for it has a token otherwise."""
    if settings.receiver_token is None:
        return None
    return ReceiverAddress(
        ae_title=settings.receiver_ae_title,
        url=settings.receiver_url,
        token=settings.receiver_token.get_secret_value(),
        ca_file=settings.receiver_ca_file,
    )


def _source(node: ServerNode, receiver: ReceiverAddress | None) -> Source:
    if Service.GET in node.services:
        return DimseSource(node)
    if Service.MOVE not in node.services:
        raise ActionNotPossible(f"{node.name} supports neither C-GET nor C-MOVE.")
    if receiver is None:
        raise ActionNotPossible(f"{node.name} supports C-MOVE only, and there is no receiver for it.")
    return DimseMoveSource(node, receiver)


def _direct_mover(source: ServerNode, destination: Node) -> DirectMove | None:
    """Return how to move directly, None if the source cannot, or the destination cannot be asked."""
    can_move = Service.MOVE in source.services
    if not can_move or not isinstance(destination, ServerNode) or Service.FIND not in destination.services:
        return None
    return DirectMove(source, destination.ae_title)


def _destination(node: Node) -> Destination:
    return FolderDestination(node) if isinstance(node, FolderNode) else DimseDestination(node)


def _verification(node: Node) -> Verification:
    profile = node.profile if isinstance(node, ServerNode) else ConnectionProfile()
    return Verification(attempts=profile.verify_attempts, delay=profile.verify_delay)
