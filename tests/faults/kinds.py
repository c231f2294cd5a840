"""Jobs of every kind, each so slow that it can be disturbed, and what else has to be so of it in the end."""

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlmodel import col, select

from adit_core.db import (
    JobStatus,
    PatientLink,
    PseudonymProject,
    StorageForm,
    StudyLink,
    Task,
    TaskKind,
    TaskStatus,
    TransferOptions,
)
from adit_core.deid.engine import Deidentifier
from adit_core.deid.subject import Subject
from adit_core.services.job_actions import search_again
from adit_core.services.projects import add_project, deid_project
from adit_core.services.pseudonyms import Wish, foreseen_pseudonyms
from adit_core.services.storage import Storage
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.submit_upload import submit_upload
from adit_core.services.uploads import UploadLimits, files_below, receive_upload
from deployments.demo.specs import Form, SeriesSpec, StudySpec
from tests.archives import extract
from tests.factories import dataset_hash, hashes, instances_in, study
from tests.fault_proxy import FaultProxy
from tests.faults.moments import SLOWLY
from tests.faults.outcome import Hashes, Transfer
from tests.faults.scene import INSTANCE_SIZE, ROWS, Scene, Stage
from tests.mass import mass_options
from tests.queries import answers, query_of
from tests.volumes import read_volume, recorded_instances

STUDIES = 5
"""One more than are moved at a time."""
_INSTANCES = 8
_MANY = 40
_ROWS_OF_QUERY = 60
_EMPTY_DAYS = 13
"""On which a mass transfer finds nothing, but has to ask."""
_ASKING = 2000
"""Bytes a second at which it takes seconds to ask a few questions."""
_PASSWORD = "gull harbour 19"
_LIMITS = UploadLimits(total_bytes=1 << 30, files=1000, min_free=0)
_PATIENCE = 60.0
_numbers = count(1)


@dataclass(frozen=True)
class KindJob:
    """A job of some kind that is under way."""

    transfer: Transfer
    network: FaultProxy
    """The one that makes it slow, until it is healed."""
    check: Callable[[], None]
    """Asserts what its kind promises besides, once it has ended."""


Begin = Callable[[Stage], KindJob]
"""Submits a job of some kind."""


def is_half_way(tasks: Sequence[Task]) -> bool:
    """Tell whether a study was moved, and another one is."""
    return _has_passed(tasks, TaskKind.TRANSFER)


def is_searching(tasks: Sequence[Task]) -> bool:
    """Tell whether a partition was searched, and another one is."""
    return _has_passed(tasks, TaskKind.DISCOVERY)


def is_asking(tasks: Sequence[Task]) -> bool:
    """Tell whether some rows of a task were answered, and others not yet."""
    return any(task.status is TaskStatus.IN_PROGRESS and task.delivered > 0 for task in tasks)


def _has_passed(tasks: Sequence[Task], kind: TaskKind) -> bool:
    statuses = {task.status for task in tasks if task.kind is kind}
    return {TaskStatus.SUCCESS, TaskStatus.IN_PROGRESS} <= statuses


def query(stage: Stage) -> KindJob:
    """Ask about many patients of whom there is a study each."""
    adit = stage.adit
    scene = stage.scene(studies=_ROWS_OF_QUERY, instances=1, rows=16)
    scene.inbound.throttle(_ASKING)
    asked = query_of(*({"PatientID": spec.patient_id} for spec in scene.specs))
    job_id = submit_batch_query(
        adit.db, adit.launcher, owner_id=adit.user.id, source=scene.source, query=asked
    )

    def check() -> None:
        found = answers(adit.db, adit.user, job_id, "QueryRow", "PatientID", "StudyInstanceUID")
        assert found == [
            (str(row), spec.patient_id, spec.study_instance_uid) for row, spec in enumerate(scene.specs, 2)
        ]
        assert all(task.planned == task.delivered == len(task.rows) for task in adit.tasks(job_id))

    return KindJob(Transfer(adit, job_id, {}, dict, None), scene.inbound, check)


def mass_while_searching(stage: Stage) -> KindJob:
    """Look for small studies in an archive that answers slowly."""
    return _mass(stage, SeriesSpec(Form.CT, 2, "Axial", 16, 16), lambda network: network.throttle(_ASKING))


def mass_while_moving(stage: Stage) -> KindJob:
    """Look for studies in an archive that sends slowly."""
    return _mass(stage, SeriesSpec(Form.CT, _INSTANCES, "Axial", ROWS, ROWS), _linger)


def _mass(stage: Stage, series: SeriesSpec, slow: Callable[[FaultProxy], None]) -> KindJob:
    """Transfer the images, and no reports, of some days of a year of its own, for a project."""
    adit = stage.adit
    first_day = date(2000 + next(_numbers), 3, 1)
    specs = [_of_day(first_day + timedelta(days=day), day // 2, series) for day in range(STUDIES)]
    new = _of_day(first_day, STUDIES, series)
    stage.write_these([*specs, new])
    stage.source.archive.load(stage.files(specs))
    project = add_project(adit.db, f"Faults of {first_day.year}")
    leaving = _Leaving(stage, project)
    scene = _to_folder(
        stage, specs, {spec.study_instance_uid: leaving.images(spec) for spec in (*specs, new)}
    )
    slow(scene.inbound)
    options = mass_options(
        first_day=first_day,
        last_day=first_day + timedelta(days=STUDIES + _EMPTY_DAYS - 1),
        time_zone="UTC",
        exclude={"modalities": ["SR"]},
    )
    job_id = submit_mass_transfer(adit.db, adit.launcher, scene.request(project=project.name), options)

    def moved() -> dict[str, str]:
        tasks = [task for task in adit.tasks(job_id) if task.kind is TaskKind.TRANSFER]
        assert all((task.delivered, task.failed) == (series.instances, 0) for task in tasks)
        return {task.study_instance_uid: task.pseudonym for task in tasks}

    def check() -> None:
        assert moved() == {spec.study_instance_uid: leaving.pseudonym_of(spec) for spec in specs}
        searched = [task for task in adit.tasks(job_id) if task.kind is TaskKind.DISCOVERY]
        assert [(task.delivered, task.filtered) for task in searched] == [(1, 1)] * STUDIES + [
            (0, 0)
        ] * _EMPTY_DAYS
        leaving.check_links(specs)
        attempts = {task.id: task.attempts for task in adit.tasks(job_id) if task.kind is TaskKind.TRANSFER}

        stage.source.archive.load(stage.files([new]))
        search_again(adit.db, adit.launcher, adit.user, job_id)
        assert adit.finished(job_id).status is JobStatus.SUCCESS
        assert moved() == {spec.study_instance_uid: leaving.pseudonym_of(spec) for spec in (*specs, new)}
        again = {task.id: task.attempts for task in adit.tasks(job_id) if task.kind is TaskKind.TRANSFER}
        assert attempts.items() <= again.items(), "what had been moved was moved again"
        assert scene.arrived() == leaving.everything(*specs, new)

    return KindJob(scene.transfer(job_id), scene.inbound, check)


def _of_day(day: date, patient: int, series: SeriesSpec) -> StudySpec:
    number = next(_numbers)
    return study(
        series,
        SeriesSpec(Form.REPORT, 1, "Report"),
        key=f"mass fault {number}",
        patient_id=f"FAULT{day.year}-{patient}",
        accession_number=f"F{number}",
        study_date=f"{day:%Y%m%d}",
    )


def series(stage: Stage) -> KindJob:
    """Transfer one series of each study, of two."""
    adit = stage.adit
    specs = [
        study(
            SeriesSpec(Form.CT, _INSTANCES, "Axial", ROWS, ROWS),
            SeriesSpec(Form.MR, 3, "Other", ROWS, ROWS),
            key=f"series fault {next(_numbers)}",
            patient_id=f"FAULTSERIES{number}",
        )
        for number in range(STUDIES)
    ]
    held = stage.write_these(specs)
    chosen = {uid: _of_first_series(stage, spec) for spec in specs if (uid := spec.study_instance_uid)}
    assert all(len(chosen[uid]) < len(held[uid]) for uid in held)
    stage.source.archive.load(stage.files(specs))
    scene = stage.between_archives(specs, chosen)
    _linger(scene.inbound)
    picked = [
        PickedStudy(spec.patient_id, spec.study_instance_uid, (spec.series_instance_uid(0),))
        for spec in specs
    ]
    job_id = submit_selective_transfer(adit.db, adit.launcher, scene.request(), picked)
    return KindJob(scene.transfer(job_id), scene.inbound, lambda: _assert_all_arrived(scene))


def upload(stage: Stage) -> KindJob:
    """Transfer what was uploaded."""
    adit = stage.adit
    specs, held = stage.write(STUDIES, _INSTANCES)
    scene = stage.between_archives(specs, held)
    _linger(scene.outbound)
    root = adit.stack.data_dir / "uploads"
    summary = receive_upload(adit.db, adit.user, files_below(stage.files(specs)), root=root, limits=_LIMITS)
    job_id = submit_upload(adit.db, adit.launcher, scene.request(source=None), summary.id)

    def check() -> None:
        _assert_all_arrived(scene)
        deadline = time.monotonic() + _PATIENCE
        while list(root.rglob("*")):
            assert time.monotonic() < deadline, "something is left of the upload"
            time.sleep(0.2)

    return KindJob(scene.transfer(job_id), scene.outbound, check)


def pseudonymized(stage: Stage) -> KindJob:
    """Transfer two studies of each patient for a project that draws pseudonyms."""
    adit = stage.adit
    specs = [
        study(
            SeriesSpec(Form.CT, _INSTANCES, "Axial", ROWS, ROWS),
            key=f"pseudonymized fault {next(_numbers)}",
            patient_id=f"FAULTPATIENT{number // 2}",
        )
        for number in range(STUDIES)
    ]
    stage.write_these(specs)
    stage.source.archive.load(stage.files(specs))
    project = add_project(adit.db, f"Faults {next(_numbers)}")
    leaving = _Leaving(stage, project)
    scene = _to_folder(stage, specs, {spec.study_instance_uid: leaving.images(spec) for spec in specs})
    _linger(scene.inbound)
    transfer = scene.submit(project=project.name)

    def check() -> None:
        pseudonyms = {task.study_instance_uid: task.pseudonym for task in adit.tasks(transfer.job_id)}
        assert pseudonyms == {spec.study_instance_uid: leaving.pseudonym_of(spec) for spec in specs}
        leaving.check_links(specs)
        assert scene.arrived() == leaving.everything(*specs)

    return KindJob(transfer, scene.inbound, check)


def seven_zip_of_job(stage: Stage) -> KindJob:
    """Transfer into one encrypted archive of the whole job."""
    return _packed(stage, None, archive_password=_PASSWORD)


def zip_of_studies(stage: Stage) -> KindJob:
    """Transfer into an encrypted archive for each study."""
    return _packed(stage, Storage(StorageForm.ZIP, password=_PASSWORD))


def _packed(stage: Stage, storage: Storage | None, **request: Any) -> KindJob:
    scene = stage.scene(studies=STUDIES, instances=_INSTANCES)
    _linger(scene.inbound)
    folder = _new_folder(stage)
    scene.deliver_to_folder(folder, storage)
    scene.arrived = lambda: _unpacked(folder)
    transfer = scene.submit(**request)

    def check() -> None:
        _assert_all_arrived(scene)
        assert {path.suffix for path in folder.iterdir()} <= {".7z", ".zip"}, "pieces were left behind"

    return KindJob(transfer, scene.inbound, check)


def _unpacked(folder: Path) -> Hashes:
    """Return what is in all archives of a folder; nothing may be there twice."""
    with tempfile.TemporaryDirectory() as unpacked:
        for path in folder.iterdir():
            extract(path, _PASSWORD, Path(unpacked, path.stem))
        return instances_in(Path(unpacked))


def nifti(stage: Stage) -> KindJob:
    """Transfer as NIfTI volumes; one study takes long, for to convert the others may do so, too."""
    specs, held_of = stage.write(STUDIES - 1, _INSTANCES)
    long, held_of_long = stage.write(1, _MANY)
    stage.source.archive.load(stage.files([*specs, *long]))
    scene = stage.between_archives([*specs, *long], held_of | held_of_long)
    _linger(scene.inbound)
    folder = _new_folder(stage)
    scene.deliver_to_folder(folder)
    held = {uid: digest for one in scene.held.values() for uid, digest in one.items()}
    # A volume is no data set; its record tells of which instances it was made.
    scene.arrived = lambda: {uid: held.get(uid, "") for uid in recorded_instances(folder)}
    transfer = scene.submit(options=TransferOptions(as_nifti=True))

    def check() -> None:
        assert sorted(recorded_instances(folder)) == sorted(held), "each instance is in one volume"
        volumes = [read_volume(path) for path in folder.rglob("*.nii.gz")]
        assert sorted(volume.shape for volume in volumes) == [
            *[(ROWS, ROWS, _INSTANCES)] * (STUDIES - 1),
            (ROWS, ROWS, _MANY),
        ]

    return KindJob(transfer, scene.inbound, check)


def direct_move(stage: Stage) -> KindJob:
    """Have the source send straight to the destination."""
    specs, held = stage.write(STUDIES, _INSTANCES)
    stage.source.archive.load(stage.files(specs))
    scene = stage.between_archives(specs, held)
    node = stage.source.archive.node
    scene.source = stage.server(node, scene.inbound, allows_direct_move=True)
    destination = stage.destination.archive.node
    scene.destination = stage.server(destination, scene.outbound, allows_direct_move=True)
    stage.source.know(destination.ae_title, scene.outbound.port)
    stage.destination.know(node.ae_title, node.port)
    _linger(scene.outbound)
    transfer = scene.submit()

    def check() -> None:
        _assert_all_arrived(scene)
        assert any(task.bytes_sent == 0 for task in stage.adit.tasks(transfer.job_id)), (
            "all passed through here"
        )

    return KindJob(transfer, scene.outbound, check)


def dicomweb(stage: Stage) -> KindJob:
    """Transfer by WADO-RS and STOW-RS."""
    scene = stage.scene(studies=STUDIES, instances=_INSTANCES)
    ports = stage.source.archive.http_port, stage.destination.archive.http_port
    assert ports[0] is not None
    assert ports[1] is not None
    scene.inbound = stage.network(ports[0])
    scene.source = stage.web_server(scene.inbound.port)
    scene.deliver_to_web(ports[1])
    _linger(scene.inbound)
    return KindJob(scene.submit(), scene.inbound, lambda: _assert_all_arrived(scene))


def _linger(network: FaultProxy) -> None:
    """Have all but one of the studies pass at once, and what is left take its time: some are moved, some not.

    So the moment lasts, also where only the end of a study tells what of it has been moved.
    """
    network.throttle(SLOWLY, after=(STUDIES - 1) * _INSTANCES * INSTANCE_SIZE)


class _Leaving:
    """What leaves a stage for a project, by the engine alone."""

    def __init__(self, stage: Stage, project: PseudonymProject) -> None:
        self._stage = stage
        self._project = project

    def pseudonym_of(self, spec: StudySpec) -> str:
        """Return the pseudonym that a patient has, whatever happens: the project derives it."""
        chosen, problems = foreseen_pseudonyms(self._stage.adit.db, self._project, [Wish(spec.patient_id)])
        assert not problems
        return chosen[spec.patient_id]

    def images(self, spec: StudySpec) -> Hashes:
        """Return the hash of each image of a study, as it leaves, by its new SOP Instance UID."""
        engine = self._engine(spec)
        images = (dcmread(path) for path in self._stage.files([spec]))
        made = [engine.deidentify(image) for image in images if image.Modality != "SR"]
        return {image.SOPInstanceUID: dataset_hash(image) for image in made}

    def everything(self, *specs: StudySpec) -> Hashes:
        return {uid: digest for spec in specs for uid, digest in self.images(spec).items()}

    def check_links(self, specs: Iterable[StudySpec]) -> None:
        """Assert that each patient and each study is linked once, to what it left as."""
        db = self._stage.adit.db
        with db.reading() as session:
            of_project = PatientLink.project_id == self._project.id
            patients = session.exec(select(PatientLink).where(of_project)).all()
            studies = session.exec(
                select(StudyLink)
                .join(PatientLink, col(PatientLink.id) == col(StudyLink.patient_link_id))
                .where(of_project)
            ).all()
        specs = list(specs)
        assert len(patients) == len({spec.patient_id for spec in specs})
        assert {link.pseudonym for link in patients} == {self.pseudonym_of(spec) for spec in specs}
        assert len(studies) == len(specs)

    def _engine(self, spec: StudySpec) -> Deidentifier:
        project = deid_project(self._stage.adit.db.keyring, self._project)
        return Deidentifier(project, Subject(spec.patient_id, self.pseudonym_of(spec)))


def _to_folder(stage: Stage, specs: Sequence[StudySpec], leaving: Mapping[str, Hashes]) -> Scene:
    scene = stage.between_archives(specs, leaving)
    scene.deliver_to_folder(_new_folder(stage))
    return scene


def _new_folder(stage: Stage) -> Path:
    return stage.folder.with_name("delivered") / str(next(_numbers))


def _of_first_series(stage: Stage, spec: StudySpec) -> Hashes:
    uid = spec.series_instance_uid(0)
    files = stage.files([spec])
    return hashes(path for path in files if dcmread(path, stop_before_pixels=True).SeriesInstanceUID == uid)


def _assert_all_arrived(scene: Scene) -> None:
    assert scene.arrived() == {uid: digest for one in scene.held.values() for uid, digest in one.items()}
