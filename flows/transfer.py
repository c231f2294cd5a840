"""The flow that runs a transfer job: one flow run per execution, one task run per study."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task, exponential_backoff

from adit_core.errors import AditError, TransientError, UnexpectedError
from adit_core.services.database import configured_database
from adit_core.services.job_status import job_result
from adit_core.services.launcher import PrefectLauncher
from adit_core.services.run_job import JobRun
from adit_core.settings import get_settings
from flows.slots import NodeSlots

_SETTINGS = get_settings()

# Prefect types task runners by their futures, invariantly; its own default does not fit either.
_RUNNER: Any = ThreadPoolTaskRunner(max_workers=_SETTINGS.studies_in_flight)


@flow(
    name="transfer",
    flow_run_name="job-{job_id}",
    task_runner=_RUNNER,
)
def transfer_job(job_id: int) -> dict[str, int]:
    """Run what is unfinished of a job, and return how many of its tasks ended how.

    It may be called from a notebook, be run by a worker, and be run again at any time.

    Raises:
        JobFailed: Every study of the job failed.
    """
    db = configured_database(_SETTINGS)
    with NodeSlots() as slots, JobRun(db, job_id, _SETTINGS) as run:
        PrefectLauncher().set_limits(run.node_limits)
        wait([transfer_study.submit(run, slots, task_id) for task_id in run.unfinished_tasks()])
    return job_result(db, job_id).or_raise()


def is_transient(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """Tell Prefect whether to retry: the type of the error decides."""
    return isinstance(state.result(raise_on_failure=False), TransientError)


@task(
    name="transfer-study",
    task_run_name="task-{task_id}",
    retries=_SETTINGS.task_attempts - 1,
    retry_delay_seconds=exponential_backoff(backoff_factor=_SETTINGS.retry_delay),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def transfer_study(run: JobRun, slots: NodeSlots, task_id: int) -> None:
    """Move the study of one task while holding a slot of each node involved."""
    with _only_our_errors(), run.turn(), slots.slot(run.node_limits, run.check_stopped):
        run.move(task_id)


@contextmanager
def _only_our_errors() -> Iterator[None]:
    """Let no text of foreign errors into Prefect, where patient data must not go."""
    try:
        yield
    except AditError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge to Prefect
        raise UnexpectedError(f"Unexpected {type(error).__name__} while a study was moved.") from None
