"""What tests of pseudonymized transfers share: a project, a way between two archives, and what arrived."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from adit_core.db import DicomNode, Job, PseudonymProject, Task, User
from adit_core.db.engine import Database
from adit_core.deid.engine import Deidentifier
from adit_core.deid.subject import Subject
from adit_core.services.claims import unfinished_task_ids
from adit_core.services.projects import ProjectChanges, add_project, deid_project
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.specs import StudySpec
from tests.fakes.launcher import FakeLauncher
from tests.queries import perform
from tests.rows import load


def make_project(db: Database, name: str = "Trial", **settings: Any) -> PseudonymProject:
    """Add a project."""
    return add_project(db, name, ProjectChanges(**settings))


@dataclass
class Way:
    """From one node to another, for a project."""

    db: Database
    user: User
    source: DicomNode
    destination: DicomNode
    project: PseudonymProject
    launcher: FakeLauncher = field(default_factory=FakeLauncher)

    def request(self, **changes: Any) -> TransferRequest:
        """Return what is asked for."""
        asked: dict[str, Any] = {
            "owner_id": self.user.id,
            "source": self.source.name,
            "destination": self.destination.name,
            "project": self.project.name,
        }
        return TransferRequest(**{**asked, **changes})

    def submit(self, *specs: StudySpec, pseudonym: str = "", **changes: Any) -> int:
        """Submit a transfer of these studies."""
        picked = [PickedStudy(spec.patient_id, spec.study_instance_uid, (), pseudonym) for spec in specs]
        return submit_selective_transfer(self.db, self.launcher, self.request(**changes), picked)

    def run(self, job_id: int) -> tuple[Job, list[Task]]:
        """Do what is to be done of a job, and return how it and its tasks are then."""
        task_ids = unfinished_task_ids(self.db, job_id)
        job = perform(self.db, job_id)
        return job, [load(self.db, Task, task_id) for task_id in task_ids]

    def engine(self, spec: StudySpec, pseudonym: str = "ANY") -> Deidentifier:
        """Return what tells the names that a study has in the project."""
        return Deidentifier(deid_project(self.db.keyring, self.project), Subject(spec.patient_id, pseudonym))


def files_below(folder: Path) -> list[Dataset]:
    """Return the instances of all DICOM files below a folder."""
    return [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def identifying(specs: Iterable[StudySpec]) -> set[bytes]:
    """Return what must not be found in what arrives, in all encodings."""
    texts = {
        text
        for spec in specs
        for text in (
            spec.patient_id,
            spec.patient_birth_date,
            spec.accession_number,
            spec.study_instance_uid,
            *spec.patient_name.replace("=", "^").split("^"),
        )
        if text
    }
    return {
        text.encode(encoding, "ignore") for text in texts for encoding in ("utf-8", "latin-1", "utf-16le")
    }


def found_in(needles: Iterable[bytes], contents: Sequence[bytes]) -> list[bytes]:
    """Return which of these are somewhere in the contents, whatever the case."""
    lowered = [content.lower() for content in contents]
    return sorted(
        needle for needle in needles if len(needle) > 2 and any(needle.lower() in one for one in lowered)
    )
