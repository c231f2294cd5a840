"""Chooses the adapters that lead from one node to another."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from adit_core.dicom.dicomweb import WebDestination, WebSearcher, WebSource
from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.node import ConnectionProfile, DicomWebNode, FolderNode, Node, ServerNode
from adit_core.dicom.ports import Destination, Searcher, Source
from adit_core.dicom.transfer import Route, Verification
from adit_core.errors import ActionNotPossible


@contextmanager
def open_route(source: Node, destination: Node) -> Iterator[Route]:
    """Yield the route from `source` to `destination`; its connections are closed at the end.

    Raises:
        ActionNotPossible: `source` is a node that nothing can be retrieved from.
    """
    if isinstance(source, FolderNode):
        raise ActionNotPossible(f"{source.name} is a folder; studies can be transferred to it, not from it.")
    with ExitStack() as stack:
        yield Route(
            searcher=stack.enter_context(open_searcher(source)),
            source=stack.enter_context(_source(source)),
            destination=stack.enter_context(_destination(destination)),
            verification=_verification(destination),
        )


def open_searcher(node: ServerNode | DicomWebNode) -> Searcher:
    """Return what answers questions about a node, to be closed by the caller."""
    return WebSearcher(node) if isinstance(node, DicomWebNode) else DimseSearcher(node)


def _source(node: ServerNode | DicomWebNode) -> Source:
    return WebSource(node) if isinstance(node, DicomWebNode) else DimseSource(node)


def _destination(node: Node) -> Destination:
    match node:
        case FolderNode():
            return FolderDestination(node)
        case DicomWebNode():
            return WebDestination(node)
        case ServerNode():
            return DimseDestination(node)


def _verification(node: Node) -> Verification:
    profile = ConnectionProfile() if isinstance(node, FolderNode) else node.profile
    return Verification(attempts=profile.verify_attempts, delay=profile.verify_delay)
