"""Having jobs done through the API: what is taken, what is refused, and what is done once only."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlmodel import select

from adit_core.db import Job, Permission, Task, User
from adit_core.db.engine import Database
from tests.api import Api, ApiCaller
from tests.queries import sheet_of
from tests.rows import FORMS, TRANSFERS, allow, load, make_folder, make_group, make_server

STUDIES = [{"patient_id": "P1", "study_instance_uid": "1.2.1"}]
ROWS = [{"PatientID": "P1", "StudyInstanceUID": "1.2.1"}, {"PatientID": "P2", "StudyInstanceUID": "1.2.2"}]
WAY = {"source": "PACS", "destination": "Export"}
ORDERS = {
    "selective": {**WAY, "studies": STUDIES},
    "batch": {**WAY, "rows": ROWS},
    "mass": {**WAY, "search": {"first_day": "2024-01-01", "last_day": "2024-01-03"}},
    "query": {"source": "PACS", "rows": [{"PatientID": "P1"}, {"PatientName": "Doe^J*"}]},
}


@pytest.fixture
def caller(api: Api, ada: User) -> ApiCaller:
    """A program of Ada, who may transfer from the PACS to a folder, and ask the PACS."""
    granted = (*TRANSFERS, *FORMS, Permission.TRANSFER_UNPSEUDONYMIZED, Permission.QUERY)
    group = make_group(api.db, ada, permissions=granted)
    allow(api.db, group, make_server(api.db), as_source=True)
    allow(api.db, group, make_folder(api.db), as_destination=True)
    return api.caller(ada)


def _picked(uid: str, patient_id: str = "P1") -> dict[str, str]:
    return {"patient_id": patient_id, "study_instance_uid": uid}


def _jobs(db: Database) -> list[Job]:
    with db.reading() as session:
        return list(session.exec(select(Job)))


def _tasks(db: Database) -> list[Task]:
    with db.reading() as session:
        return list(session.exec(select(Task)))


def _form(content: bytes, name: str = "studies.csv", **fields: str) -> dict[str, Any]:
    return {"files": {"file": (name, content, "text/csv")}, "data": fields}


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("selective", "selective transfer"),
        ("batch", "batch transfer"),
        ("mass", "mass transfer"),
        ("query", "batch query"),
    ],
)
def test_jobs_of_every_kind_are_submitted(api: Api, caller: ApiCaller, kind: str, word: str):
    answer = caller.post(f"/v1/jobs/{kind}", {**ORDERS[kind], "name": " heads "})

    job = answer.json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["kind"], job["name"], job["owner"], job["status"]) == (word, "heads", "ada", "PENDING")
    assert job["actions"] == ["cancel", "delete"]
    assert load(api.db, Job, job["id"]).flow_run_id == f"flow-{job['id']}-1"


def test_a_spreadsheet_is_taken_as_rows_are(api: Api, caller: ApiCaller):
    answer = caller.post("/v1/jobs/batch/spreadsheet", **_form(sheet_of(*ROWS), **WAY, name="sheet"))

    assert answer.status_code == 201, answer.text
    assert [(task.study_instance_uid, task.rows) for task in _tasks(api.db)] == [
        ("1.2.1", (2,)),
        ("1.2.2", (3,)),
    ]
    caller.json("POST", "/v1/jobs/batch", json=ORDERS["batch"])
    assert [task.rows for task in _tasks(api.db)] == [(2,), (3,), (2,), (3,)]


def test_a_spreadsheet_of_questions_is_taken(api: Api, caller: ApiCaller):
    sheet = sheet_of({"PatientID": "P1"}, {"PatientID": "P2"})

    job = caller.json("POST", "/v1/jobs/query/spreadsheet", **_form(sheet, source="PACS"))

    assert (job["kind"], job["progress"]["tasks"]) == ("batch query", {"PENDING": 2})


def test_problems_name_the_rows_and_columns_of_a_spreadsheet(api: Api, caller: ApiCaller):
    sheet = sheet_of(
        {"PatientID": "P1", "StudyInstanceUID": "1.2.1"}, {"PatientID": "Doe", "StudyInstanceUID": "x"}
    )

    problem = caller.problem("POST", "/v1/jobs/batch/spreadsheet", **_form(sheet, **WAY))

    assert problem["status"] == 422
    assert [(error["row"], error["field"]) for error in problem["errors"]] == [(3, "StudyInstanceUID")]
    assert "Doe" not in str(problem)
    assert _jobs(api.db) == []


def test_problems_of_rows_are_named_in_the_same_way(caller: ApiCaller):
    rows = [{"PatientID": "P1", "StudyInstanceUID": "1.2.1"}, {"PatientID": "P*", "StudyInstanceUID": "1..2"}]

    problem = caller.problem("POST", "/v1/jobs/batch", json={**WAY, "rows": rows})

    assert [(error["row"], error["field"]) for error in problem["errors"]] == [
        (3, "PatientID"),
        (3, "StudyInstanceUID"),
    ]


@pytest.mark.parametrize(
    ("kind", "changes", "status", "field"),
    [
        (
            "selective",
            {"studies": [_picked("1.02")]},
            422,
            "studies.0.study_instance_uid",
        ),
        ("selective", {"studies": [_picked("1.2", "P*")]}, 422, "patient_id"),
        ("selective", {"studies": []}, 422, "studies"),
        ("selective", {"name": "x" * 151}, 422, "name"),
        ("selective", {"name": "a\x00b"}, 422, "name"),
        ("selective", {"urgent": "perhaps"}, 422, "urgent"),
        ("selective", {"priority": 1}, 422, "priority"),
        ("selective", {"source": "Export"}, 403, None),
        ("selective", {"source": "NOWHERE"}, 404, None),
        ("selective", {"urgent": True}, 403, None),
        ("batch", {"rows": []}, 422, "rows"),
        ("batch", {"rows": [{}]}, 422, None),
        ("batch", {"rows": [{"PatientID": "P1"}]}, 422, "StudyInstanceUID"),
        ("batch", {"rows": [{"PatientID": 1, "StudyInstanceUID": "1.2"}]}, 422, "rows.0.PatientID"),
        ("query", {"rows": [{"PatientSize": "x"}]}, 422, None),
        ("query", {"rows": [{"NoSuchKeyword": "x"}]}, 422, "NoSuchKeyword"),
        ("query", {"rows": [{"PatientName": "*"}]}, 422, None),
        ("mass", {"search": {"first_day": "2024-01-03", "last_day": "2024-01-01"}}, 422, "search.last_day"),
        ("mass", {"search": {"first_day": "2024-01-01"}}, 422, "search.last_day"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_submitted(
    *, api: Api, caller: ApiCaller, kind: str, changes: dict[str, Any], status: int, field: str | None
):
    for path in (f"/v1/jobs/{kind}", f"/v1/jobs/{kind}/validate"):
        problem = caller.problem("POST", path, json={**ORDERS[kind], **changes})

        assert problem["status"] == status, problem
        if field is not None:
            assert [error["field"] for error in problem["errors"]] == [field]
    assert _jobs(api.db) == []


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("selective", {"studies": 1, "rows": None, "periods": None}),
        ("batch", {"studies": 2, "rows": None, "periods": None}),
        ("mass", {"studies": None, "rows": None, "periods": 3}),
        ("query", {"studies": None, "rows": 2, "periods": None}),
    ],
)
def test_an_order_is_validated_without_being_submitted(
    api: Api, caller: ApiCaller, kind: str, accepted: dict
):
    assert caller.json("POST", f"/v1/jobs/{kind}/validate", json=ORDERS[kind]) == {
        **accepted,
        "left_out": [],
    }


def test_rows_of_a_query_without_a_study_are_named_by_the_validation(api: Api, caller: ApiCaller):
    rows = [
        {**ORDERS["batch"]["rows"][0], "QueryRow": "4", "Outcome": "found"},
        {"PatientID": "P9", "Transfer": "no", "QueryRow": "5", "Outcome": "nothing found"},
    ]

    told = caller.json("POST", "/v1/jobs/batch/validate", json={**ORDERS["batch"], "rows": rows})

    assert told["left_out"] == [{"row": 5, "reason": "nothing found"}]
    assert _jobs(api.db) == []


def test_a_spreadsheet_is_validated(api: Api, caller: ApiCaller):
    form = _form(sheet_of(*ROWS), **WAY)

    assert caller.json("POST", "/v1/jobs/batch/spreadsheet/validate", **form)["studies"] == 2
    form = _form(sheet_of({"PatientID": "P1"}), source="PACS")
    assert caller.json("POST", "/v1/jobs/query/spreadsheet/validate", **form)["rows"] == 1
    assert _jobs(api.db) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\x.csv", "/abs/x.csv", "x\x00y\n.csv"])
def test_the_name_of_a_spreadsheet_leads_nowhere(caller: ApiCaller, name: str):
    problem = caller.problem("POST", "/v1/jobs/batch/spreadsheet", **_form(b"\x01\x02", name=name, **WAY))

    assert problem["status"] == 422
    assert ".." not in problem["detail"]
    assert "/" not in problem["detail"].replace("UTF-8", "")


@pytest.mark.parametrize("kind", ORDERS)
def test_the_same_key_gets_the_same_job(api: Api, caller: ApiCaller, kind: str):
    first = caller.post(f"/v1/jobs/{kind}", ORDERS[kind], headers={"Idempotency-Key": "abc-1"})
    second = caller.post(f"/v1/jobs/{kind}", ORDERS[kind], headers={"Idempotency-Key": "abc-1"})

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert len(_jobs(api.db)) == len(api.launcher.runs) == 1


def test_the_same_spreadsheet_under_the_same_key_gets_the_same_job(api: Api, caller: ApiCaller):
    sheet, other = sheet_of(*ROWS), sheet_of(ROWS[0])
    key = {"headers": {"Idempotency-Key": "k"}}

    answers = [
        caller.post("/v1/jobs/batch/spreadsheet", **_form(content, **WAY), **key)
        for content in (sheet, sheet, other)
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 422]
    assert answers[2].json()["errors"][0]["field"] == "Idempotency-Key"
    assert len(_jobs(api.db)) == 1


def test_a_key_is_not_used_for_something_else(api: Api, caller: ApiCaller):
    key = {"headers": {"Idempotency-Key": "k"}}
    caller.json("POST", "/v1/jobs/batch", json=ORDERS["batch"], **key)

    changed = caller.problem("POST", "/v1/jobs/batch", json={**ORDERS["batch"], "name": "other"}, **key)
    elsewhere = caller.problem("POST", "/v1/jobs/query", json=ORDERS["query"], **key)

    assert (changed["status"], elsewhere["status"]) == (422, 422)
    assert len(_jobs(api.db)) == 1


def test_keys_of_different_users_do_not_meet(api: Api, caller: ApiCaller, staff: User):
    key = {"headers": {"Idempotency-Key": "k"}}

    hers = caller.json("POST", "/v1/jobs/batch", json=ORDERS["batch"], **key)
    theirs = api.caller(staff).json("POST", "/v1/jobs/batch", json=ORDERS["batch"], **key)

    assert hers["id"] != theirs["id"]


def test_requests_at_the_same_time_make_one_job(api: Api, caller: ApiCaller):
    def submit(_: int) -> int:
        answer = caller.post("/v1/jobs/batch", ORDERS["batch"], headers={"Idempotency-Key": "k"})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["id"]

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(submit, range(12)))

    assert len(ids) == 1
    assert len(_jobs(api.db)) == 1


def test_what_was_refused_may_be_sent_again_under_its_key(caller: ApiCaller):
    key = {"headers": {"Idempotency-Key": "k"}}
    caller.problem("POST", "/v1/jobs/batch", json={**ORDERS["batch"], "source": "NOWHERE"}, **key)

    assert caller.post("/v1/jobs/batch", ORDERS["batch"], **key).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "ä"])
def test_keys_that_are_none_are_refused(caller: ApiCaller, key: str):
    headers = {"Idempotency-Key": key.encode("latin-1")}

    assert caller.problem("POST", "/v1/jobs/batch", json=ORDERS["batch"], headers=headers)["status"] == 422


def test_without_a_scheduler_the_job_waits_and_says_so(api: Api, caller: ApiCaller):
    api.launcher.unavailable = True

    job = caller.json("POST", "/v1/jobs/batch", json=ORDERS["batch"])

    assert (job["status"], "Start it." in job["message"]) == ("PENDING", True)


PASSWORD = "gull harbour 19"


@pytest.mark.parametrize("kind", ["selective", "batch", "mass"])
def test_a_job_may_make_an_encrypted_archive_whose_password_is_not_answered(
    api: Api, caller: ApiCaller, kind: str
):
    answer = caller.post(f"/v1/jobs/{kind}", {**ORDERS[kind], "archive_password": PASSWORD})

    job = answer.json()
    assert answer.status_code == 201, answer.text
    assert job["archive_file"] == f"job-{job['id']}.7z"
    assert PASSWORD not in answer.text
    sealed = load(api.db, Job, job["id"]).archive_password
    assert sealed is not None
    assert api.db.keyring.unseal(sealed) == PASSWORD


def test_a_spreadsheet_may_be_kept_in_an_archive_or_as_volumes(api: Api, caller: ApiCaller):
    for fields in ({"archive_password": PASSWORD}, {"as_nifti": "true"}):
        answer = caller.post("/v1/jobs/batch/spreadsheet", **_form(sheet_of(*ROWS), **WAY, **fields))
        assert answer.status_code == 201, answer.text
    archive, volumes = _jobs(api.db)
    assert archive.archive_password is not None
    assert volumes.options.as_nifti


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"archive_password": "secret"}, "archive_password"),
        ({"archive_password": "secret" * 100}, "archive_password"),
        ({"archive_password": PASSWORD, "as_nifti": True}, "as_nifti"),
        ({"trial_protocol_id": "L-2"}, "trial_protocol_id"),
        ({"trial_protocol_id": "a\\b"}, "trial_protocol_id"),
    ],
)
def test_a_job_that_cannot_be_kept_so_is_refused_without_the_password(
    caller: ApiCaller, given: dict[str, Any], field: str
):
    answer = caller.post("/v1/jobs/selective", {**ORDERS["selective"], **given})

    assert answer.status_code == 422, answer.text
    assert [error["field"].rsplit(".", 1)[-1] for error in answer.json()["errors"]] == [field]
    assert "secret" not in answer.text


def test_a_key_remembers_that_there_is_a_password_and_not_which(api: Api, caller: ApiCaller):
    key = {"headers": {"Idempotency-Key": "k"}}
    plain = ORDERS["selective"]
    first = caller.post("/v1/jobs/selective", {**plain, "archive_password": PASSWORD}, **key)
    again = caller.post("/v1/jobs/selective", {**plain, "archive_password": PASSWORD[::-1]}, **key)
    without = caller.post("/v1/jobs/selective", plain, **key)

    assert [answer.status_code for answer in (first, again, without)] == [201, 200, 422]
    assert len(_jobs(api.db)) == 1
