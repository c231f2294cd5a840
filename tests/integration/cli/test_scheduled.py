"""Commands that hand jobs to a real Prefect server, which has our deployment but no worker."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from adit_core.db import User
from tests.integration.cli.conftest import CommandLine
from tests.rows import make_folder, make_server


@pytest.fixture(scope="module")
def prefect() -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=90),
        get_client(sync_client=True) as client,
    ):
        client.create_work_pool(WorkPoolCreate(name="dicom", type="process"))
        client.create_deployment(client.create_flow_from_name("transfer"), "transfer", work_pool_name="dicom")
        yield client


def test_a_job_is_handed_to_the_scheduler_and_taken_back(
    prefect: SyncPrefectClient, cli: CommandLine, admin: User, tmp_path: Path
) -> None:
    make_server(cli.db, "PACS")
    make_folder(cli.db, "Export")
    batch = tmp_path / "batch.csv"
    batch.write_text("PatientID,StudyInstanceUID\nP1,1.2.1\n")

    submitted = cli.json("submit", "batch", batch, "--from", "PACS", "--to", "Export")
    first_run = UUID(submitted["flow_run_id"])
    assert prefect.read_flow_run(first_run).parameters == {"job_id": submitted["id"]}
    assert cli.run("reconcile").stdout == "There was nothing to repair.\n"

    assert cli.json("jobs", "cancel", submitted["id"])["status"] == "CANCELED"
    state = prefect.read_flow_run(first_run).state
    assert state is not None
    assert state.is_cancelled() or state.is_cancelling()

    resumed = cli.json("jobs", "resume", submitted["id"])
    assert UUID(resumed["flow_run_id"]) != first_run


def test_a_job_whose_run_is_gone_gets_a_new_one(
    prefect: SyncPrefectClient, cli: CommandLine, admin: User, tmp_path: Path
) -> None:
    make_server(cli.db, "PACS")
    make_folder(cli.db, "Export")
    batch = tmp_path / "batch.csv"
    batch.write_text("PatientID,StudyInstanceUID\nP1,1.2.1\n")
    lost = cli.json("submit", "batch", batch, "--from", "PACS", "--to", "Export")
    prefect.delete_flow_run(UUID(lost["flow_run_id"]))

    assert cli.json("reconcile")["jobs_launched"] == 1

    again = cli.json("jobs", "show", lost["id"])
    assert prefect.read_flow_run(UUID(again["flow_run_id"])).parameters == {"job_id": lost["id"]}
