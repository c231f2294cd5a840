"""A small department in which something of everything is going on, for looking at all pages.

Its patients are those of the demo; its people and hosts are made up.
"""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, update

from adit_core.db import (
    DicomNode,
    Importance,
    Partition,
    Permission,
    SeriesProgress,
    TaskStatus,
    User,
)
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.announcements import add_announcement
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.claims import claim_task, finish_task, unfinished_task_ids
from adit_core.services.groups import UsableBy, add_group, add_member, set_node_access
from adit_core.services.job_actions import cancel_job
from adit_core.services.node_policies import change_policy
from adit_core.services.nodes import add_folder, add_server, add_web_server
from adit_core.services.progress import TaskCounts, record_progress
from adit_core.services.projects import ProjectChanges, add_project, set_project_access
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.users import create_user, get_user
from deployments.demo.specs import StudySpec
from deployments.demo.studies import demo_studies, write_study
from tests.fakes.launcher import FakeLauncher
from tests.mass import mass_options
from tests.queries import perform, submit
from tests.rows import TRANSFERS
from tests.servers import OrthancServer
from tests.web_process import PASSWORD, WebProcess

CLINIC, RESEARCH, PARTNER = "Clinic PACS", "Research folder", "Partner archive"
LIVER, HEART = "Liver lesions", "Heart"
MR, _, ULTRASOUND, ABDOMEN, _, KNEE = demo_studies()[2:]
STUDIES = (MR, ULTRASOUND, ABDOMEN, KNEE)
"""What the archive holds; none whose texts need a font that few machines have."""
UNKNOWN = replace(ABDOMEN, patient_id="DEMO0099", key="nobody has it")


@dataclass
class Scenery:
    """The department and its jobs, by their names."""

    db: Database
    user: User
    """A member of staff, who sees everything."""
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    jobs: dict[str, int] = field(default_factory=dict)

    def request(self, name: str, **changes: Any) -> TransferRequest:
        usual = TransferRequest(self.user.id, CLINIC, RESEARCH, project=LIVER, name=name)
        return replace(usual, **changes)

    def transfer(self, *studies: StudySpec, name: str, **changes: Any) -> int:
        """Submit a selective transfer."""
        picked = [PickedStudy(study.patient_id, study.study_instance_uid) for study in studies]
        request = self.request(name, **changes)
        return self._keep(name, submit_selective_transfer(self.db, self.launcher, request, picked))

    def batch(self, *studies: StudySpec, name: str, **changes: Any) -> int:
        """Submit a batch transfer."""
        rows = tuple(
            BatchStudy(study.patient_id, study.study_instance_uid, rows=(number,))
            for number, study in enumerate(studies, start=2)
        )
        request = self.request(name, **changes)
        return self._keep(name, submit_batch_transfer(self.db, self.launcher, request, BatchFile(rows)))

    def _keep(self, name: str, job_id: int) -> int:
        self.jobs[name] = job_id
        return job_id


def set_up(web: WebProcess, archive: OrthancServer, folder: Path) -> Scenery:
    """Fill the archive, and have jobs of all kinds wait, run and end well and badly."""
    for study in STUDIES:
        archive.archive.load(write_study(study, folder / "studies"))
    db = web.db
    user = create_user(
        db, username="ada", password=PASSWORD, full_name="Ada Lovelace", email="ada@example.org", staff=True
    )
    scenery = Scenery(db, user)
    _add_nodes(db, archive, folder)
    _add_projects(db)
    _add_people(db, user)
    _add_jobs_that_ended(scenery)
    _add_jobs_that_wait(scenery)
    _add_running_job(scenery)
    _announce(db, user)
    return scenery


def conceal_addresses(scenery: Scenery) -> None:
    """Say of the nodes that they are where a department has them; from then on nothing reaches them."""
    with scenery.db.session() as session:
        server = {"ae_title": "CLINIC", "host": "pacs.clinic.example", "port": 104}
        session.exec(update(DicomNode).where(col(DicomNode.name) == CLINIC).values(**server))
        folder = {"path": "/srv/adit/research"}
        session.exec(update(DicomNode).where(col(DicomNode.name) == RESEARCH).values(**folder))
        session.commit()


def _add_nodes(db: Database, archive: OrthancServer, folder: Path) -> None:
    node = archive.archive.node
    add_server(db, CLINIC, ae_title=node.ae_title, host=node.host, port=node.port, max_associations=4)
    (folder / "research").mkdir()
    add_folder(db, RESEARCH, path=str(folder / "research"))
    add_web_server(db, PARTNER, base_url="https://pacs.partner.example/dicom-web")
    change_policy(
        db,
        CLINIC,
        time_zone="Europe/Berlin",
        instances_per_second=50,
    )


def _add_projects(db: Database) -> None:
    add_project(
        db, LIVER, ProjectChanges(trial_protocol_id="LIV-24", trial_protocol_name="Liver lesions in CT")
    )
    add_project(db, HEART, ProjectChanges())


def _add_people(db: Database, user: User) -> None:
    for name, full_name, needs_approval in (
        ("grace", "Grace Hopper", True),
        ("rosalind", "Rosalind Franklin", False),
        ("wilhelm", "Wilhelm Röntgen", False),
    ):
        create_user(
            db,
            username=name,
            password=PASSWORD,
            full_name=full_name,
            email=f"{name}@example.org",
            needs_approval=needs_approval,
            actor=user,
        )
    readers = add_group(db, "Radiology", [*TRANSFERS, Permission.QUERY], actor=user)
    reviewers = add_group(db, "Reviewers", [Permission.REVIEW_HELD_INSTANCES], actor=user)
    for name in ("grace", "rosalind", "wilhelm"):
        add_member(db, readers.id, name, actor=user)
    add_member(db, reviewers.id, "rosalind", actor=user)
    for access in (UsableBy(CLINIC, True, False), UsableBy(RESEARCH, False, True)):
        set_node_access(db, readers.id, access, actor=user)
    for group in ("Radiology", "Reviewers"):
        set_project_access(db, group, LIVER, allowed=True)


def _add_jobs_that_ended(scenery: Scenery) -> None:
    for job_id in (
        scenery.transfer(MR, KNEE, name="Heads and knees"),
        scenery.transfer(ULTRASOUND, name="Echocardiography", project=HEART),
        scenery.batch(ABDOMEN, UNKNOWN, name="Second reading"),
        scenery.transfer(UNKNOWN, name="Follow-up"),
    ):
        perform(scenery.db, job_id)
    rows = ({"PatientID": study.patient_id, "PatientName": study.patient_name} for study in STUDIES)
    query = submit(scenery.db, scenery.user, *rows, {"PatientID": "DEMO0099"}, source=CLINIC)
    scenery.jobs["query"] = query
    perform(scenery.db, query)
    cancel_job(scenery.db, scenery.launcher, scenery.user, scenery.transfer(MR, name="Wrong project"))


def _add_jobs_that_wait(scenery: Scenery) -> None:
    grace = get_user(scenery.db, "grace")
    search = mass_options(
        first_day=date(2024, 1, 1),
        last_day=date(2024, 3, 31),
        partition=Partition.WEEKLY,
        include={"modalities": ["CT"]},
    )
    request = scenery.request("All abdomens of the quarter", owner_id=grace.id)
    submit_mass_transfer(scenery.db, scenery.launcher, request, search)


def _add_running_job(scenery: Scenery) -> None:
    """Add a job of which some studies have ended, and two are under way."""
    db = scenery.db
    studies = [
        replace(ABDOMEN, patient_id=f"DEMO{number:04}", key=f"baseline {number}") for number in range(11, 19)
    ]
    job_id = scenery.batch(*studies, name="Liver baseline", urgent=True)
    tasks = unfinished_task_ids(db, job_id)
    for task_id, delivered in zip(tasks, (180, 180, 180, 124, 31), strict=False):
        claim_task(db, task_id, token="worker", lease=36_000)
        counts = TaskCounts(planned=180, delivered=delivered, sent=delivered, bytes_sent=delivered << 18)
        record_progress(db, task_id, token="worker", series=_series(task_id, delivered), counts=counts)
        if delivered == 180:
            finish_task(db, task_id, token="worker", status=TaskStatus.SUCCESS, message="", counts=counts)
    scenery.jobs["running task"] = tasks[3]


def _series(task_id: int, delivered: int) -> list[SeriesProgress]:
    """Return three series of 60 images, which arrive one after the other."""
    return [
        SeriesProgress(
            task_id=task_id,
            series_instance_uid=ABDOMEN.series_instance_uid(number),
            modality="CT",
            series_number=number + 1,
            planned=60,
            delivered=min(60, max(0, delivered - 60 * number)),
        )
        for number in range(3)
    ]


def _announce(db: Database, user: User) -> None:
    sunday = utc_now() + timedelta(days=7)
    add_announcement(
        db,
        user,
        "ADIT is updated on Sunday evening; jobs that run go on afterwards.",
        importance=Importance.WARNING,
        starts_at=sunday,
        ends_at=sunday + timedelta(days=2),
    )
