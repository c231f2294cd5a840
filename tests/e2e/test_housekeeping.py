"""The flow that keeps house, run by the worker as the schedule has it run."""

from datetime import timedelta
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from sqlmodel import select

from adit_core.db import Study
from adit_core.db.columns import utc_now
from adit_core.services.nodes import add_server
from tests.stack import RunningStack

pytestmark = pytest.mark.system


def test_the_database_is_backed_up_and_what_is_outdated_deleted(adit: RunningStack) -> None:
    node = add_server(adit.db, "Old", ae_title="OLD", host="127.0.0.1", port=1)
    told = Study(node_id=node.id, study_instance_uid="1.2.3", fetched_at=utc_now() - timedelta(days=99))
    with adit.db.session() as session:
        session.add(told)
        session.commit()

    run: Any = run_deployment("housekeeping/housekeeping", timeout=120)

    assert run.state.is_completed(), run.state
    assert len(list((adit.stack.data_dir / "backups").iterdir())) == 1
    with adit.db.reading() as session:
        assert session.exec(select(Study).where(Study.study_instance_uid == "1.2.3")).all() == []


def test_it_is_done_every_day(adit: RunningStack) -> None:
    with get_client(sync_client=True) as client:
        (schedule,) = client.read_deployment_by_name("housekeeping/housekeeping").schedules

    assert schedule.active
    assert schedule.schedule.model_dump()["cron"].endswith("* * *")
