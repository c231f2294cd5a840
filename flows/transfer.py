"""The flow of transfer jobs: one flow run per execution, one task run per study."""

from prefect import flow

from flows.perform import RUNNER, performing, run_job

transfer_study = performing("transfer-study")


@flow(name="transfer", flow_run_name="job-{job_id}", task_runner=RUNNER)
def transfer_job(job_id: int) -> dict[str, int]:
    """Run what is unfinished of a job, and return how many of its tasks ended how.

    It may be called from a notebook, be run by a worker, and be run again at any time.

    Raises:
        JobFailed: Every study of the job failed.
    """
    return run_job(job_id, transfer_study)
