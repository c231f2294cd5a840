"""Chooses the adapters that lead from one node to another."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from adit_core.dicom.archive import ArchiveDestination
from adit_core.dicom.changing import ChangingDestination, Transformer
from adit_core.dicom.dicomweb import WebDestination, WebSearcher, WebSource
from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.folder_index import FolderIndex
from adit_core.dicom.folder_source import FolderSearcher, FolderSource
from adit_core.dicom.fuzzy_find import DimseFuzzySearcher
from adit_core.dicom.layout import needs_description
from adit_core.dicom.move import DimseMoveSource, DirectMove
from adit_core.dicom.nifti import NiftiDestination
from adit_core.dicom.node import (
    ArchiveNode,
    ConnectionProfile,
    DicomWebNode,
    FolderNode,
    NiftiNode,
    Node,
    ServerNode,
    Service,
)
from adit_core.dicom.ports import Destination, FuzzySearcher, Searcher, Source
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.dicom.transfer import Route, Verification
from adit_core.errors import ActionNotPossible
from adit_core.settings import Settings

_INDEXED_FOLDERS = 8


@contextmanager
def open_route(
    source: Node,
    destination: Node,
    *,
    receiver: ReceiverAddress | None = None,
    direct: bool = False,
    transformer: Transformer | None = None,
) -> Iterator[Route]:
    """Yield the route from `source` to `destination`; its connections are closed at the end.

    Args:
        source: Where studies are retrieved, by C-GET if it can, else by C-MOVE.
        destination: Where they are delivered.
        receiver: Where the source can send to for C-MOVE.
        direct: Whether the source knows the destination as a move destination, so that it may send to
            it without a detour. Only for transfers that change nothing.
        transformer: What changes the instances on their way, if anything does.

    Raises:
        ActionNotPossible: `source` is a node that nothing can be retrieved from.
    """
    with ExitStack() as stack:
        yield Route(
            searcher=stack.enter_context(searcher_of(source)),
            source=stack.enter_context(source_of(source, receiver)),
            destination=stack.enter_context(_changed(destination_of(destination), transformer)),
            verification=_verification(destination),
            direct=_direct_mover(source, destination) if direct else None,
            describes_study=_needs_description(destination),
        )


def receiver_address(settings: Settings, patience: float = 0.0) -> ReceiverAddress | None:
    """Return where the receiver of this worker is; None if there is none, for it has a token otherwise.

    One that is away is waited for during `patience` seconds: by jobs, not where somebody waits for an answer.
    """
    if settings.receiver_token is None:
        return None
    return ReceiverAddress(
        ae_title=settings.receiver_ae_title,
        url=settings.receiver_url,
        token=settings.receiver_token.get_secret_value(),
        ca_file=settings.receiver_ca_file,
        patience=patience,
    )


def searcher_of(node: Node) -> Searcher:
    """Return what answers questions about a node.

    Raises:
        ActionNotPossible: It is a folder of archives or of NIfTI volumes.
    """
    match node:
        case FolderNode():
            return FolderSearcher(node, _index_of(node.path))
        case DicomWebNode():
            return WebSearcher(node)
        case ServerNode():
            return DimseSearcher(node)
        case ArchiveNode() | NiftiNode():
            raise _no_source(node)


def fuzzy_searcher_of(node: Node) -> FuzzySearcher | None:
    """Return what asks a node also for names that sound alike; None if it is a folder, which has none."""
    match node:
        case DicomWebNode():
            return WebSearcher(node)
        case ServerNode():
            return DimseFuzzySearcher(node)
        case _:
            return None


def source_of(node: Node, receiver: ReceiverAddress | None) -> Source:
    """Return what hands out the instances of a node.

    Raises:
        ActionNotPossible: Nothing can be retrieved from it, or only with a receiver, and there is none.
    """
    match node:
        case FolderNode():
            return FolderSource(node, _index_of(node.path))
        case DicomWebNode():
            return WebSource(node)
        case ServerNode():
            return _dimse_source(node, receiver)
        case ArchiveNode() | NiftiNode():
            raise _no_source(node)


def _dimse_source(node: ServerNode, receiver: ReceiverAddress | None) -> Source:
    if Service.GET in node.services:
        return DimseSource(node)
    if Service.MOVE not in node.services:
        raise ActionNotPossible(f"{node.name} supports neither C-GET nor C-MOVE.")
    if receiver is None:
        raise ActionNotPossible(f"{node.name} supports C-MOVE only, and there is no receiver for it.")
    return DimseMoveSource(node, receiver)


def _direct_mover(source: Node, destination: Node) -> DirectMove | None:
    """Return how to move directly, None if the source cannot, or the destination cannot be asked."""
    match source, destination:
        case ServerNode(), ServerNode():
            can_move = Service.MOVE in source.services and Service.FIND in destination.services
            return DirectMove(source, destination.ae_title) if can_move else None
        case _:
            return None


def _changed(destination: Destination, transformer: Transformer | None) -> Destination:
    return destination if transformer is None else ChangingDestination(destination, transformer)


def destination_of(node: Node) -> Destination:
    """Return what takes instances to a node, and tells what it holds."""
    match node:
        case FolderNode():
            return FolderDestination(node)
        case ArchiveNode():
            return ArchiveDestination(node)
        case NiftiNode():
            return NiftiDestination(node)
        case DicomWebNode():
            return WebDestination(node)
        case ServerNode():
            return DimseDestination(node)


@lru_cache(_INDEXED_FOLDERS)
def _index_of(path: Path) -> FolderIndex:
    """Return the index of a folder, which this process keeps from one study to the next."""
    return FolderIndex(path)


def _no_source(node: Node) -> ActionNotPossible:
    return ActionNotPossible(f"{node.name} holds no DICOM files; studies can only be transferred to it.")


def _needs_description(node: Node) -> bool:
    match node:
        case ServerNode() | DicomWebNode():
            return False
        case ArchiveNode():
            return node.names.needs_description or needs_description(node.archive)
        case FolderNode() | NiftiNode():
            return node.names.needs_description


def _verification(node: Node) -> Verification:
    profile = node.profile if isinstance(node, ServerNode | DicomWebNode) else ConnectionProfile()
    return Verification(attempts=profile.verify_attempts, delay=profile.verify_delay)
