"""Batch queries by whole jobs, against findscu with one process a row."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from adit_core.db import JobStatus
from adit_core.dicom.node import ServerNode
from adit_core.services.jobs import JobView
from adit_core.services.nodes import add_server
from adit_core.services.query_file import QueryFile, Question
from adit_core.services.query_results import all_rows
from adit_core.services.submit_query import submit_batch_query
from deployments.demo.studies import StudySpec, write_study
from tests.bench import tools
from tests.bench.waiting import ended_job
from tests.factories import one_instance_studies
from tests.servers import orthanc
from tests.stack import RunningStack, running_stack

SEVERAL = 4
"""Associations at a time."""
_SOURCE = "SOURCE"
_BY_FINDSCU = 40
"""Rows that findscu is asked; more would only take longer."""


def figures(folder: Path, *, rows: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield rows a second by findscu, and by jobs of so many rows, the median of some rounds."""
    studies = one_instance_studies(rows)
    with ExitStack() as servers:
        source = servers.enter_context(orthanc(folder / "source", _SOURCE))
        source.archive.load(file for study in studies for file in write_study(study, folder / "written"))
        adit = servers.enter_context(running_stack(folder / "stack", {}))
        node = source.archive.node
        address = {"ae_title": node.ae_title, "host": node.host, "port": node.port}
        add_server(adit.db, _SOURCE, **address, max_associations=SEVERAL)
        findscu = [_seconds_of_findscu(studies[:_BY_FINDSCU], node) for _ in range(rounds)]
        jobs = [_answered(adit, studies) for _ in range(rounds)]
    yield "findscu, one process a row, rows/s", min(_BY_FINDSCU, rows) / _median(findscu)
    yield "job once begun, rows/s", rows / _median([_since_start(job) for job in jobs])
    yield "job once begun, slowest round, rows/s", rows / max(_since_start(job) for job in jobs)
    yield "job until it had begun, s", _median([_until_start(job) for job in jobs])


def _seconds_of_findscu(studies: Sequence[StudySpec], node: ServerNode) -> float:
    start = time.perf_counter()
    for study in studies:
        tools.findscu(study, node)
    return time.perf_counter() - start


def _answered(adit: RunningStack, studies: Sequence[StudySpec]) -> JobView:
    """Have a job ask for the accession number of each study, and return it once it has ended."""
    questions = [
        Question(row, {"AccessionNumber": study.accession_number}) for row, study in enumerate(studies, 2)
    ]
    job_id = submit_batch_query(
        adit.db,
        adit.launcher,
        owner_id=adit.user.id,
        source=_SOURCE,
        query=QueryFile(tuple(questions)),
    )
    job = ended_job(adit, job_id)
    assert job.status is JobStatus.SUCCESS, job.message
    found = [[one.study_instance_uid for one in row.results] for row in all_rows(adit.db, adit.user, job_id)]
    assert found == [[study.study_instance_uid] for study in studies]
    return job


def _since_start(job: JobView) -> float:
    assert job.started_at is not None
    assert job.ended_at is not None
    return (job.ended_at - job.started_at).total_seconds()


def _until_start(job: JobView) -> float:
    assert job.started_at is not None
    return (job.started_at - job.created_at).total_seconds()


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
