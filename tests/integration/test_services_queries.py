"""Batch queries: submitting, who may do so, what is kept of them, and what is exported."""

from pathlib import Path

import pytest
from sqlmodel import col, func, select

from adit_core.db import (
    AuditEvent,
    DicomNode,
    Job,
    JobKind,
    JobStatus,
    Permission,
    QueryResult,
    QueryRow,
    RowStatus,
    StorageForm,
    Task,
    TaskKind,
    TaskStatus,
    User,
)
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot
from adit_core.errors import InvalidInput, NotAllowed, NotFound
from adit_core.services.batch_file import BatchStudy, read_batch_file
from adit_core.services.claims import claim_task, finish_task, unfinished_task_ids
from adit_core.services.job_actions import cancel_job, retry_failed
from adit_core.services.job_history import history_of_job
from adit_core.services.jobs import list_jobs, list_tasks, show_job
from adit_core.services.progress import TaskCounts
from adit_core.services.query_export import export_results
from adit_core.services.query_results import count_outcomes, list_rows
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.text_sheet import SheetFormat
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.studies import write_study
from tests.factories import ct_study, instances_in, mixed_study
from tests.fakes.launcher import FakeLauncher
from tests.queries import answers, perform, query_of, submit
from tests.rows import TRANSFERS, allow, load, make_folder, make_group, make_server, make_user, told
from tests.servers import OrthancServer

P1, P2 = {"PatientID": "0001", "Pseudonym": "Lion"}, {"PatientID": "P2", "Pseudonym": "Zebra"}


@pytest.fixture
def pacs(database: Database) -> DicomNode:
    return make_server(database, "PACS")


@pytest.fixture
def user(database: Database, pacs: DicomNode) -> User:
    """A user who may ask the archive, and no more."""
    user = make_user(database)
    allow(database, make_group(database, user, permissions=(Permission.QUERY,)), pacs, as_source=True)
    return user


def end(database: Database, job_id: int, status: TaskStatus, counts: TaskCounts | None) -> None:
    """Have the unfinished tasks of a job end."""
    for task_id in unfinished_task_ids(database, job_id):
        claim_task(database, task_id, token="token", lease=60)
        assert finish_task(database, task_id, token="token", status=status, message="Why.", counts=counts)


def find(database: Database, row: int, status: RowStatus, *results: QueryResult, message: str = "") -> None:
    """Have a row answered."""
    with database.session() as session:
        asked = session.exec(select(QueryRow).where(QueryRow.row == row)).one()
        asked.status, asked.message = status, message
        for result in results:
            result.query_row_id = asked.id
        session.add_all(results)
        session.commit()


def result(patient_id: str, uid: str, series_uid: str = "", **fields) -> QueryResult:
    return QueryResult(
        patient_id=patient_id,
        study_instance_uid=uid,
        series_instance_uid=series_uid,
        query_row_id=0,
        **fields,
    )


def test_rows_are_shared_out_to_tasks(database: Database, user: User) -> None:
    launcher = FakeLauncher()
    query = query_of(*({"PatientID": f"P{number}"} for number in range(170)))
    job_id = submit_batch_query(database, launcher, owner_id=user.id, source="PACS", query=query, name=" A ")

    job = load(database, Job, job_id)
    assert (job.kind, job.name, job.destination_id) == (JobKind.BATCH_QUERY, "A", None)
    assert (job.status, job.flow_run_id) == (JobStatus.PENDING, "flow-1-1")
    with database.reading() as session:
        tasks = session.exec(select(Task).order_by(col(Task.id))).all()
        rows = session.exec(select(QueryRow.row, QueryRow.task_id).order_by(col(QueryRow.row))).all()
    assert {task.kind for task in tasks} == {TaskKind.QUERY}
    assert [task.planned for task in tasks] == [22] * 7 + [16]
    assert [row for task in tasks for row in task.rows] == list(range(2, 172))
    assert rows == [(row, task.id) for task in tasks for row in task.rows]


@pytest.mark.parametrize(("rows", "sizes"), [(3, [3]), (20, [20]), (21, [20, 1]), (500, [50] * 10)])
def test_a_task_has_20_to_50_rows(database: Database, user: User, rows: int, sizes: list[int]) -> None:
    submit(database, user, *({"PatientID": f"P{number}"} for number in range(rows)))
    with database.reading() as session:
        assert [len(task.rows) for task in session.exec(select(Task).order_by(col(Task.id)))] == sizes


def test_asking_needs_a_permission_and_the_node(database: Database, user: User, pacs: DicomNode) -> None:
    stranger, guest = make_user(database, "stranger"), make_user(database, "guest")
    make_group(database, stranger, permissions=(Permission.QUERY,))
    allow(database, make_group(database, guest, permissions=(*TRANSFERS,)), pacs, as_source=True)

    with pytest.raises(NotAllowed, match="PACS as a source"):
        submit(database, stranger, P1)
    with pytest.raises(NotAllowed, match="permission to query"):
        submit(database, guest, P1)
    with pytest.raises(NotAllowed, match="process urgently"):
        submit_batch_query(
            database, FakeLauncher(), owner_id=user.id, source="PACS", query=query_of(P1), urgent=True
        )
    with pytest.raises(NotFound):
        submit(database, user, P1, source="nowhere")
    with pytest.raises(NotFound):
        submit_batch_query(database, FakeLauncher(), owner_id=99, source="PACS", query=query_of(P1))


def test_what_cannot_be_searched_is_not_asked(database: Database) -> None:
    root = make_user(database, "root", staff=True)
    make_server(database, "Mute", supports_find=False)
    make_folder(database, "Volumes", storage=StorageForm.NIFTI)
    for name in ("Mute", "Volumes"):
        with pytest.raises(InvalidInput, match="cannot be searched"):
            submit(database, root, P1, source=name)


def test_an_archive_that_knows_the_patient_root_only_is_asked_for_patients(database: Database) -> None:
    root = make_user(database, "root", staff=True)
    make_server(database, "Old", query_root=QueryRoot.PATIENT)
    with pytest.raises(InvalidInput) as caught:
        submit(database, root, {"PatientID": "P1"}, {"AccessionNumber": "A1"}, source="Old")
    assert [problem.row for problem in caught.value.problems] == [3]
    assert submit(database, root, {"PatientName": "Mil*", "AccessionNumber": ""}, source="Old")


def test_a_query_is_audited_without_patient_data(database: Database, user: User) -> None:
    job_id = submit(database, user, P1, P2)
    end(database, job_id, TaskStatus.SUCCESS, TaskCounts(planned=2, delivered=2))

    with database.reading() as session:
        events = session.exec(select(AuditEvent).order_by(col(AuditEvent.id))).all()
    assert [(event.action.value, event.actor, event.succeeded, event.object_id) for event in events] == [
        ("job submitted", "ada", True, "1"),
        ("queried", "ada", True, "PACS"),
    ]
    assert events[1].details == {"job": job_id, "rows": 2, "answered": 2}
    assert not any("0001" in str(event) or "Lion" in str(event) for event in events)


def test_a_job_speaks_of_rows(database: Database, user: User) -> None:
    job_id = submit(database, user, P1, P2, {"PatientID": "P3"}, {"PatientID": "P4"})
    assert show_job(database, user, job_id).progress.tasks == {TaskStatus.PENDING: 4}
    find(database, 2, RowStatus.FOUND)
    find(database, 3, RowStatus.NOTHING_FOUND)
    find(database, 4, RowStatus.FAILED)
    end(database, job_id, TaskStatus.FAILURE, TaskCounts(planned=4, delivered=2, failed=2))

    (job,) = list_jobs(database, user)
    assert (job.status, job.way) == (JobStatus.WARNING, "PACS")
    assert job.message == "2 of 4 rows failed. 1 of 4 rows ended with a warning."
    assert job.progress.tasks == {TaskStatus.SUCCESS: 1, TaskStatus.WARNING: 1, TaskStatus.FAILURE: 2}
    assert count_outcomes(database, user, job_id) == {
        RowStatus.FOUND: 1,
        RowStatus.NOTHING_FOUND: 1,
        RowStatus.FAILED: 1,
        RowStatus.UNANSWERED: 1,
    }


def test_rows_are_listed_page_by_page_for_those_who_may_see_the_job(database: Database, user: User) -> None:
    job_id = submit(database, user, P1, P2, {"PatientID": "P3"})
    find(database, 3, RowStatus.FOUND, result("P2", "1.2.2"), result("P2", "1.2.3"))

    first, second = list_rows(database, user, job_id, limit=2)
    (third,) = list_rows(database, user, job_id, limit=2, after=second.row)
    assert [first.row, second.row, third.row] == [2, 3, 4]
    assert [one.study_instance_uid for one in second.results] == ["1.2.2", "1.2.3"]
    assert (first.is_open, second.is_open) == (True, False)
    assert list_rows(database, user, job_id, statuses=[RowStatus.FOUND]) == [second]
    with pytest.raises(NotFound):
        list_rows(database, make_user(database, "eve"), job_id)
    with pytest.raises(NotFound):
        export_results(database, make_user(database, "mallory"), job_id, SheetFormat.CSV)


def test_a_row_without_an_answer_says_what_became_of_its_task(database: Database, user: User) -> None:
    job_id = submit(database, user, P1)
    assert [row.message for row in list_rows(database, user, job_id)] == [""]
    cancel_job(database, FakeLauncher(), user, job_id)
    (row,) = list_rows(database, user, job_id)
    assert (row.status, row.message) == (RowStatus.UNANSWERED, "Canceled before it started.")
    assert load(database, Task, 1).failed == 1


def test_trying_again_needs_the_right_to_ask(database: Database, user: User) -> None:
    job_id = submit(database, user, P1)
    find(database, 2, RowStatus.FAILED, result("0001", "1.2"), message="Refused.")
    end(database, job_id, TaskStatus.FAILURE, TaskCounts(planned=1, failed=1))
    retry_failed(database, FakeLauncher(), user, job_id)

    (row,) = list_rows(database, user, job_id)
    assert (row.status, row.message, row.results) == (RowStatus.UNANSWERED, "", ())
    assert load(database, Task, 1).planned == 1
    with database.reading() as session:
        assert session.exec(select(func.count()).select_from(QueryResult)).one() == 0
    assert told(database, 1)[-1] == "1 PENDING: Failed tasks begin anew."


@pytest.mark.parametrize("form", list(SheetFormat))
def test_a_batch_transfer_takes_the_export_as_it_is(
    database: Database, user: User, form: SheetFormat
) -> None:
    job_id = submit(
        database,
        user,
        P1,
        P2,
        {"PatientID": "P3"},
        {"PatientID": "P4", "Pseudonym": "Tiger"},
        {"PatientName": "=Cmd*"},
    )
    find(database, 2, RowStatus.FOUND, result("0001", "1.2.1", "1.2.1.1"), result("0001", "1.2.1", "1.2.1.2"))
    find(database, 3, RowStatus.NOTHING_FOUND)
    find(database, 4, RowStatus.FAILED, message="The archive refused.")
    find(database, 5, RowStatus.SEVERAL_PATIENTS, result("P4", "1.2.4"), result("P5", "1.2.5"))
    formula = "=HYPERLINK(1)"
    find(
        database,
        6,
        RowStatus.FOUND,
        result("-17", "1.2.6", patient_name=formula),
        result("P*", "1.2.7"),
        result("", "1.2.8"),
    )

    content = export_results(database, user, job_id, form)

    assert read_batch_file(content).studies == (
        BatchStudy("0001", "1.2.1", ("1.2.1.1", "1.2.1.2"), "Lion", rows=(2, 3), query_rows=(2,)),
        BatchStudy("-17", "1.2.6", rows=(8,), query_rows=(6,)),
    )
    assert read_batch_file(content).left_out_in_words == (
        "Not transferred: nothing found (row 3); failed (row 4); several patients (row 5); "
        "Transfer says no (row 6)."
    )
    assert answers(database, user, job_id, "QueryRow", "Outcome", "Transfer", "PatientID", "Message") == [
        ("2", "found", "yes", "0001", ""),
        ("2", "found", "yes", "0001", ""),
        ("3", "nothing found", "no", "P2", ""),
        ("4", "failed", "no", "P3", "The archive refused."),
        ("5", "several patients", "no", "P4", ""),
        ("5", "several patients", "no", "P5", ""),
        ("6", "found", "yes", "-17", ""),
        (
            *("6", "found", "no", "P*"),
            "PatientID: This has a * or a ?, which archives take as wildcards; name one patient.",
        ),
        ("6", "found", "no", "", "PatientID: This is missing."),
    ]


@pytest.mark.system
def test_what_a_query_finds_can_be_transferred_as_it_is(
    database: Database, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    studies, arrivals = tmp_path / "studies", tmp_path / "arrivals"
    arrivals.mkdir()
    head = ct_study(3, rows=16, key="head", patient_id="0001", accession_number="A1")
    chest = mixed_study(size=32)
    other = ct_study(2, rows=16, key="other", patient_id="0002", accession_number="A2")
    for spec in (head, chest, other):
        orthanc_source.archive.load(write_study(spec, studies))
    node = orthanc_source.archive.node
    make_server(database, "PACS", ae_title=node.ae_title, host=node.host, port=node.port)
    make_folder(database, "Export", path=str(arrivals))
    root = make_user(database, "root", staff=True)
    query = submit(
        database,
        root,
        {"AccessionNumber": "A1"},
        {"AccessionNumber": "A9"},
        {"StudyInstanceUID": chest.study_instance_uid, "Modality": "MR", "SeriesDescription": "*"},
    )
    assert perform(database, query).status is JobStatus.WARNING

    batch = read_batch_file(export_results(database, root, query, SheetFormat.XLSX))
    job_id = submit_batch_transfer(
        database,
        FakeLauncher(),
        TransferRequest(owner_id=root.id, source="PACS", destination="Export"),
        batch,
    )
    assert perform(database, job_id).status is JobStatus.SUCCESS
    tasks = {task.study_instance_uid: task.rows for task in list_tasks(database, root, job_id)}
    assert tasks == {head.study_instance_uid: (2,), chest.study_instance_uid: (4,)}
    told = [event.message for event in history_of_job(database, root, job_id)]
    assert "Not transferred: nothing found (row 3)." in told

    wanted = head.sop_instance_uids() | {
        chest.sop_instance_uid(index, instance)
        for index, series in enumerate(chest.series)
        for instance in range(series.instances)
        if series.form.modality == "MR"
    }
    sent = instances_in(studies)
    assert instances_in(arrivals) == {uid: sent[uid] for uid in wanted}
