"""The NIfTI destination: what lies on the disk, what it tells, and what is never told."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from adit_core.dicom import conversion
from adit_core.dicom.layout import Names
from adit_core.dicom.manifest import Selection
from adit_core.dicom.nifti import NiftiDestination
from adit_core.dicom.node import NiftiNode, SidecarContent
from adit_core.dicom.part10 import FileInstance, read_file_instance
from adit_core.dicom.ports import Delivery, ExpectedSeries, ExpectedStudy, IncomingInstance
from adit_core.dicom.query import SeriesResult, StudyResult
from adit_core.dicom.transfer import Route, Verification, transfer_study
from adit_core.errors import DestinationFull, OperationFailed
from deployments.demo.studies import Form, SeriesSpec, StudySpec, write_study
from tests import factories
from tests.disks import small_disk
from tests.fakes.archive import FakeArchive
from tests.volumes import read_volume, recorded_instances

SPEC = factories.ct_study(4, patient_id="SECRET-ID", key="nifti", patient_name="Secret^Name")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def incoming(tmp_path: Path, spec: StudySpec = SPEC) -> list[FileInstance]:
    return [read_file_instance(path) for path in write_study(spec, tmp_path / "in")]


def announcement(spec: StudySpec) -> ExpectedStudy:
    series = (
        ExpectedSeries(
            SeriesResult(factories.series_reference(spec, index), one.form.modality, index + 1),
            tuple(factories.instance_result(spec, index, number) for number in range(one.instances)),
        )
        for index, one in enumerate(spec.series)
    )
    return ExpectedStudy(StudyResult(factories.study_reference(spec)), tuple(series))


def deliver(
    node: NiftiNode, instances: Sequence[IncomingInstance], expected: ExpectedStudy | None = None
) -> list[Delivery]:
    with NiftiDestination(node) as destination:
        if expected:
            destination.expect(expected)
        return list(destination.deliver(instances))


def held(node: NiftiNode, spec: StudySpec, *, announced: bool = True) -> frozenset[str]:
    with NiftiDestination(node) as destination:
        if announced:
            destination.expect(announcement(spec))
        return destination.held(factories.study_reference(spec), factories.series_references(spec))


def everything_in(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def sidecar(root: Path) -> dict[str, Any]:
    (path,) = root.rglob("image.json")
    return json.loads(path.read_text())


def test_a_series_becomes_a_volume_a_sidecar_and_a_record(root: Path, tmp_path: Path):
    node = NiftiNode("research", root, Names(series="{SeriesNumber:03}_{Modality}_{SeriesInstanceUID}"))
    deliver(node, incoming(tmp_path), announcement(SPEC))
    folder = f"SECRET-ID/{SPEC.study_instance_uid}/001_CT_{SPEC.series_instance_uid(0)}"
    assert everything_in(root) == [
        f"{folder}/{name}" for name in ("image.json", "image.nii.gz", "instances.json")
    ]
    assert read_volume(root / folder / "image.nii.gz").shape == (32, 32, 4)


def test_voxels_are_the_pixels_of_the_instances(root: Path, tmp_path: Path):
    instances = incoming(tmp_path)
    deliver(NiftiNode("research", root), instances)
    (path,) = root.rglob("image.nii.gz")
    volume, pixels = read_volume(path), dcmread(instances[0].path).PixelData
    assert volume.data_type == "i2"
    rows = [volume.data[start : start + 64] for start in range(0, len(volume.data), 64)]
    slices = {b"".join(reversed(rows[start : start + 32])) for start in range(0, len(rows), 32)}
    assert pixels in slices
    assert len(slices) == 4


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless, DeflatedExplicitVRLittleEndian])
def test_compressed_series_is_converted(root: Path, tmp_path: Path, syntax: str):
    spec = factories.study(SeriesSpec(Form.CT, 3, "", 32, 32, transfer_syntax_uid=syntax), key=syntax)
    deliveries = deliver(NiftiNode("research", root), incoming(tmp_path, spec))
    assert {delivery.failure for delivery in deliveries} == {""}
    assert held(NiftiNode("research", root), spec) == spec.sop_instance_uids()


def test_multi_frame_instance_becomes_a_volume(root: Path, tmp_path: Path):
    spec = factories.study(SeriesSpec(Form.ENHANCED_CT, 1, "", 32, 32, frames=10), key="frames")
    deliver(NiftiNode("research", root), incoming(tmp_path, spec))
    (path,) = root.rglob("*.nii.gz")
    assert read_volume(path).shape == (32, 32, 10)


SECRETS = (b"SECRET", b"Secret", b"Referrer", b"Hospital", b"113344", b"11:33", b"1962", b"2024", b"2.25.")


def test_nothing_names_the_patient_a_date_or_a_uid(root: Path, tmp_path: Path):
    spec = replace(SPEC, accession_number="SECRET1", description="SECRET text", study_time="113344")
    node = NiftiNode("research", root, Names(patient=""))
    deliver(node, incoming(tmp_path, spec))
    for path in root.rglob("image*"):
        content = path.read_bytes()
        text = gzip.decompress(content)[:352] if path.suffix == ".gz" else content
        for secret in SECRETS:
            assert secret not in text


def test_technical_values_stay_in_the_sidecar(root: Path, tmp_path: Path):
    spec = factories.study(SeriesSpec(Form.MR, 3, "", 32, 32), key="technical")
    deliver(NiftiNode("research", root), incoming(tmp_path, spec))
    values = sidecar(root)
    assert (values["Modality"], values["EchoTime"], values["MagneticFieldStrength"]) == ("MR", 0.09, 1.5)
    assert values["ImageOrientationPatientDICOM"] == [1, 0, 0, 0, 1, 0]


def test_a_node_may_keep_everything_in_sidecars(root: Path, tmp_path: Path):
    deliver(NiftiNode("research", root, sidecars=SidecarContent.EVERYTHING), incoming(tmp_path))
    assert sidecar(root)["PatientName"] == "Secret^Name"


def test_series_without_images_are_never_taken(root: Path):
    spec = factories.study(SeriesSpec(Form.CT, 1), SeriesSpec(Form.REPORT, 1), key="report")
    refused = NiftiDestination(NiftiNode("research", root)).expect(announcement(spec))
    assert refused == {spec.series_instance_uid(1): "modality SR has no images"}


def test_instances_without_images_fail_for_good(root: Path, tmp_path: Path):
    spec = factories.study(SeriesSpec(Form.REPORT, 1), key="report that was not announced")
    (delivery,) = deliver(NiftiNode("research", root), incoming(tmp_path, spec))
    assert delivery.failure == "the series holds no images that NIfTI can hold"
    assert not delivery.retryable
    assert everything_in(root) == []


def test_series_of_which_an_instance_is_no_image_fails_as_a_whole(root: Path, tmp_path: Path):
    instances = incoming(tmp_path)
    content = instances[2].path.read_bytes()
    instances[2].path.write_bytes(content[: instances[2].data_set_offset] + bytes(100))
    deliveries = deliver(NiftiNode("research", root), instances, announcement(SPEC))
    assert {delivery.failure for delivery in deliveries} == {
        "dcm2niix could not convert some instances of the series"
    }
    assert everything_in(root) == []
    assert held(NiftiNode("research", root), SPEC) == frozenset()


def test_damaged_deflated_instance_fails_with_its_series_only(root: Path, tmp_path: Path):
    series = SeriesSpec(Form.CT, 2, "", 32, 32, transfer_syntax_uid=DeflatedExplicitVRLittleEndian)
    spec = factories.study(series, SeriesSpec(Form.MR, 2, "", 32, 32), key="damaged")
    instances = incoming(tmp_path, spec)
    broken = next(
        one for one in instances if one.header.transfer_syntax_uid == DeflatedExplicitVRLittleEndian
    )
    broken.path.write_bytes(broken.path.read_bytes()[: broken.data_set_offset] + b"\xff" * 200)
    deliver(NiftiNode("research", root), instances, announcement(spec))
    whole = {spec.sop_instance_uid(1, number) for number in range(2)}
    assert held(NiftiNode("research", root), spec) == whole


def test_series_that_did_not_come_whole_is_not_converted_but_may_be_later(root: Path, tmp_path: Path):
    node, instances = NiftiNode("research", root), incoming(tmp_path)
    deliveries = deliver(node, instances[:3], announcement(SPEC))
    assert [(one.failure, one.retryable) for one in deliveries] == [
        ("the series did not come whole", True)
    ] * 3
    assert everything_in(root) == []
    assert {one.failure for one in deliver(node, instances, announcement(SPEC))} == {""}
    assert held(node, SPEC) == SPEC.sop_instance_uids()


def test_series_that_has_grown_is_converted_anew(root: Path, tmp_path: Path):
    node, instances = NiftiNode("research", root), incoming(tmp_path)
    deliver(node, instances[:2])
    assert held(node, SPEC) == frozenset()
    deliver(node, instances, announcement(SPEC))
    assert held(node, SPEC) == SPEC.sop_instance_uids()
    (path,) = root.rglob("*.nii.gz")
    assert read_volume(path).shape == (32, 32, 4)


def test_instances_whose_volume_was_removed_are_not_held(root: Path, tmp_path: Path):
    node = NiftiNode("research", root)
    deliver(node, incoming(tmp_path))
    assert held(node, SPEC) == SPEC.sop_instance_uids()
    next(root.rglob("*.nii.gz")).unlink()
    assert held(node, SPEC) == frozenset()


def test_a_damaged_record_tells_of_nothing(root: Path, tmp_path: Path):
    node = NiftiNode("research", root)
    deliver(node, incoming(tmp_path))
    for content in (b"", b"[]", b"{}", b'{"SeriesInstanceUID": 1}', b"\xff"):
        next(root.rglob("instances.json")).write_bytes(content)
        assert held(node, SPEC) == frozenset()


def test_interleaved_series_are_told_in_the_order_in_which_instances_came(root: Path, tmp_path: Path):
    spec = factories.study(*[SeriesSpec(Form.CT, 2, "", 32, 32)] * 2, key="interleaved")
    first, second, third, fourth = incoming(tmp_path, spec)
    order = [first, third, fourth, second]
    deliveries = deliver(NiftiNode("research", root), order, announcement(spec))
    assert deliveries == [Delivery(one.header.sop_instance_uid) for one in order]


def test_conversion_that_takes_too_long_is_ended_and_may_be_tried_again(root: Path, tmp_path: Path):
    deliveries = deliver(NiftiNode("research", root, timeout=0.0001), incoming(tmp_path))
    assert {(one.failure, one.retryable) for one in deliveries} == {("dcm2niix took too long", True)}
    assert everything_in(root) == []


def test_a_program_that_is_missing_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversion, "bin_path", tmp_path / "missing")
    deliveries = deliver(NiftiNode("research", root), incoming(tmp_path))
    assert {one.failure for one in deliveries} == {"dcm2niix could not be run, or crashed"}


def test_irregular_series_is_delivered_with_a_warning(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\n"{conversion.bin_path}" "$@"\nexit 10\n')
    program.chmod(0o755)
    monkeypatch.setattr(conversion, "bin_path", program)
    deliveries = deliver(NiftiNode("research", root), incoming(tmp_path))
    assert {one.failure for one in deliveries} == {""}
    assert all("irregular" in one.warning for one in deliveries)
    assert held(NiftiNode("research", root), SPEC) == SPEC.sop_instance_uids()


def test_a_missing_folder_is_not_made(tmp_path: Path):
    with pytest.raises(OperationFailed, match="research: a working folder"):
        deliver(NiftiNode("research", tmp_path / "missing"), incoming(tmp_path))


def test_a_full_disk_is_told_and_leaves_nothing(root: Path, tmp_path: Path):
    with small_disk(root, "256k"):
        spec = factories.ct_study(4, rows=512, key="full")
        with pytest.raises(DestinationFull):
            deliver(NiftiNode("research", root), incoming(tmp_path, spec))
        assert everything_in(root) == []


def test_a_disk_that_holds_the_instances_but_not_their_volume_is_full(root: Path, tmp_path: Path):
    spec = factories.ct_study(8, rows=512, key="nearly full")
    with small_disk(root, "6m"):
        with pytest.raises(DestinationFull):
            deliver(NiftiNode("research", root), incoming(tmp_path, spec), announcement(spec))
        assert everything_in(root) == []


STUCK_IN_A_SERIES = """
import sys
from pathlib import Path
from adit_core.dicom.nifti import NiftiDestination
from adit_core.dicom.node import NiftiNode
from adit_core.dicom.part10 import read_file_instance

def stuck():
    yield read_file_instance(Path(sys.argv[2]))
    print("stuck", flush=True)
    sys.stdin.read()

list(NiftiDestination(NiftiNode("research", Path(sys.argv[1]))).deliver(stuck()))
"""


@pytest.fixture
def stuck_process(root: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK_IN_A_SERIES, root, incoming(tmp_path)[0].path],
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
    root: Path, tmp_path: Path, stuck_process: "subprocess.Popen[bytes]"
):
    os.kill(stuck_process.pid, signal.SIGKILL)
    stuck_process.wait()
    assert any(name.endswith(".dcm") for name in everything_in(root))
    deliver(NiftiNode("research", root), incoming(tmp_path))
    assert sorted(recorded_instances(root)) == sorted(SPEC.sop_instance_uids())
    assert [path for path in root.iterdir() if path.name.startswith(".")] == []


def test_folder_that_another_process_works_in_is_left_alone(
    root: Path, tmp_path: Path, stuck_process: "subprocess.Popen[bytes]"
):
    deliver(NiftiNode("research", root), incoming(tmp_path))
    assert stuck_process.poll() is None
    (folder,) = root.glob(".*.work")
    assert list(folder.rglob("*.dcm"))


def test_a_transfer_accounts_for_images_and_for_what_is_none(root: Path, tmp_path: Path):
    spec, source = factories.mixed_study(), FakeArchive()
    source.load(write_study(spec, tmp_path / "in"))
    node = NiftiNode("research", root)

    def transfer():
        route = Route(source.searcher(), source.source(), NiftiDestination(node), Verification(1, 0))
        return transfer_study(route, factories.study_reference(spec), Selection())

    outcome = transfer()
    images = set(spec.sop_instance_uids()) - {spec.sop_instance_uid(1, 0)}
    assert spec.series[1].form is Form.REPORT
    assert (outcome.failed, outcome.filtered, outcome.delivered) == (0, 1, len(images)), outcome.message()
    assert set(recorded_instances(root)) == images
    assert transfer().sent == 0
