"""Transfers for a project: what arrives, under which names, and what stays here."""

import json
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from sqlmodel import select

from adit_core.db import (
    AuditEvent,
    DicomNode,
    HeldInstance,
    JobKind,
    JobStatus,
    Partition,
    PatientLink,
    StorageForm,
    StudyLink,
    TaskStatus,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.db.projects import PseudonymSource
from adit_core.deid.pixels.regions import Rectangle
from adit_core.deid.profile import builtin_profiles
from adit_core.dicom.references import StudyReference
from adit_core.errors import ActionNotPossible, InvalidInput, NotAllowed, NotFound
from adit_core.services.dry_run import dry_run
from adit_core.services.held import (
    foresee_release,
    list_held,
    look_at_held,
    picture_of_held,
    reject_held,
    release_held,
)
from adit_core.services.preview import preview_studies
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.submit_selective import PickedStudy
from adit_core.services.submit_upload import submit_upload
from adit_core.services.uploads import UploadLimits, receive_upload
from adit_core.services.uploads import files_below as open_files
from deployments.demo.specs import Form, SeriesSpec, StudySpec
from deployments.demo.studies import write_study
from tests.factories import ct_study, study
from tests.mass import mass_options
from tests.projects import Way, files_below, found_in, identifying, make_project
from tests.rows import make_folder, make_server, make_user
from tests.servers import OrthancServer

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize(
        "backend", ["sqlite"]
    ),  # what depends on the database is tested on both elsewhere
]

MIXED = study(
    SeriesSpec(Form.CT, 4, "Axial", 32, 32, private=True),
    SeriesSpec(Form.US_CINE, 2, "Cine", 24, 32, frames=3),
    SeriesSpec(Form.REPORT, 1, "Report"),
    patient_id="PID-4711-08",
    patient_name="Müller-Lüdenscheid^Jörg",
    character_set="ISO_IR 100",
    accession_number="ACC081547",
    key="pseudonymized",
)
CHEST = ct_study(3, key="pseudonymized chest", patient_id="PID-0815-99", accession_number="ACC99")


@pytest.fixture
def staff(database: Database) -> User:
    return make_user(database, "staff", staff=True)


@pytest.fixture
def way(
    database: Database, staff: User, orthanc_source: OrthancServer, orthanc_destination: OrthancServer
) -> Way:
    """From one Orthanc to another one, by DIMSE, either of which may be asked to send directly."""
    source = _server(database, "PACS", orthanc_source)
    destination = _server(database, "RESEARCH", orthanc_destination)
    return Way(database, staff, source, destination, make_project(database))


@pytest.fixture
def from_folder(database: Database, staff: User, tmp_path: Path) -> Way:
    """From one folder to another one."""
    for name in ("studies", "arrivals"):
        (tmp_path / name).mkdir()
    source = make_folder(database, "Studies", path=str(tmp_path / "studies"))
    destination = make_folder(database, "Arrivals", path=str(tmp_path / "arrivals"))
    return Way(database, staff, source, destination, make_project(database))


def _server(database: Database, name: str, server: OrthancServer) -> DicomNode:
    node = server.archive.node
    return make_server(
        database, name, ae_title=node.ae_title, host=node.host, port=node.port, supports_move=True
    )


def load_source(server: OrthancServer, folder: Path, *specs: StudySpec) -> dict[str, Dataset]:
    """Load an archive and return the originals by their SOP Instance UIDs."""
    paths = [path for spec in specs for path in write_study(spec, folder)]
    server.archive.load(paths)
    originals = map(dcmread, paths)
    return {original.SOPInstanceUID: original for original in originals}


def arrived(server: OrthancServer) -> Iterator[tuple[bytes, Dataset]]:
    """Yield all instances of an archive: as bytes, and read."""
    for name in server.rest.get("/instances").json():
        content = server.rest.get(f"/instances/{name}/file").content
        yield content, dcmread(BytesIO(content))


def uids_of(spec: StudySpec, series: int) -> set[str]:
    return {spec.sop_instance_uid(series, number) for number in range(spec.series[series].instances)}


def test_a_study_arrives_under_its_pseudonym_and_nothing_of_the_patient_does(
    way: Way, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    originals = load_source(orthanc_source, tmp_path, MIXED)
    job, (task,) = way.run(way.submit(MIXED))

    assert (task.status, job.status) == (TaskStatus.WARNING, JobStatus.WARNING)
    assert "2 instances wait for a reviewer" in task.message
    # The report is excluded, and ultrasound may show who the patient is.
    assert (task.planned, task.delivered, task.filtered, task.failed) == (7, 4, 3, 0)
    engine = way.engine(MIXED)
    delivered = {engine.mapped_uid(uid): originals[uid] for uid in uids_of(MIXED, 0)}
    files = list(arrived(orthanc_destination))
    assert {made.SOPInstanceUID for _, made in files} == delivered.keys()
    for _, made in files:
        assert made.PatientID == made.PatientName == task.pseudonym
        assert made.PatientIdentityRemoved == "YES"
        assert made.PixelData == delivered[made.SOPInstanceUID].PixelData
        assert made.StudyInstanceUID == engine.mapped_uid(MIXED.study_instance_uid)
        assert made.StudyDate != MIXED.study_date
    assert found_in(identifying([MIXED]), [content for content, _ in files]) == []


def test_what_has_arrived_is_not_sent_again(
    way: Way, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    load_source(orthanc_source, tmp_path, MIXED, CHEST)
    way.run(way.submit(MIXED, CHEST))
    before = orthanc_destination.contents()

    _, tasks = way.run(way.submit(MIXED, CHEST))
    assert [(task.delivered, task.sent) for task in tasks] == [(4, 0), (3, 0)]
    assert orthanc_destination.contents() == before
    assert len(list_held(way.db, way.user)) == 4, "two for each job"


def test_a_patient_has_one_pseudonym_in_all_jobs_and_another_one_in_other_projects(
    way: Way, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    load_source(orthanc_source, tmp_path, CHEST)
    other = make_project(way.db, "Other", pseudonyms=PseudonymSource.RANDOM)
    names = []
    for project in ("Trial", "Other", "Trial", "Other"):
        _, (task,) = way.run(way.submit(CHEST, project=project))
        assert task.status is TaskStatus.SUCCESS
        names.append(task.pseudonym)
    assert names[:2] == names[2:]
    assert names[0] != names[1]
    with way.db.reading() as session:
        links = session.exec(select(StudyLink, PatientLink).join(PatientLink)).all()
    assert {patient.project_id for _, patient in links} == {way.project.id, other.id}
    assert len({study.pseudonymized_study_instance_uid for study, _ in links}) == 2


def test_trial_and_dates_are_as_the_project_says(
    way: Way, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    load_source(orthanc_source, tmp_path, CHEST)
    make_project(
        way.db,
        "Compatible",
        profile=builtin_profiles()["adit-compatible"],
        pseudonyms=PseudonymSource.GIVEN,
        trial_protocol_id="T-1",
        trial_protocol_name="First trial",
    )
    way.run(way.submit(CHEST, project="Compatible", pseudonym="ANON 7"))
    for _, made in arrived(orthanc_destination):
        assert made.PatientID == made.PatientName == "ANON 7"
        assert (made.ClinicalTrialProtocolID, made.ClinicalTrialProtocolName) == ("T-1", "First trial")
        assert made.StudyDate == CHEST.study_date


def test_folders_and_archives_are_named_after_the_pseudonym(from_folder: Way, tmp_path: Path) -> None:
    write_study(MIXED, tmp_path / "studies")
    from_folder.run(from_folder.submit(MIXED, pseudonym="ANON7"))
    names = [path.relative_to(tmp_path / "arrivals") for path in (tmp_path / "arrivals").rglob("*")]
    assert names
    assert "ANON7" in str(names)
    assert found_in(identifying([MIXED]), [str(name).encode() for name in names]) == []
    assert len(files_below(tmp_path / "arrivals")) == 4

    _, (task,) = from_folder.run(from_folder.submit(MIXED, pseudonym="ANON7"))
    assert (task.delivered, task.sent) == (4, 0)


def test_nifti_sidecars_tell_nothing_of_a_patient_whatever_the_node_says(
    from_folder: Way, tmp_path: Path
) -> None:
    write_study(CHEST, tmp_path / "studies")
    (tmp_path / "volumes").mkdir()
    make_folder(
        from_folder.db,
        "Volumes",
        path=str(tmp_path / "volumes"),
        storage=StorageForm.NIFTI,
        sidecars="everything",
    )
    _, (task,) = from_folder.run(from_folder.submit(CHEST, destination="Volumes", pseudonym="ANON8"))
    assert task.status is TaskStatus.SUCCESS, task.message
    files = [path for path in (tmp_path / "volumes").rglob("*") if path.is_file()]
    sidecars = [json.loads(path.read_text()) for path in files if path.suffix == ".json"]
    assert sidecars
    assert not any(key.startswith("Patient") and key != "PatientPosition" for one in sidecars for key in one)
    names = [str(path).encode() for path in files]
    assert found_in(identifying([CHEST]), [*names, *(path.read_bytes() for path in files)]) == []


def test_an_upload_is_pseudonymized(from_folder: Way, tmp_path: Path) -> None:
    paths = write_study(CHEST, tmp_path / "to upload")
    limits = UploadLimits(total_bytes=1 << 30, files=100)
    upload = receive_upload(
        from_folder.db, from_folder.user, open_files(paths), root=tmp_path / "uploads", limits=limits
    )
    request = from_folder.request(source=None)
    job_id = submit_upload(from_folder.db, from_folder.launcher, request, upload.id)
    _, (task,) = from_folder.run(job_id)
    assert (task.status, task.delivered) == (TaskStatus.SUCCESS, 3)
    assert {made.PatientID for made in files_below(tmp_path / "arrivals")} == {task.pseudonym}


def test_a_mass_transfer_gives_keyed_pseudonyms(from_folder: Way, tmp_path: Path) -> None:
    for spec in (MIXED, CHEST):
        write_study(spec, tmp_path / "studies")
    options = mass_options(first_day="2024-01-01", last_day="2024-01-03", partition=Partition.WEEKLY)
    job_id = submit_mass_transfer(from_folder.db, from_folder.launcher, from_folder.request(), options)
    from_folder.run(job_id)
    _, tasks = from_folder.run(job_id)
    assert {task.pseudonym for task in tasks} == {
        made.PatientID for made in files_below(tmp_path / "arrivals")
    }
    assert len({task.pseudonym for task in tasks}) == 2
    _, (again,) = from_folder.run(from_folder.submit(CHEST))
    assert again.pseudonym in {task.pseudonym for task in tasks}


def test_a_mass_transfer_needs_a_project_that_makes_pseudonyms(from_folder: Way) -> None:
    make_project(from_folder.db, "Given", pseudonyms=PseudonymSource.GIVEN)
    with pytest.raises(InvalidInput, match="project: Project Given makes no pseudonyms"):
        submit_mass_transfer(
            from_folder.db,
            from_folder.launcher,
            from_folder.request(project="Given"),
            mass_options(first_day="2024-01-01", last_day="2024-01-03"),
        )


def test_an_instance_of_somebody_else_stays_here_and_the_others_leave(
    from_folder: Way, tmp_path: Path
) -> None:
    first, *_ = write_study(CHEST, tmp_path / "studies")
    stranger = dcmread(first)
    stranger.PatientID = "SOMEBODY ELSE"
    stranger.save_as(first)
    _, (task,) = from_folder.run(from_folder.submit(CHEST))
    assert task.status is TaskStatus.FAILURE
    assert (task.planned, task.delivered, task.failed) == (3, 2, 1)
    assert "Patient ID" in task.message
    assert "SOMEBODY" not in task.message
    assert len(files_below(tmp_path / "arrivals")) == 2


def test_an_instance_that_is_damaged_behind_its_pixels_stays_here_and_the_others_leave(
    from_folder: Way, tmp_path: Path
) -> None:
    paths = write_study(CHEST, tmp_path / "studies")
    with paths[0].open("ab") as file:
        # A sequence of undefined length that never ends, after the pixel data.
        file.write(bytes.fromhex("FEFF00E0") + b"\xff\xff\xff\xff")
        file.write(b"\xfc\xff\xfc\xffOW\x00\x00\x40\x00\x00\x00too short")
    _, (task,) = from_folder.run(from_folder.submit(CHEST))
    assert (task.status, task.delivered, task.failed) == (TaskStatus.FAILURE, 2, 1), task.message
    assert len(files_below(tmp_path / "arrivals")) == 2


def test_a_reviewer_looks_at_what_is_held_back_and_lets_it_go_blanked(
    way: Way, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    originals = load_source(orthanc_source, tmp_path, MIXED)
    job, _ = way.run(way.submit(MIXED))
    held, rejected = list_held(way.db, way.user, job_id=job.id)
    assert {held.sop_instance_uid, rejected.sop_instance_uid} == uids_of(MIXED, 1)
    assert held.reason.startswith("possible burned-in text")

    picture = picture_of_held(way.db, way.user, held.id, receiver=None)
    assert picture.startswith(b"\x89PNG")

    region = Rectangle(left=0, top=0, width=32, height=8)
    seen = look_at_held(way.db, way.user, held.id, receiver=None)
    foreseen = foresee_release(way.db, way.user, held.id, [region], receiver=None)
    before, after = (np.asarray(Image.open(BytesIO(one.png))) for one in (seen, foreseen))
    assert (seen.rows, seen.columns, seen.frames) == (*before.shape[:2], 3)
    assert before[:8].any(), "there is something to be blanked"
    assert not after[:8].any()
    assert after[8:].any()  # brighter or darker than before, as grey values are spread anew
    with pytest.raises(InvalidInput, match="no pixels"):
        release_held(way.db, way.launcher, way.user, [held.id], blank=[region._replace(width=0)])
    release_held(way.db, way.launcher, way.user, [held.id], blank=[region])
    reject_held(way.db, way.user, [rejected.id])
    with pytest.raises(ActionNotPossible, match="released before"):
        release_held(way.db, way.launcher, way.user, [held.id])
    with pytest.raises(ActionNotPossible, match="rejected before"):
        reject_held(way.db, way.user, [rejected.id])

    job, (task,) = way.run(job.id)
    assert (task.delivered, task.filtered, task.sent) == (5, 2, 1)
    assert task.message == "1 instances were held back: rejected by a reviewer."
    engine = way.engine(MIXED)
    made = {instance.SOPInstanceUID: instance for _, instance in arrived(orthanc_destination)}
    assert engine.mapped_uid(rejected.sop_instance_uid) not in made
    blanked = made[engine.mapped_uid(held.sop_instance_uid)]
    before = originals[held.sop_instance_uid].pixel_array
    after = blanked.pixel_array
    assert blanked.BurnedInAnnotation == "NO"
    assert not after[:, :8].any()
    assert before[:, :8].any()
    assert np.array_equal(after[:, 8:], before[:, 8:])
    with way.db.reading() as session:
        events = session.exec(select(AuditEvent).where(AuditEvent.object_kind == "instance")).all()
    assert {event.action for event in events} == {
        AuditAction.INSTANCE_VIEWED,
        AuditAction.INSTANCE_RELEASED,
        AuditAction.INSTANCE_REJECTED,
    }


def test_only_reviewers_of_the_project_see_what_is_held_back(from_folder: Way, tmp_path: Path) -> None:
    write_study(MIXED, tmp_path / "studies")
    from_folder.run(from_folder.submit(MIXED))
    held, _ = list_held(from_folder.db, from_folder.user)
    stranger = make_user(from_folder.db, "stranger")
    for asked in (
        lambda: list_held(from_folder.db, stranger),
        lambda: picture_of_held(from_folder.db, stranger, held.id, receiver=None),
        lambda: release_held(from_folder.db, from_folder.launcher, stranger, [held.id]),
        lambda: reject_held(from_folder.db, stranger, [held.id]),
    ):
        with pytest.raises(NotAllowed, match="review held instances"):
            asked()
    with pytest.raises(NotFound):
        release_held(from_folder.db, from_folder.launcher, from_folder.user, [held.id, held.id + 100])
    assert [one.status for one in list_held(from_folder.db, from_folder.user)] == ["held", "held"]


def test_a_preview_knows_what_is_there_under_its_new_names(
    way: Way, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    load_source(orthanc_source, tmp_path, MIXED)
    picked = [PickedStudy(MIXED.patient_id, MIXED.study_instance_uid)]
    before = preview_studies(way.db, way.request(), JobKind.SELECTIVE_TRANSFER, picked)
    assert (before.instances, before.held) == (6, 0)
    assert before.filtered == {"modality SR is excluded": 1}
    with way.db.reading() as session:
        assert session.exec(select(PatientLink)).all() == [], "a preview writes nothing"

    way.run(way.submit(MIXED))
    assert preview_studies(way.db, way.request(), JobKind.SELECTIVE_TRANSFER, picked).held == 4


def test_a_dry_run_tells_what_each_rule_does_and_changes_nothing(
    way: Way, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    load_source(orthanc_source, tmp_path, MIXED)
    reference = StudyReference(MIXED.study_instance_uid, MIXED.patient_id)
    found = dry_run(way.db, way.user, project="Trial", source="PACS", study=reference)
    by_modality = {series.modality: series for series in found}
    assert by_modality.keys() == {"CT", "US", "SR"}
    assert by_modality["SR"].filtered == "modality SR is excluded"
    assert by_modality["US"].pixels.startswith("held back: ")
    changes = {change.path: change for change in by_modality["CT"].changes}
    assert changes["PatientName"].before.startswith("Müller")
    assert "Müller" not in str(changes["PatientName"].after)
    assert changes["PatientName"].rule
    assert changes["Rows"].before == changes["Rows"].after
    assert orthanc_destination.contents() == {}
    with way.db.reading() as session:
        assert session.exec(select(PatientLink)).all() == []
        assert session.exec(select(HeldInstance)).all() == []

    with pytest.raises(NotFound, match="PACS has no study"):
        dry_run(
            way.db,
            way.user,
            project="Trial",
            source="PACS",
            study=replace(reference, study_instance_uid="1.2.3"),
        )
    with pytest.raises(NotAllowed):
        dry_run(way.db, make_user(way.db, "eve"), project="Trial", source="PACS", study=reference)


def test_compressed_pixels_pass_untouched(from_folder: Way, tmp_path: Path) -> None:
    spec = study(SeriesSpec(Form.CT, 2, "Axial", 32, 32, transfer_syntax_uid=RLELossless), key="compressed")
    originals = {dcmread(path).PixelData for path in write_study(spec, tmp_path / "studies")}
    from_folder.run(from_folder.submit(spec))
    made = files_below(tmp_path / "arrivals")
    assert {instance.file_meta.TransferSyntaxUID for instance in made} == {RLELossless}
    assert {instance.PixelData for instance in made} == originals
