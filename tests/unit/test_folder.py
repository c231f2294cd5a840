"""The folder destination: what lies on the disk, and what is left when something goes wrong."""

import errno
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Generator, Iterator
from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread

from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.layout import Names
from adit_core.dicom.node import FolderNode
from adit_core.dicom.part10 import FileInstance, encode_file_header, read_file_instance
from adit_core.dicom.ports import Delivery, ExpectedSeries, ExpectedStudy
from adit_core.dicom.query import InstanceResult, SeriesResult, StudyResult
from adit_core.dicom.references import InstanceReference
from adit_core.errors import AditError, ConnectionFailed, DestinationFull, OperationFailed
from deployments.demo.studies import StudySpec, write_study
from tests import factories
from tests.disks import small_disk

SPEC = factories.ct_study(3, patient_id="0004711", key="folder")


def everything_in(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def destination(root: Path) -> FolderDestination:
    return FolderDestination(FolderNode("research", root))


def incoming(tmp_path: Path, spec: StudySpec = SPEC) -> list[FileInstance]:
    return [read_file_instance(path) for path in write_study(spec, tmp_path / "in")]


def test_files_lie_below_patient_study_and_series(root: Path, destination: FolderDestination, tmp_path: Path):
    list(destination.deliver(incoming(tmp_path)))
    series = f"0004711/{SPEC.study_instance_uid}/{SPEC.series_instance_uid(0)}"
    assert everything_in(root) == sorted(f"{series}/{uid}.dcm" for uid in SPEC.sop_instance_uids())


def test_data_set_lies_untouched_behind_a_header_of_ours(
    root: Path, destination: FolderDestination, tmp_path: Path
):
    instance = incoming(tmp_path)[0]
    list(destination.deliver([instance]))
    (written,) = root.rglob("*.dcm")
    data_set = b"".join(instance.fragments())
    assert written.read_bytes() == encode_file_header(instance.header) + data_set


def test_files_are_read_by_others(root: Path, destination: FolderDestination, tmp_path: Path):
    list(destination.deliver(incoming(tmp_path)))
    read = [dcmread(path) for path in root.rglob("*.dcm")]
    assert {dataset.SOPInstanceUID for dataset in read} == SPEC.sop_instance_uids()
    assert {dataset.file_meta.TransferSyntaxUID for dataset in read} == {"1.2.840.10008.1.2.1"}


def test_study_without_patient_lies_below_unknown(root: Path, destination: FolderDestination, tmp_path: Path):
    spec = factories.ct_study(1, patient_id="", key="nobody")
    list(destination.deliver(incoming(tmp_path, spec)))
    assert [path.name for path in root.iterdir()] == ["unknown"]


def test_file_with_a_name_that_was_made_safe_is_held_by_its_uid(
    destination: FolderDestination, tmp_path: Path
):
    strange = "1.2.abc/../3"
    path = tmp_path / "strange.dcm"
    dataset = factories.dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2", PatientID="P", StudyInstanceUID="1.2"
    )
    dataset.SeriesInstanceUID = "1.3"
    whole = incoming(tmp_path)[0]
    header = type(whole.header)(whole.header.sop_class_uid, strange, whole.header.transfer_syntax_uid)
    path.write_bytes(encode_file_header(header) + b"".join(whole.fragments()))
    instance = read_file_instance(path)
    list(destination.deliver([instance]))
    series = instance.reference.series
    assert destination.held(series.study, [series]) == {strange}


def test_unfinished_and_foreign_files_are_not_held(
    root: Path, destination: FolderDestination, tmp_path: Path
):
    instances = incoming(tmp_path)
    list(destination.deliver(instances[:1]))
    (written,) = root.rglob("*.dcm")
    written.with_name(".0123.part").write_bytes(b"half")
    written.with_name("notes~12345678.dcm").write_bytes(b"no DICOM")
    series = instances[0].reference.series
    assert destination.held(series.study, [series]) == {instances[0].header.sop_instance_uid}


READABLE = Names(
    patient="sub-{PatientID}",
    study="{StudyDate} {StudyDescription}",
    series="{SeriesNumber:03}_{Modality}",
    instance="{Modality}",
)


def expected(spec: StudySpec) -> ExpectedStudy:
    """Return what a searcher would tell of a study; no instance has a number."""
    study = StudyResult(
        factories.study_reference(spec), study_date=date(2024, 1, 2), study_description=spec.description
    )
    series = [
        ExpectedSeries(
            SeriesResult(reference, spec.series[index].form.modality, index + 1),
            tuple(
                InstanceResult(InstanceReference(reference, spec.sop_instance_uid(index, number)))
                for number in range(spec.series[index].instances)
            ),
        )
        for index, reference in enumerate(factories.series_references(spec))
    ]
    return ExpectedStudy(study, tuple(series))


def test_names_are_made_as_the_node_says(root: Path, tmp_path: Path):
    destination = FolderDestination(FolderNode("research", root, READABLE))
    destination.expect(expected(SPEC))
    list(destination.deliver(incoming(tmp_path)))
    (series,) = {path.parent.relative_to(root) for path in root.rglob("*.dcm")}
    patient, study, last = series.parts
    assert patient == "sub-0004711"
    assert study.startswith("20240102 Test_study~")
    assert last.startswith("001_CT~")
    assert factories.instances_in(root) == factories.instances_in(tmp_path / "in")


def test_instances_of_one_name_are_told_apart_and_held(root: Path, tmp_path: Path):
    destination = FolderDestination(FolderNode("research", root, READABLE))
    destination.expect(expected(SPEC))
    list(destination.deliver(incoming(tmp_path)))
    assert {path.name.split("~")[0] for path in root.rglob("*.dcm")} == {"CT"}
    assert len(list(root.rglob("*.dcm"))) == 3
    held = destination.held(factories.study_reference(SPEC), factories.series_references(SPEC))
    assert held == SPEC.sop_instance_uids()


def test_two_studies_of_one_name_have_folders_of_their_own(root: Path, tmp_path: Path):
    for key in ("one", "other"):
        spec = factories.ct_study(2, key=key)
        destination = FolderDestination(FolderNode("research", root, READABLE))
        destination.expect(expected(spec))
        list(destination.deliver(incoming(tmp_path, spec)))
    (patient,) = root.iterdir()
    assert len(list(patient.iterdir())) == 2
    assert factories.instances_in(root) == factories.instances_in(tmp_path / "in")


@pytest.mark.parametrize("content", ["another instance", "no DICOM"])
def test_file_of_something_else_is_not_overwritten(root: Path, tmp_path: Path, content: str):
    destination = FolderDestination(FolderNode("research", root, READABLE))
    destination.expect(expected(SPEC))
    instances = incoming(tmp_path)
    list(destination.deliver(instances))
    other = instances[1].path.read_bytes() if content == "another instance" else b"notes of somebody"
    (path,) = (each for each in root.rglob("*.dcm") if SPEC_UIDS[0] in each.read_bytes())
    path.write_bytes(other)
    (delivery,) = destination.deliver([by_uid(instances)[SPEC.sop_instance_uid(0, 0)]])
    assert delivery.failure == "its file name is taken by something else"
    assert path.read_bytes() == other


SPEC_UIDS = [SPEC.sop_instance_uid(0, index).encode() for index in range(3)]


def by_uid(instances: list[FileInstance]) -> dict[str, FileInstance]:
    return {instance.header.sop_instance_uid: instance for instance in instances}


class Breaking(FileInstance):
    """An instance whose source breaks after its first bytes."""

    def fragments(self) -> Iterator[bytes]:
        yield b"\x00" * 1000
        raise ConnectionFailed("the source broke")


def broken(whole: FileInstance) -> Breaking:
    return Breaking(whole.path, whole.reference, whole.header, whole.data_set_offset)


def test_broken_instance_leaves_no_file(root: Path, destination: FolderDestination, tmp_path: Path):
    with pytest.raises(ConnectionFailed, match="the source broke"):
        list(destination.deliver([broken(incoming(tmp_path)[0])]))
    assert everything_in(root) == []


def test_broken_instance_does_not_replace_the_one_that_is_there(
    root: Path, destination: FolderDestination, tmp_path: Path
):
    whole = incoming(tmp_path)[0]
    list(destination.deliver([whole]))
    before = factories.instances_in(root)
    with pytest.raises(ConnectionFailed):
        list(destination.deliver([broken(whole)]))
    assert factories.instances_in(root) == before


def test_delivery_that_is_given_up_leaves_no_unfinished_file(
    root: Path, destination: FolderDestination, tmp_path: Path
):
    def endless() -> Iterator[FileInstance]:
        instances = incoming(tmp_path)
        while True:
            yield from instances

    deliveries = destination.deliver(endless())
    assert isinstance(deliveries, Generator)
    next(deliveries)
    deliveries.close()
    assert not list(root.rglob("*.part"))


KILLED_IN_AN_INSTANCE = """
import sys
import traceback
from pathlib import Path
from adit_core.dicom.folder import FolderDestination
from adit_core.dicom.node import FolderNode
from adit_core.dicom.part10 import FileInstance, read_file_instance

class Stuck(FileInstance):
    def fragments(self):
        yield bytes(1 << 20)
        print("stuck", flush=True)
        sys.stdin.read()

whole = read_file_instance(Path(sys.argv[2]))
stuck = Stuck(whole.path, whole.reference, whole.header, whole.data_set_offset)
list(FolderDestination(FolderNode("research", Path(sys.argv[1]))).deliver([stuck]))
"""


@pytest.fixture
def stuck_process(root: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in the middle of the first instance of SPEC."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_IN_AN_INSTANCE, root, incoming(tmp_path)[0].path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stuck\n"
        yield process
        process.kill()


def test_what_a_killed_process_left_is_removed_by_the_next_delivery(
    root: Path, destination: FolderDestination, tmp_path: Path, stuck_process: "subprocess.Popen[bytes]"
):
    stuck_process.send_signal(signal.SIGKILL)
    stuck_process.wait()
    assert [Path(name).suffix for name in everything_in(root)] == [".part"]
    list(destination.deliver(incoming(tmp_path)))
    assert [Path(name).suffix for name in everything_in(root)] == [".dcm"] * 3


def test_file_that_another_process_writes_is_left_alone(
    root: Path, destination: FolderDestination, tmp_path: Path, stuck_process: "subprocess.Popen[bytes]"
):
    list(destination.deliver(incoming(tmp_path)))
    assert stuck_process.poll() is None
    assert len(list(root.rglob("*.part"))) == 1
    assert len(list(root.rglob("*.dcm"))) == 3


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    with small_disk(tmp_path / "tiny", "1m") as path:
        yield path


def test_full_disk_is_told_and_what_fitted_stays_whole(tiny_disk: Path, tmp_path: Path):
    spec = factories.ct_study(12, rows=256, patient_id="SECRET", key="full")
    destination = FolderDestination(FolderNode("research", tiny_disk))
    taken: list[Delivery] = []
    with pytest.raises(DestinationFull, match="no space is left") as raised:
        taken.extend(destination.deliver(incoming(tmp_path, spec)))
    expected = factories.instances_in(tmp_path / "in")
    arrived = factories.instances_in(tiny_disk)
    assert 0 < len(arrived) < 12
    assert {delivery.sop_instance_uid for delivery in taken} == set(arrived)
    assert arrived.items() <= expected.items()
    assert not list(tiny_disk.rglob("*.part"))
    assert "SECRET" not in "".join(traceback.format_exception(raised.value))


def test_folder_that_is_not_there_is_not_made(tmp_path: Path):
    missing = tmp_path / "not mounted"
    destination = FolderDestination(FolderNode("research", missing))
    with pytest.raises(OperationFailed, match="not mounted"):
        list(destination.deliver(incoming(tmp_path)))
    with pytest.raises(OperationFailed, match="not mounted"):
        destination.held(factories.study_reference(SPEC), factories.series_references(SPEC))
    assert not missing.exists()


def test_folder_that_may_not_be_written_to_is_told_without_the_patient(tmp_path: Path):
    destination = FolderDestination(FolderNode("research", Path("/sys")))
    with pytest.raises(OperationFailed, match="research") as raised:
        list(destination.deliver(incoming(tmp_path)))
    assert "/sys" in str(raised.value)
    assert SPEC.study_instance_uid in str(raised.value)
    assert "0004711" not in "".join(traceback.format_exception(raised.value))


def test_file_in_the_place_of_a_folder_is_told(root: Path, destination: FolderDestination, tmp_path: Path):
    (root / "0004711").write_text("in the way")
    with pytest.raises(OperationFailed, match="Not a directory"):
        list(destination.deliver(incoming(tmp_path)))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EDQUOT, DestinationFull),
        (errno.EIO, ConnectionFailed),
        (errno.ESTALE, ConnectionFailed),
        (errno.EROFS, OperationFailed),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else value.__name__,
)
def test_instance_that_cannot_be_synced_is_not_there(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[AditError]
):
    destination = FolderDestination(FolderNode("research", root))
    instances = incoming(tmp_path)

    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(expected):
        list(destination.deliver(instances))
    assert everything_in(root) == []


def test_instance_is_yielded_only_when_file_and_folders_are_synced(
    root: Path, destination: FolderDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: set[int] = set()
    really = os.fsync

    def recording(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    next(destination.deliver(incoming(tmp_path)[:1]))
    (written,) = root.rglob("*.dcm")
    path, needed = written, set()
    while path != root.parent:
        needed.add(path.stat().st_ino)
        path = path.parent
    assert needed <= synced
