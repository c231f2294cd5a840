"""Chooses the adapters that lead from one node to another."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.node import ConnectionProfile, FolderNode, Node, ServerNode
from adit_core.dicom.ports import Destination
from adit_core.dicom.transfer import Route, Verification
from adit_core.errors import ActionNotPossible


@contextmanager
def open_route(source: Node, destination: Node) -> Iterator[Route]:
    """Yield the route from `source` to `destination`; its connections are closed at the end.

    Raises:
        ActionNotPossible: `source` is a node that nothing can be retrieved from.
    """
    if not isinstance(source, ServerNode):
        raise ActionNotPossible(f"{source.name} is a folder; studies can be transferred to it, not from it.")
    with ExitStack() as stack:
        yield Route(
            searcher=stack.enter_context(DimseSearcher(source)),
            source=stack.enter_context(DimseSource(source)),
            destination=stack.enter_context(_destination(destination)),
            verification=_verification(destination),
        )


def _destination(node: Node) -> Destination:
    return FolderDestination(node) if isinstance(node, FolderNode) else DimseDestination(node)


def _verification(node: Node) -> Verification:
    profile = node.profile if isinstance(node, ServerNode) else ConnectionProfile()
    return Verification(attempts=profile.verify_attempts, delay=profile.verify_delay)
