"""The page of a batch query: its rows, what was found, and the files to download."""

import pytest

from adit_core.db import QueryResult, QueryRow, RowStatus, TaskStatus, User
from adit_core.services.claims import claim_task, finish_task
from adit_core.services.progress import TaskCounts
from tests.queries import submit
from tests.rows import load, make_job, make_server, make_user
from tests.web_pages import Dashboard, rows, said


@pytest.fixture
def user(dashboard: Dashboard) -> User:
    make_server(dashboard.db, "PACS")
    return make_user(dashboard.db, "root", staff=True)


@pytest.fixture
def job_id(dashboard: Dashboard, user: User) -> int:
    """A query of three rows that has ended: a study, nothing, and a failure."""
    db = dashboard.db
    job_id = submit(db, user, {"PatientID": "P1"}, {"PatientID": "P2"}, {"PatientName": "<b>*"})
    with db.session() as session:
        found, nothing, failed = (session.get_one(QueryRow, row_id) for row_id in (1, 2, 3))
        found.status, nothing.status, failed.status = (
            RowStatus.FOUND,
            RowStatus.NOTHING_FOUND,
            RowStatus.FAILED,
        )
        failed.message = "The archive refused."
        session.add(
            QueryResult(
                query_row_id=1,
                patient_id="P1",
                patient_name="Miller^Susan",
                study_instance_uid="1.2.3",
                study_description="CT chest",
                modalities=("CT", "SR"),
                number_of_instances=1200,
            )
        )
        session.commit()
    claim_task(db, 1, token="token", lease=60)
    counts = TaskCounts(planned=3, delivered=2, failed=1)
    assert finish_task(db, 1, token="token", status=TaskStatus.FAILURE, message="", counts=counts)
    return job_id


def test_the_rows_of_a_query_are_listed_with_what_came_of_them(dashboard: Dashboard, user: User, job_id: int):
    page = dashboard.job(user, job_id)

    assert not page.exception
    assert rows(page) == [
        {"Row": "2", "Outcome": "Found", "Asked for": "PatientID P1", "Results": "1"},
        {"Row": "3", "Outcome": "Nothing found", "Asked for": "PatientID P2", "Results": ""},
        {
            "Row": "4",
            "Outcome": "Failed",
            "Asked for": "PatientName <b>*\nThe archive refused.",
            "Results": "",
        },
    ]
    words = said(page)
    assert "3 of 3 rows done" in words
    assert "studies" not in words.casefold()
    assert {metric.label: metric.value for metric in page.metric} == {
        "Rows": "3",
        "Answered": "2",
        "Failed": "1",
    }


def test_a_row_opens_to_its_results(dashboard: Dashboard, user: User, job_id: int):
    page = dashboard.job(user, job_id, row="2")

    assert rows(page)[0]["details"] == [
        ["P1", "Miller^Susan", "", "CT, SR", "CT chest", "1.2.3", "1,200"],
    ]


def test_results_can_be_downloaded(dashboard: Dashboard, user: User, job_id: int):
    labels = [button.proto.label for button in dashboard.job(user, job_id).get("download_button")]

    assert labels == ["Results (.xlsx)", "Results (.csv)"]
    transfer = make_job(dashboard.db, owner=make_user(dashboard.db))
    labels = [button.proto.label for button in dashboard.job(user, transfer.id).get("download_button")]
    assert labels == ["Studies (.xlsx)", "Studies (.csv)", "Series (.xlsx)", "Series (.csv)"]


def test_rows_are_chosen_by_their_outcome(dashboard: Dashboard, user: User, job_id: int):
    page = dashboard.job(user, job_id, outcome="Failed")

    assert [row["Row"] for row in rows(page)] == ["4"]


def test_the_list_of_jobs_counts_rows(dashboard: Dashboard, user: User, job_id: int):
    (row,) = rows(dashboard.jobs(user))

    assert (row["Studies, rows"], row["Instances"], row["Status"]) == ("3 / 3", "", "Warning")
    assert load(dashboard.db, QueryRow, 3).status is RowStatus.FAILED
