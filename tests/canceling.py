"""A job that is performed in this process and disturbed in the middle."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import col, select

from adit_core.db import DicomNode, Task, User
from adit_core.db.engine import Database
from adit_core.errors import AditError
from adit_core.services.job_actions import cancel_job
from adit_core.services.run_job import JobRun
from adit_core.settings import Settings
from deployments.demo.specs import StudySpec
from tests.fakes.launcher import FakeLauncher
from tests.rows import make_transfer


@dataclass
class Site:
    """A database with jobs of one user, who delivers to nodes or into a folder."""

    db: Database
    owner: User
    folder: Path
    settings: Settings = field(default_factory=Settings)
    launcher: FakeLauncher = field(default_factory=FakeLauncher)

    def submit(self, spec: StudySpec, source: DicomNode, destination: DicomNode) -> int:
        """Add a job that moves one study, and return its id."""
        return make_transfer(self.db, self.owner, source, destination, [spec]).id

    def disturb(self, job_id: int, *, once: Callable[[], bool], by: Callable[[], None]) -> float:
        """Perform the job, disturb it `once` something is so, and return how long it took to end then."""
        with JobRun(self.db, job_id, self.settings) as run, ThreadPoolExecutor(1) as pool:
            task_id = run.new_tasks()[0]
            attempt = pool.submit(self._perform, run, task_id)
            deadline = time.monotonic() + 60
            while not once():
                assert not attempt.done(), "the task ended before it could be disturbed"
                assert time.monotonic() < deadline, "the task does not begin"
                time.sleep(0.02)
            by()
            began = time.monotonic()
            attempt.result(timeout=60)
            return time.monotonic() - began

    def canceled(self, job_id: int, *, once: Callable[[], bool]) -> float:
        """Perform the job, cancel it `once` something is so, and return how long that took."""
        return self.disturb(job_id, once=once, by=lambda: self.cancel(job_id))

    def cancel(self, job_id: int) -> None:
        """Cancel the job as its owner does."""
        cancel_job(self.db, self.launcher, self.owner, job_id)

    def task(self, job_id: int) -> Task:
        """Return the first task of the job as it is now."""
        with self.db.reading() as session:
            tasks = session.exec(select(Task).where(Task.job_id == job_id).order_by(col(Task.id)))
            return tasks.all()[0]

    def files(self) -> list[str]:
        """Return the names of the files in the folder, without locks."""
        names = [path.name for path in self.folder.rglob("*") if path.is_file()]
        return [name for name in names if not name.endswith(".lock")]

    def has_files(self) -> bool:
        """Tell whether there are whole files in the folder, where they appear by the 32."""
        return any(self.folder.rglob("*.dcm"))

    def is_writing(self) -> bool:
        """Tell whether a file is being written in the folder."""
        return any(self.folder.rglob(".*.part"))

    def _perform(self, run: JobRun, task_id: int) -> None:
        with suppress(AditError):  # the tables tell of it
            run.perform(task_id)
