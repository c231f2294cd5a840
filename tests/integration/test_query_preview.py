"""Previews of batch queries: what each row asks of the archive, and how long that may take."""

from datetime import timedelta

import pytest
from sqlmodel import select

from adit_core.db import Job, QueryRow, Task, TaskStatus, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import NotAllowed
from adit_core.services.node_policies import change_policy
from adit_core.services.query_preview import preview_query
from tests.queries import query_of, submit
from tests.rows import make_server, make_user

YEAR = {"From": "2024-01-01", "Until": "2024-12-31"}


@pytest.fixture
def staff(database: Database) -> User:
    make_server(database)
    return make_user(database, "staff", staff=True)


def test_each_row_tells_what_the_archive_is_asked_and_what_is_left_to_adit(
    database: Database, staff: User
) -> None:
    preview = preview_query(
        database,
        staff.id,
        "PACS",
        query_of(
            {"PatientID": "0012", "From": "2024-01-01", "Pseudonym": "Lion"},
            {"PatientName": "Doe*", "Modality": "CT, MR", "SeriesDescription": "axial*"},
            {"StudyDescription": "/head|neck/", **YEAR, "ReferringPhysicianName": "Roe*"},
            {"PatientID": "*", "Modality": "/M./", **YEAR},
        ),
    )

    assert [(row.row, row.finds_series, set(row.asked), set(row.sifted)) for row in preview.rows] == [
        (2, False, {"PatientID", "From"}, set()),
        (3, True, {"PatientName", "Modality"}, {"SeriesDescription"}),
        (4, False, {"From", "Until", "ReferringPhysicianName"}, {"StudyDescription"}),
        (5, False, {"From", "Until"}, {"Modality"}),
    ]
    assert (preview.total, preview.seconds, preview.notes) == (4, None, ())


def test_the_time_is_told_by_what_was_measured(database: Database, staff: User) -> None:
    job_id = submit(database, staff, *({"PatientID": f"{number}"} for number in range(40)))
    now = utc_now()
    with database.session() as session:
        for task in session.exec(select(Task).where(Task.job_id == job_id)):
            task.status, task.delivered = TaskStatus.SUCCESS, 20
            task.started_at, task.ended_at = now, now + timedelta(seconds=4)
        session.commit()

    rows = [{"PatientID": f"{number}"} for number in range(100)]
    preview = preview_query(database, staff.id, "PACS", query_of(*rows), most=3)

    assert preview.seconds == pytest.approx(10)
    assert (preview.total, [row.row for row in preview.rows]) == (100, [2, 3, 4])


def test_nothing_is_asked_or_written_even_while_the_archive_is_closed(
    database: Database, staff: User
) -> None:
    change_policy(database, "PACS", windows=["Mon 00:00-00:01"])

    preview = preview_query(database, staff.id, "PACS", query_of({"PatientID": "1"}))

    with database.reading() as session:
        assert not session.exec(select(Job)).all()
        assert not session.exec(select(QueryRow)).all()
    assert "PACS is open Mon 00:00-00:01" in preview.notes[0]


def test_who_may_not_ask_is_told_nothing(database: Database, staff: User) -> None:
    with pytest.raises(NotAllowed):
        preview_query(database, make_user(database).id, "PACS", query_of({"PatientID": "1"}))
