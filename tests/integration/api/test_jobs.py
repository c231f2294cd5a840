"""Following jobs through the API, and acting on them."""

from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import (
    Job,
    JobKind,
    JobStatus,
    QueryRow,
    SeriesProgress,
    Task,
    TaskKind,
    TaskStatus,
    TokenScope,
    User,
)
from adit_core.db.audit import AuditAction, AuditEvent
from adit_core.services.spreadsheet import read_spreadsheet
from adit_core.services.text_sheet import SheetFormat
from deployments.demo.studies import write_study
from tests.api import Api
from tests.factories import ct_study
from tests.queries import submit
from tests.rows import load, make_folder, make_job, make_server, make_transfer, make_user
from tests.web_pages import set_job


def _task_id(api: Api, job: Job) -> int:
    with api.db.reading() as session:
        return session.exec(select(Task.id).where(Task.job_id == job.id)).first() or 0


def test_ones_jobs_are_listed_in_pages(api: Api, ada: User):
    jobs = [make_job(api.db, owner=user) for user in (ada, make_user(api.db, "bob"))]
    for _ in range(4):
        with api.db.session() as session:
            session.add(Job(kind=JobKind.UPLOAD, owner_id=ada.id, destination_id=jobs[0].destination_id))
            session.commit()
    caller = api.caller(ada)

    first = caller.json("GET", "/v1/jobs?limit=3")
    second = caller.json("GET", f"/v1/jobs?limit=3&next={first['next']}")

    ids = [job["id"] for job in first["items"] + second["items"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5
    assert jobs[1].id not in ids
    assert second["next"] is None
    assert [job["id"] for job in caller.json("GET", "/v1/jobs?kind=batch transfer")["items"]] == [jobs[0].id]
    assert caller.json("GET", "/v1/jobs?status=SUCCESS&status=FAILURE")["items"] == []


def test_staff_see_everybodys_jobs_if_they_ask(api: Api, ada: User, staff: User):
    job = make_job(api.db, owner=ada)

    assert api.caller(staff).json("GET", "/v1/jobs")["items"] == []
    (seen,) = api.caller(staff).json("GET", "/v1/jobs?all_users=true")["items"]
    assert (seen["id"], seen["owner"]) == (job.id, "ada")
    assert api.caller(ada).problem("GET", "/v1/jobs?all_users=true")["status"] == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/{job}"),
        ("DELETE", "/v1/jobs/{job}"),
        ("GET", "/v1/jobs/{job}/tasks"),
        ("GET", "/v1/jobs/{job}/tasks/spreadsheet"),
        ("GET", "/v1/jobs/{job}/series"),
        ("GET", "/v1/jobs/{job}/series/spreadsheet"),
        ("GET", "/v1/jobs/{job}/history"),
        ("GET", "/v1/jobs/{job}/results"),
        ("GET", "/v1/jobs/{job}/results/spreadsheet"),
        ("GET", "/v1/jobs/{job}/progress"),
        ("POST", "/v1/jobs/{job}/actions/cancel"),
        ("POST", "/v1/jobs/{job}/actions/verify"),
        ("GET", "/v1/tasks/{task}"),
        ("GET", "/v1/tasks/{task}/series"),
        ("DELETE", "/v1/tasks/{task}"),
        ("POST", "/v1/tasks/{task}/actions/reset"),
    ],
)
def test_the_jobs_of_others_are_not_there(api: Api, ada: User, method: str, path: str):
    job = make_job(api.db, owner=make_user(api.db, "bob"))
    theirs = path.format(job=job.id, task=_task_id(api, job))
    nothing = path.format(job=4711, task=4711)
    caller = api.caller(ada)

    refused, missing = caller.problem(method, theirs), caller.problem(method, nothing)

    assert (refused["status"], missing["status"]) == (404, 404)
    assert load(api.db, Job, job.id).status is JobStatus.PENDING


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "1.5"])
def test_numbers_that_no_job_has_are_refused(api: Api, ada: User, number: str):
    assert api.caller(ada).problem("GET", f"/v1/jobs/{number}")["status"] == 422
    assert api.caller(ada).problem("GET", f"/v1/jobs?next={number}")["status"] == 422
    assert api.caller(ada).problem("GET", "/v1/jobs?limit=100000")["status"] == 422


def test_a_job_is_canceled_and_resumed(api: Api, ada: User, staff: User):
    job = make_job(api.db, studies=2, owner=ada)
    caller = api.caller(ada)

    canceled = caller.json("POST", f"/v1/jobs/{job.id}/actions/cancel")
    again = caller.problem("POST", f"/v1/jobs/{job.id}/actions/cancel")
    staffs = api.caller(staff).json("POST", f"/v1/jobs/{job.id}/actions/resume")

    assert (canceled["status"], canceled["progress"]["tasks"]) == ("CANCELED", {"CANCELED": 2})
    assert "resume" in canceled["actions"]
    assert "staff" in canceled["refusals"]["restart"]
    assert again["status"] == 409
    assert staffs["status"] == "PENDING"


def test_a_job_is_deleted(api: Api, ada: User):
    job = make_job(api.db, owner=ada)
    caller = api.caller(ada)

    assert caller.send("DELETE", f"/v1/jobs/{job.id}").status_code == 204
    assert caller.problem("GET", f"/v1/jobs/{job.id}")["status"] == 404


def test_staff_approve_a_job_or_some_of_its_tasks(api: Api, ada: User, staff: User):
    whole, part = (
        make_job(api.db, studies=2, owner=owner, status=JobStatus.UNVERIFIED)
        for owner in (ada, make_user(api.db, "bob"))
    )
    caller = api.caller(staff)

    assert api.caller(ada).problem("POST", f"/v1/jobs/{whole.id}/actions/verify")["status"] == 403
    assert caller.json("POST", f"/v1/jobs/{whole.id}/actions/verify")["status"] == "PENDING"
    chosen = {"task_ids": [_task_id(api, part)]}
    approved = caller.json("POST", f"/v1/jobs/{part.id}/actions/verify", json=chosen)
    assert approved["progress"]["tasks"] == {"PENDING": 1, "CANCELED": 1}


def test_staff_look_ahead_at_a_job_or_some_of_its_tasks_before_they_approve_it(
    api: Api, ada: User, staff: User, tmp_path: Path
):
    studies = [ct_study(2, key="first ahead", rows=16), ct_study(3, key="second ahead", rows=16)]
    for study in studies:
        write_study(study, tmp_path / "archive")
    (tmp_path / "out").mkdir()
    source, destination = (
        make_folder(api.db, name, path=str(tmp_path / name)) for name in ("archive", "out")
    )
    job = make_transfer(api.db, ada, source, destination, studies)
    path = f"/v1/jobs/{job.id}/preview"
    caller = api.caller(staff)
    assert caller.problem("POST", path)["status"] == 409, "it does not wait for approval"
    set_job(api.db, job, status=JobStatus.UNVERIFIED)

    whole = caller.json("POST", path)
    part = caller.json("POST", path, json={"task_ids": [_task_id(api, job)]})

    assert [study["study_instance_uid"] for study in whole["studies"]] == [
        study.study_instance_uid for study in studies
    ]
    assert (whole["series"], whole["instances"], whole["held"]) == (2, 5, 0)
    assert (len(part["studies"]), part["instances"]) == (1, 2)
    assert caller.json("POST", path, json={"task_ids": []})["studies"] == []
    assert caller.problem("POST", path, json={"task_ids": [4711]})["status"] == 404
    assert api.caller(ada).problem("POST", path)["status"] == 403
    assert api.caller(staff, TokenScope.READ).problem("POST", path)["status"] == 403
    assert load(api.db, Job, job.id).status is JobStatus.UNVERIFIED
    assert list((tmp_path / "out").iterdir()) == []


def test_staff_look_ahead_at_what_a_query_asks_before_they_approve_it(api: Api, staff: User):
    make_server(api.db)
    job_id = submit(api.db, staff, {"PatientID": "0012", "Modality": "/M./"}, {"PatientID": "1"})
    set_job(api.db, load(api.db, Job, job_id), status=JobStatus.UNVERIFIED)

    told = api.caller(staff).json("POST", f"/v1/jobs/{job_id}/preview")

    assert told["total"] == 2
    assert told["rows"][0] == {
        "row": 2,
        "finds_series": False,
        "asked": ["PatientID"],
        "sifted": ["Modality"],
    }


def test_the_tasks_of_a_job_are_a_spreadsheet(api: Api, ada: User):
    job = make_job(api.db, studies=2, owner=ada)
    path = f"/v1/jobs/{job.id}/tasks/spreadsheet"
    caller = api.caller(ada)

    for form in SheetFormat:
        answer = caller.get(f"{path}?format={form}")
        assert answer.headers["content-disposition"] == f'attachment; filename="job-{job.id}-tasks.{form}"'
        sheet = read_spreadsheet(answer.content, f"tasks.{form}")
        told = [dict(zip(sheet.header, row, strict=True)) for row in sheet.rows.values()]
        assert [(row["StudyInstanceUID"], row["Status"]) for row in told] == [
            ("1.2.1", "PENDING"),
            ("1.2.2", "PENDING"),
        ]
    assert caller.problem("GET", f"{path}?format=pdf")["status"] == 422


def test_the_series_of_a_job_are_a_spreadsheet(api: Api, ada: User):
    job = make_job(api.db, owner=ada)
    with api.db.session() as session:
        progress = SeriesProgress(task_id=1, series_instance_uid="1.2.1.1", modality="CT", planned=3)
        session.add(progress)
        session.commit()
    caller = api.caller(ada)

    for form in SheetFormat:
        answer = caller.get(f"/v1/jobs/{job.id}/series/spreadsheet?format={form}")
        assert answer.headers["content-disposition"] == f'attachment; filename="job-{job.id}-series.{form}"'
        sheet = read_spreadsheet(answer.content, f"series.{form}")
        (row,) = sheet.rows.values()
        told = dict(zip(sheet.header, row, strict=True))
        assert (told["PatientID"], told["SeriesInstanceUID"], told["State"]) == ("P1", "1.2.1.1", "waiting")
    assert caller.problem("GET", f"/v1/jobs/{job.id}/series/spreadsheet?format=pdf")["status"] == 422
    with api.db.reading() as session:
        exported = select(AuditEvent).where(AuditEvent.action == AuditAction.JOB_EXPORTED)
        assert len(session.exec(exported).all()) == len(SheetFormat)


def test_tasks_are_listed_shown_and_changed(api: Api, ada: User, staff: User):
    job = make_job(api.db, studies=3, owner=ada)
    caller = api.caller(ada)

    first = caller.json("GET", f"/v1/jobs/{job.id}/tasks?limit=2")
    second = caller.json("GET", f"/v1/jobs/{job.id}/tasks?limit=2&next={first['next']}")

    tasks = first["items"] + second["items"]
    assert [(task["study_instance_uid"], task["rows"]) for task in tasks] == [
        ("1.2.1", [2]),
        ("1.2.2", [3]),
        ("1.2.3", [4]),
    ]
    shown = caller.json("GET", f"/v1/tasks/{tasks[0]['id']}")
    assert (shown["actions"], "staff" in shown["refusals"]["kill"]) == (["delete"], True)
    assert caller.json("GET", f"/v1/tasks/{tasks[0]['id']}/series") == []
    assert caller.send("DELETE", f"/v1/tasks/{tasks[0]['id']}").status_code == 204
    reset = f"/v1/tasks/{tasks[1]['id']}/actions/reset"
    assert caller.problem("POST", reset)["status"] == 403, "Ada may not transfer any more"
    assert api.caller(staff).problem("POST", reset)["status"] == 409
    assert caller.problem("POST", f"/v1/tasks/{tasks[1]['id']}/actions/explode")["status"] == 422


def test_the_history_tells_who_wanted_what(api: Api, ada: User):
    job = make_job(api.db, owner=ada)
    caller = api.caller(ada)
    caller.json("POST", f"/v1/jobs/{job.id}/actions/cancel")

    events = caller.json("GET", f"/v1/jobs/{job.id}/history")["items"]

    assert ("ada", "Cancel asked for.") in [(event["actor"], event["message"]) for event in events]
    of_task = caller.json("GET", f"/v1/jobs/{job.id}/history?task={_task_id(api, job)}")["items"]
    assert [event["status"] for event in of_task] == ["CANCELED"]


def test_the_results_of_a_query_are_listed_and_exported(api: Api, ada: User):
    job = make_job(api.db, studies=0, owner=ada, kind=JobKind.BATCH_QUERY)
    with api.db.session() as session:
        task = Task(job_id=job.id, kind=TaskKind.QUERY, status=TaskStatus.PENDING, rows=(2, 3))
        session.add(task)
        session.flush()
        session.add_all(
            QueryRow(job_id=job.id, task_id=task.id, row=row, cells={"PatientID": f"=P{row}"})
            for row in (2, 3)
        )
        session.commit()
    caller = api.caller(ada)

    page = caller.json("GET", f"/v1/jobs/{job.id}/results?limit=1")
    sheets = {
        form: caller.get(f"/v1/jobs/{job.id}/results/spreadsheet?format={form}") for form in ("csv", "xlsx")
    }

    assert [(row["row"], row["is_open"]) for row in page["items"]] == [(2, True)]
    assert [row["row"] for row in caller.json("GET", f"/v1/jobs/{job.id}/results?next=2")["items"]] == [3]
    for form, answer in sheets.items():
        assert answer.headers["content-disposition"] == f'attachment; filename="query-{job.id}.{form}"'
        sheet = read_spreadsheet(answer.content, "x")
        place = sheet.header.index("PatientID")
        assert [row[place] for row in sheet.rows.values()] == ["=P2", "=P3"]
    assert caller.problem("GET", f"/v1/jobs/{job.id}/results/spreadsheet?format=pdf")["status"] == 422


def test_a_transfer_has_no_results(api: Api, ada: User):
    job = make_job(api.db, owner=ada)

    assert api.caller(ada).problem("GET", f"/v1/jobs/{job.id}/results")["status"] == 409
