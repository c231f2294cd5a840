"""The archive destination: what is in the files, what others can read, and what interruption leaves."""

import fcntl
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import py7zr
import pytest
import pyzipper
from py7zr.exceptions import PasswordRequired

from adit_core.dicom.archive import ArchiveDestination
from adit_core.dicom.layout import Names
from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import ArchiveFormat, ArchiveNode
from adit_core.dicom.part10 import FileInstance, read_file_instance
from adit_core.dicom.ports import Delivery, ExpectedSeries, ExpectedStudy
from adit_core.dicom.query import SeriesResult, StudyResult
from adit_core.dicom.transfer import Route, Verification, transfer_study
from adit_core.errors import DestinationFull, InvalidInput, OperationFailed, PeerBusy
from deployments.demo.studies import StudySpec, write_study
from tests import factories
from tests.archives import archive_files, archived_instances, extract
from tests.disks import small_disk
from tests.factories import instances_in
from tests.fakes.archive import FakeArchive

PASSWORD = "correct horse ä"
SPEC = factories.ct_study(3, patient_id="SECRET-ID", key="archive", patient_name="Secret^Name")


@pytest.fixture(params=list(ArchiveFormat))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveNode:
    return node_in(tmp_path, request.param)


def node_in(tmp_path: Path, kind: ArchiveFormat = ArchiveFormat.ZIP, **changes) -> ArchiveNode:
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    return ArchiveNode("research", root, PASSWORD, kind, **changes)


def incoming(tmp_path: Path, spec: StudySpec = SPEC) -> list[FileInstance]:
    folder = tmp_path / "in" / spec.study_instance_uid
    return [read_file_instance(path) for path in write_study(spec, folder)]


def deliver(node: ArchiveNode, instances: Iterable[FileInstance]) -> list[Delivery]:
    with ArchiveDestination(node) as destination:
        return list(destination.deliver(instances))


def held(node: ArchiveNode, spec: StudySpec = SPEC) -> frozenset[str]:
    with ArchiveDestination(node) as destination:
        return destination.held(factories.study_reference(spec), factories.series_references(spec))


def names_in(node: ArchiveNode) -> list[str]:
    return sorted(path.name for path in node.path.iterdir())


def contents_of(path: Path) -> list[str]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with py7zr.SevenZipFile(path, password=PASSWORD) as archive:
        return archive.namelist()


def test_an_archive_has_a_study_by_series_and_instance(node: ArchiveNode, tmp_path: Path):
    deliver(node, incoming(tmp_path))
    assert names_in(node) == [f"{SPEC.study_instance_uid}.{node.format}"]
    series = f"{SPEC.study_instance_uid}/{SPEC.series_instance_uid(0)}"
    names = contents_of(node.path / names_in(node)[0])
    assert sorted(names) == sorted(f"{series}/{uid}.dcm" for uid in SPEC.sop_instance_uids())


def test_contents_of_a_7z_cannot_even_be_listed_without_the_password(tmp_path: Path):
    node = node_in(tmp_path, ArchiveFormat.SEVEN_ZIP)
    deliver(node, incoming(tmp_path))
    (path,) = archive_files(node)
    with pytest.raises(PasswordRequired), py7zr.SevenZipFile(path):
        pass
    assert SPEC.series_instance_uid(0).encode() not in path.read_bytes()
    assert SPEC.series_instance_uid(0).encode("utf-16-le") not in path.read_bytes()


def test_contents_of_a_zip_are_encrypted_by_aes_256(tmp_path: Path):
    node = node_in(tmp_path, ArchiveFormat.ZIP)
    deliver(node, incoming(tmp_path))
    (path,) = archive_files(node)
    with pyzipper.AESZipFile(path) as archive:
        assert {entry.wz_aes_strength for entry in archive.infolist()} == {3}
        with pytest.raises(RuntimeError, match="encrypted"):
            archive.read(archive.namelist()[0])
    assert b"Secret^Name" not in path.read_bytes()


def test_studies_may_share_an_archive(tmp_path: Path, node: ArchiveNode):
    shared = ArchiveNode(node.name, node.path, PASSWORD, node.format, archive="job 17")
    studies = [factories.ct_study(2, key=f"shared {number}") for number in range(3)]
    for spec in studies:
        deliver(shared, incoming(tmp_path, spec))
    assert names_in(node) == [f"job 17.{node.format}"]
    assert archived_instances(shared) == instances_in(tmp_path / "in")
    for spec in studies:
        assert held(shared, spec) == spec.sop_instance_uids()


def test_an_archive_that_is_large_is_followed_by_another_one(tmp_path: Path, node: ArchiveNode):
    small = ArchiveNode(node.name, node.path, PASSWORD, node.format, archive="all", volume_size=1)
    studies = [factories.ct_study(2, key=f"volume {number}") for number in range(3)]
    for spec in studies:
        deliver(small, incoming(tmp_path, spec))
    assert names_in(node) == [f"all.{number}{node.format}" for number in ("2.", "3.", "")]
    assert archived_instances(small) == instances_in(tmp_path / "in")
    for spec in studies:
        assert {one.failure for one in deliver(small, incoming(tmp_path, spec))} == {""}
        assert held(small, spec) == spec.sop_instance_uids()
    assert len(names_in(node)) == 3


def test_the_archive_is_named_after_what_is_known_of_the_study(tmp_path: Path):
    names = Names(patient="", instance="{InstanceNumber:03}")
    node = node_in(tmp_path, archive="{PatientID} {StudyDate}", names=names)
    series = ExpectedSeries(
        SeriesResult(factories.series_reference(SPEC, 0), "CT", 1),
        tuple(factories.instance_result(SPEC, 0, number) for number in range(3)),
    )
    study = StudyResult(factories.study_reference(SPEC), study_date=date(2024, 1, 2))
    with ArchiveDestination(node) as destination:
        destination.expect(ExpectedStudy(study, (series,)))
        list(destination.deliver(incoming(tmp_path)))
        assert destination.held(study.reference, [series.series.reference]) == SPEC.sop_instance_uids()
    assert names_in(node) == ["SECRET-ID 20240102.zip"]
    entries = contents_of(node.path / names_in(node)[0])
    assert sorted(Path(entry).name[:4] for entry in entries) == ["001~", "002~", "003~"]


def test_another_version_of_an_instance_does_not_replace_it(node: ArchiveNode, tmp_path: Path):
    instances = incoming(tmp_path)
    expected = instances_in(tmp_path / "in")
    deliver(node, instances)
    changed = instances[1].path
    changed.write_bytes(changed.read_bytes().replace(b"Secret^Name", b"Sacred^Name"))
    deliveries = deliver(node, [read_file_instance(changed), instances[0]])
    assert [one.failure for one in deliveries] == ["the archive holds something else under its name", ""]
    assert archived_instances(node) == expected


def test_the_password_is_needed_to_add_and_is_never_told(node: ArchiveNode, tmp_path: Path):
    deliver(node, incoming(tmp_path))
    (path,) = archive_files(node)
    before = path.read_bytes()
    other = ArchiveNode(node.name, node.path, "another one", node.format)
    # The names in a zip can be read without a password.
    actions = [lambda: deliver(other, incoming(tmp_path))] + [lambda: held(other)] * (path.suffix == ".7z")
    for action in actions:
        with pytest.raises(OperationFailed, match="damaged, or has another password") as caught:
            action()
        assert "another one" not in str(caught.value)
    assert path.read_bytes() == before
    assert PASSWORD not in repr(node)
    with pytest.raises(InvalidInput, match="password"):
        ArchiveNode("research", node.path, "")


def test_a_damaged_archive_is_told_and_left_alone(node: ArchiveNode, tmp_path: Path):
    deliver(node, incoming(tmp_path))
    (path,) = archive_files(node)
    content = path.read_bytes()[:-20]
    path.write_bytes(content)
    with pytest.raises(OperationFailed, match="damaged") as caught:
        deliver(node, incoming(tmp_path))
    assert "SECRET" not in str(caught.value)
    assert path.read_bytes() == content


def test_who_cannot_have_the_archive_is_told_that_it_is_busy(tmp_path: Path):
    node = node_in(tmp_path, archive="job", lock_timeout=0.2)
    with (node.path / ".job.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PeerBusy):
            deliver(node, incoming(tmp_path))
    assert {one.failure for one in deliver(node, incoming(tmp_path))} == {""}
    assert names_in(node) == ["job.zip"]


ADDS_A_STUDY = """
import sys
from pathlib import Path
from adit_core.dicom.archive import ArchiveDestination
from adit_core.dicom.node import ArchiveFormat, ArchiveNode
from adit_core.dicom.part10 import read_file_instance

root, kind, password, *files = sys.argv[1:]
node = ArchiveNode("research", Path(root), password, ArchiveFormat(kind), archive="job")

def instances():
    for path in files:
        if path == "stuck":
            print("stuck", flush=True)
            sys.stdin.read()
        else:
            yield read_file_instance(Path(path))

list(ArchiveDestination(node).deliver(instances()))
"""


def adding_process(node: ArchiveNode, files: list[str | Path]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", ADDS_A_STUDY, node.path, node.format, PASSWORD, *files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )


def test_tasks_that_add_at_the_same_time_all_complete(tmp_path: Path, node: ArchiveNode):
    studies = [factories.ct_study(2, key=f"at once {number}") for number in range(3)]
    processes = [adding_process(node, [one.path for one in incoming(tmp_path, spec)]) for spec in studies]
    for process in processes:
        process.communicate(timeout=100)
        assert process.returncode == 0
    assert names_in(node) == [f"job.{node.format}"]
    assert archived_instances(node) == instances_in(tmp_path / "in")


@pytest.mark.parametrize("before", [0, 1], ids=["no archive before", "an archive before"])
def test_a_killed_process_leaves_the_archive_as_it_was_and_a_retry_completes_it(
    tmp_path: Path, node: ArchiveNode, before: int
):
    job = ArchiveNode(node.name, node.path, PASSWORD, node.format, archive="job")
    first, second = (factories.ct_study(2, key=key) for key in ("first", "second"))
    if before:
        deliver(job, incoming(tmp_path, first))
    expected = archived_instances(job)
    instances = incoming(tmp_path, second)
    with adding_process(node, [instances[0].path, "stuck"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stuck\n"
        os.kill(process.pid, signal.SIGKILL)
    assert archived_instances(job) == expected
    assert {one.failure for one in deliver(job, instances)} == {""}
    assert names_in(node) == [f"job.{node.format}"]
    assert held(job, second) == second.sop_instance_uids()
    assert len(archived_instances(job)) == 2 + 2 * before


def test_a_full_disk_leaves_the_archive_as_it_was(tmp_path: Path, node: ArchiveNode):
    with small_disk(node.path, "256k"):
        deliver(node, incoming(tmp_path))
        files = {path.name: path.read_bytes() for path in node.path.iterdir()}
        large = factories.ct_study(8, rows=512, key="large")
        with pytest.raises(DestinationFull):
            deliver(node, incoming(tmp_path, large))
        assert {path.name: path.read_bytes() for path in node.path.iterdir()} == files


def test_a_missing_folder_is_not_made(tmp_path: Path):
    node = ArchiveNode("research", tmp_path / "missing", PASSWORD)
    for action in (lambda: deliver(node, incoming(tmp_path)), lambda: held(node)):
        with pytest.raises(OperationFailed, match="research"):
            action()


USES_MEMORY = """
import sys
from pathlib import Path
from adit_core.dicom.archive import ArchiveDestination
from adit_core.dicom.node import ArchiveFormat, ArchiveNode
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference

class Large:
    reference = InstanceReference(SeriesReference(StudyReference("1.2"), "1.3"), "1.4")
    header = InstanceHeader("1.2.840.10008.5.1.4.1.1.2", "1.4", "1.2.840.10008.1.2.1")
    def fragments(self):
        for _ in range(1200):
            yield bytes(1 << 18)

node = ArchiveNode("research", Path(sys.argv[1]), "password", ArchiveFormat(sys.argv[2]))
(delivery,) = ArchiveDestination(node).deliver([Large()])
assert not delivery.failure
# Not getrusage: its peak includes that of the process that started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_memory_does_not_depend_on_the_size_of_an_instance(tmp_path: Path, node: ArchiveNode):
    run = subprocess.run(
        [sys.executable, "-c", USES_MEMORY, node.path, node.format],
        stdout=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(run.stdout) < 200_000  # in KiB, for an instance of 300 MiB


def test_a_second_transfer_sends_nothing(tmp_path: Path, node: ArchiveNode):
    source = FakeArchive()
    source.load(write_study(SPEC, tmp_path / "in"))

    def transfer():
        route = Route(source.searcher(), source.source(), ArchiveDestination(node), Verification(1, 0))
        return transfer_study(route, factories.study_reference(SPEC), Selection())

    assert transfer().sent == 3
    again = transfer()
    assert (again.sent, again.delivered, again.is_complete) == (0, 3, True)
    (path,) = archive_files(node)
    extract(path, PASSWORD, tmp_path / "out")
    assert instances_in(tmp_path / "out") == instances_in(tmp_path / "in")
