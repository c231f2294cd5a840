"""The flow of batch queries: one flow run per execution, one task run per some rows."""

from prefect import flow

from flows.perform import RUNNER, performing, run_job

query_rows = performing("query-rows")


@flow(name="query", flow_run_name="job-{job_id}", task_runner=RUNNER)
def query_archive(job_id: int) -> dict[str, int]:
    """Ask what has no answer yet of a batch query, and return how many of its rows ended how.

    Raises:
        JobFailed: No row of it was answered.
    """
    return run_job(job_id, query_rows)
