"""What every destination does when it becomes full: tell it, and have what it said, whole.

qrscp is not among them: it leaves half a file where the disk ends.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from adit_core.dicom.archive import ArchiveDestination
from adit_core.dicom.dicomweb import WebDestination
from adit_core.dicom.dimse import DimseDestination
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.nifti import NiftiDestination
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, FolderNode, NiftiNode
from adit_core.dicom.part10 import read_file_instance
from adit_core.dicom.ports import Delivery, Destination
from adit_core.errors import AditError, DestinationFull
from deployments.demo.studies import write_study
from tests import factories, servers
from tests.archives import archived_instances
from tests.disks import small_disk
from tests.factories import instances_in
from tests.fakes.archive import FakeArchive
from tests.volumes import recorded_instances

SPEC = factories.ct_study(16, rows=512, key="full")
"""8 MB, which compress well."""
SIZE, SIZE_FOR_ARCHIVES = "2m", "256k"


@dataclass(frozen=True)
class Tight:
    """A destination with room for less than SPEC."""

    destination: Callable[[], Destination]
    contents: Callable[[], set[str]]
    """Returns the UIDs of all instances, after comparing each with what was sent."""
    raises: bool = False
    """Whether it is known to be full, so that nothing more is tried."""


Build = Callable[[Path, dict[str, str], ExitStack], Tight]


def _same(arrived: dict[str, str], sent: dict[str, str]) -> set[str]:
    assert arrived.items() <= sent.items()
    return set(arrived)


def _fake(_disk: Path, _sent: dict[str, str], _stack: ExitStack) -> Tight:
    archive = FakeArchive()
    archive.faults.is_full = True
    return Tight(archive.destination, lambda: set(archive.contents()))


def _folder(disk: Path, sent: dict[str, str], _stack: ExitStack) -> Tight:
    node = FolderNode("folder", disk)
    return Tight(lambda: FolderDestination(node), lambda: _same(instances_in(disk), sent), raises=True)


def _archive(kind: ArchiveFormat) -> Build:
    def build(disk: Path, sent: dict[str, str], _stack: ExitStack) -> Tight:
        node = ArchiveNode("archive", disk, "password", kind)
        return Tight(
            lambda: ArchiveDestination(node), lambda: _same(archived_instances(node), sent), raises=True
        )

    return build


def _nifti(disk: Path, _sent: dict[str, str], _stack: ExitStack) -> Tight:
    node = NiftiNode("nifti", disk)
    return Tight(lambda: NiftiDestination(node), lambda: set(recorded_instances(disk)), raises=True)


def _orthanc(disk: Path, stack: ExitStack) -> servers.OrthancServer:
    """Run an Orthanc whose files are on the disk; its index is not, which grows in steps of its own."""
    return stack.enter_context(
        servers.orthanc(disk.with_name("orthanc"), settings={"StorageDirectory": str(disk)})
    )


def _orthanc_dimse(disk: Path, sent: dict[str, str], stack: ExitStack) -> Tight:
    server = _orthanc(disk, stack)
    return Tight(lambda: DimseDestination(server.archive.node), lambda: _same(server.contents(), sent))


def _orthanc_web(disk: Path, sent: dict[str, str], stack: ExitStack) -> Tight:
    server = _orthanc(disk, stack)
    return Tight(lambda: WebDestination(server.archive.web_node), lambda: _same(server.contents(), sent))


def _dcmqrscp(disk: Path, sent: dict[str, str], stack: ExitStack) -> Tight:
    server = stack.enter_context(servers.dcmqrscp(disk))
    return Tight(lambda: DimseDestination(server.archive.node), lambda: _same(server.contents(), sent))


@pytest.mark.parametrize(
    ("build", "size"),
    [
        pytest.param(_fake, SIZE, id="fake"),
        pytest.param(_folder, SIZE, id="folder"),
        pytest.param(_archive(ArchiveFormat.SEVEN_ZIP), SIZE_FOR_ARCHIVES, id="7z"),
        pytest.param(_archive(ArchiveFormat.ZIP), SIZE_FOR_ARCHIVES, id="zip"),
        pytest.param(_nifti, SIZE, id="nifti"),
        pytest.param(_orthanc_dimse, SIZE, id="orthanc", marks=pytest.mark.system),
        pytest.param(_orthanc_web, SIZE, id="orthanc-web", marks=pytest.mark.system),
        pytest.param(_dcmqrscp, SIZE, id="dcmqrscp", marks=pytest.mark.system),
    ],
)
def test_full_destination_says_so_and_has_what_it_took(build: Build, size: str, tmp_path: Path) -> None:
    files = write_study(SPEC, tmp_path / "in")
    sent = instances_in(tmp_path / "in")
    deliveries: list[Delivery] = []
    failure: AditError | None = None
    with ExitStack() as stack:
        tight = build(stack.enter_context(small_disk(tmp_path / "disk", size)), sent, stack)
        try:
            with tight.destination() as destination:
                deliveries.extend(destination.deliver(map(read_file_instance, files)))
        except AditError as error:
            failure = error
        taken = {delivery.sop_instance_uid for delivery in deliveries if not delivery.failure}
        assert len(taken) < SPEC.instances
        assert isinstance(failure, DestinationFull) if tight.raises else failure is None
        assert tight.contents() == taken
        assert _held(tight) == taken
    refused = [delivery for delivery in deliveries if delivery.failure]
    assert all(delivery.retryable for delivery in refused)
    assert refused or failure


def _held(tight: Tight) -> frozenset[str] | None:
    with tight.destination() as destination:
        return destination.held(factories.study_reference(SPEC), factories.series_references(SPEC))
