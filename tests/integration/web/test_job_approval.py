"""Approving chosen parts of a job on its page."""

from pathlib import Path

import pytest
from sqlmodel import col, select
from streamlit.testing.v1 import AppTest

from adit_core.db import (
    DicomNode,
    Job,
    JobKind,
    JobStatus,
    Permission,
    QueryRow,
    Task,
    TaskKind,
    TaskStatus,
    User,
)
from adit_core.db.audit import AuditAction, AuditEvent
from adit_core.errors import ActionNotPossible, NotAllowed
from adit_core.services.job_preview import preview_job
from adit_core.services.submit_upload import submit_upload
from adit_core.services.task_actions import delete_task
from adit_core.services.transfer_preview import TransferPreview
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import UploadLimits, files_below, receive_upload
from deployments.demo.studies import write_study
from tests.mass import add_mass_job, head, mass_options
from tests.queries import submit
from tests.rows import (
    TRANSFERS,
    allow,
    load,
    make_folder,
    make_group,
    make_job,
    make_server,
    make_transfer,
    make_user,
)
from tests.web_pages import Dashboard, buttons, press, rows, said, select_rows, set_job, set_task, tables

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # the service is tested on both

NOT_CHOSEN = "Approve the chosen"


@pytest.fixture
def staff(dashboard: Dashboard) -> User:
    return make_user(dashboard.db, "staff", staff=True)


@pytest.fixture
def owner(dashboard: Dashboard) -> User:
    return make_user(dashboard.db, "ada")


@pytest.fixture
def job(dashboard: Dashboard, owner: User) -> Job:
    """A job of ten studies, from the rows 2 to 11 of a spreadsheet."""
    return make_job(dashboard.db, 10, owner=owner, status=JobStatus.UNVERIFIED)


def type_rows(page: AppTest, job: Job, text: str) -> AppTest:
    return page.text_input(key=f"approve-{job.id}").set_value(text).run()


def typed_rows(page: AppTest, job: Job) -> str:
    return str(page.text_input(key=f"approve-{job.id}").value)


def approved(dashboard: Dashboard, job: Job) -> list[str]:
    """Return the patients whose studies wait to be transferred, if all others are canceled for good."""
    with dashboard.db.reading() as session:
        tasks = session.exec(select(Task).where(Task.job_id == job.id).order_by(col(Task.id))).all()
    waiting = [task for task in tasks if task.status is TaskStatus.PENDING and not task.refused]
    refused = [task for task in tasks if task.status is TaskStatus.CANCELED and task.refused]
    assert len(waiting) + len(refused) == len(tasks)
    return [task.patient_id for task in waiting]


def keys_of_tasks(dashboard: Dashboard, job: Job) -> list[str]:
    with dashboard.db.reading() as session:
        return [
            str(task_id)
            for task_id in session.exec(select(Task.id).where(Task.job_id == job.id).order_by(col(Task.id)))
        ]


def test_rows_that_are_typed_are_approved_after_a_question(dashboard: Dashboard, staff: User, job: Job):
    page = type_rows(dashboard.job(staff, job.id), job, "2-4, 11")
    press(page, "Approve the 4 chosen")
    words = said(page)
    assert load(dashboard.db, Job, job.id).status is JobStatus.UNVERIFIED, "a question comes first"
    page.button(key="confirm").click().run()

    assert not page.error
    assert load(dashboard.db, Job, job.id).status is JobStatus.PENDING
    assert approved(dashboard, job) == ["P1", "P2", "P3", "P10"]
    assert list(dashboard.launcher.runs) == [f"job-{job.id}-run-1"]
    assert "**4 studies will be done.** Rows: 2-4, 11" in words
    assert "**6 studies will not.** Rows: 5-10" in words
    assert "Neither resuming nor restarting the job brings it back" in words
    assert not page.text_input, "there is nothing to approve any more"


def test_studies_that_are_ticked_are_approved(dashboard: Dashboard, staff: User, job: Job):
    keys = keys_of_tasks(dashboard, job)

    page = select_rows(dashboard.job(staff, job.id), keys[1], keys[2], keys[8])
    assert typed_rows(page, job) == "3-4, 10"
    page = select_rows(page, keys[1], keys[2])
    press(page, "Approve the 2 chosen")
    page.button(key="confirm").click().run()

    assert approved(dashboard, job) == ["P2", "P3"]


def test_a_choice_outlives_the_page_of_the_list(dashboard: Dashboard, staff: User, owner: User):
    job = make_job(dashboard.db, 60, owner=owner, status=JobStatus.UNVERIFIED)
    keys = keys_of_tasks(dashboard, job)

    page = select_rows(dashboard.job(staff, job.id), keys[0], keys[1])
    press(page, "Next")
    page = select_rows(page, keys[59])
    assert typed_rows(page, job) == "2-3, 61"
    press(page, "First")
    page = select_rows(page, keys[1])
    assert typed_rows(page, job) == "3, 61"
    press(page, "Approve the 2 chosen")
    page.button(key="confirm").click().run()

    assert approved(dashboard, job) == ["P2", "P60"]


def test_what_is_typed_is_ticked(dashboard: Dashboard, staff: User, job: Job):
    page = type_rows(dashboard.job(staff, job.id), job, "2-4")

    page = select_rows(page, *keys_of_tasks(dashboard, job)[1:3])

    assert typed_rows(page, job) == "3-4"


def test_rows_that_are_not_there_are_told_and_nothing_can_be_approved(
    dashboard: Dashboard, staff: User, job: Job
):
    page = type_rows(dashboard.job(staff, job.id), job, "2, 1, x, 9-20")

    (error,) = page.error
    assert error.value.splitlines() == [
        r"There is no 1\; there are 2 to 11\.",
        r"“x” is no number and no range such as 2\-10\.",
        r"9\-20 goes beyond what there is\: 2 to 11\.",
    ]
    (button,) = [button for button in page.button if button.label == NOT_CHOSEN]
    assert button.disabled


def test_a_study_of_several_rows_is_approved_as_a_whole(dashboard: Dashboard, staff: User, job: Job):
    set_task(dashboard.db, job, 1, rows=(2, 12))

    page = type_rows(dashboard.job(staff, job.id), job, "2-4")
    assert [error.value for error in page.error] == [
        r"2\, 12 belong together\: choose all of them\, or none\."
    ]
    type_rows(page, job, "2-4, 12")
    press(page, "Approve the 3 chosen")
    page.button(key="confirm").click().run()

    assert approved(dashboard, job) == ["P1", "P2", "P3"]


def test_studies_from_no_spreadsheet_are_numbered(dashboard: Dashboard, staff: User, job: Job):
    for number in range(1, 11):
        set_task(dashboard.db, job, number, rows=())
    set_job(dashboard.db, job, kind=JobKind.SELECTIVE_TRANSFER)

    page = dashboard.job(staff, job.id)
    assert [row["Number"] for row in rows(page)] == [str(number) for number in range(1, 11)]
    type_rows(page, job, "9-10")
    press(page, "Approve the 2 chosen")
    page.button(key="confirm").click().run()

    assert approved(dashboard, job) == ["P9", "P10"]


def test_groups_of_rows_of_a_query_are_approved(dashboard: Dashboard, staff: User, owner: User):
    job = make_job(dashboard.db, 2, owner=owner, status=JobStatus.UNVERIFIED, kind=JobKind.BATCH_QUERY)
    for number, asked in ((1, (2, 3)), (2, (4, 5))):
        task_id = set_task(dashboard.db, job, number, kind=TaskKind.QUERY, rows=asked)
        with dashboard.db.session() as session:
            session.add_all(
                QueryRow(job_id=job.id, task_id=task_id, row=row, cells={"PatientID": "1"}) for row in asked
            )
            session.commit()

    page = dashboard.job(staff, job.id)
    assert "approved together: 2-3; 4-5." in said(page)
    type_rows(page, job, "4-5")
    press(page, "Approve the 1 chosen")
    assert "**1 group of rows will not.** Rows: 2-3" in said(page)
    page.button(key="confirm").click().run()

    assert approved(dashboard, job) == ["P2"]


def test_all_can_be_chosen_as_well(dashboard: Dashboard, staff: User, job: Job):
    page = type_rows(dashboard.job(staff, job.id), job, "2-11")
    press(page, "Approve the 10 chosen")
    assert "That is all of the job" in said(page)
    page.button(key="confirm").click().run()

    assert len(approved(dashboard, job)) == 10


def test_a_choice_of_what_was_deleted_meanwhile_approves_nothing(
    dashboard: Dashboard, staff: User, owner: User, job: Job
):
    task_id = int(keys_of_tasks(dashboard, job)[1])

    page = type_rows(dashboard.job(staff, job.id), job, "2-4")
    press(page, "Approve the 3 chosen")
    delete_task(dashboard.db, dashboard.launcher, owner, task_id)
    page.button(key="confirm").click().run()

    assert [error.value for error in page.error] == [f"Job {job.id} has no task {task_id}."]
    assert load(dashboard.db, Job, job.id).status is JobStatus.UNVERIFIED
    assert dashboard.launcher.runs == {}


def test_who_is_not_staff_is_offered_no_choice(dashboard: Dashboard, owner: User, job: Job):
    page = dashboard.job(owner, job.id)

    assert not page.text_input
    assert buttons(page) == {"All jobs", "Delete job"}
    assert "**Approve all**: Only staff may do this." in said(page)


def test_who_is_staff_no_more_cannot_approve_what_was_chosen(dashboard: Dashboard, staff: User, job: Job):
    page = type_rows(dashboard.job(staff, job.id), job, "2")
    press(page, "Approve the 1 chosen")
    with dashboard.db.session() as session:
        session.get_one(User, staff.id).is_staff = False
        session.commit()
    page.button(key="confirm").click().run()

    assert load(dashboard.db, Job, job.id).status is JobStatus.UNVERIFIED
    assert page.error


def test_staff_look_ahead_at_what_is_chosen_before_they_approve(
    dashboard: Dashboard, staff: User, owner: User, tmp_path: Path
):
    (tmp_path / "out").mkdir()
    studies = [head(0, 1), head(1, 1)]
    for study in studies:
        write_study(study, tmp_path / "archive")
    source = make_folder(dashboard.db, "Archive", path=str(tmp_path / "archive"))
    destination = make_folder(dashboard.db, "Out", path=str(tmp_path / "out"))
    job = make_transfer(dashboard.db, owner, source, destination, studies)
    set_job(dashboard.db, job, status=JobStatus.UNVERIFIED)

    page = press(dashboard.job(staff, job.id), "Preview")
    assert not page.error
    assert [row["Study Instance UID"] for row in tables(page)[0]] == [
        study.study_instance_uid for study in studies
    ]
    press(type_rows(page, job, "2"), "Preview")
    assert [row["Study Instance UID"] for row in tables(page)[0]] == [studies[1].study_instance_uid]

    with dashboard.db.reading() as session:
        asked = session.exec(select(AuditEvent).where(AuditEvent.action == AuditAction.QUERIED)).all()
    assert {event.actor for event in asked} == {"staff"}
    assert load(dashboard.db, Job, job.id).status is JobStatus.UNVERIFIED
    assert list((tmp_path / "out").iterdir()) == []


def test_searches_of_a_mass_transfer_are_looked_ahead_at_and_approved(
    dashboard: Dashboard, staff: User, tmp_path: Path
):
    write_study(head(2, 1), tmp_path / "archive")
    source = make_folder(dashboard.db, "Archive", path=str(tmp_path / "archive"))
    job = add_mass_job(dashboard.db, source, mass_options())
    set_job(dashboard.db, job, status=JobStatus.UNVERIFIED)

    page = press(dashboard.job(staff, job.id), "Preview")
    assert not page.error
    assert "2024-04-01, one of 3 days" in said(page)
    assert [row["Study Instance UID"] for row in tables(page)[0]] == [head(2, 1).study_instance_uid]
    type_rows(page, job, "1, 3")
    press(page, "Approve the 2 chosen")
    assert "**1 search will not.** Numbers: 2" in said(page)
    page.button(key="confirm").click().run()

    with dashboard.db.reading() as session:
        tasks = session.exec(select(Task).where(Task.job_id == job.id).order_by(col(Task.id))).all()
    assert [task.refused for task in tasks] == [False, True, False]


def test_a_job_can_be_looked_ahead_at_by_staff_and_while_it_waits_for_approval_only(
    dashboard: Dashboard, staff: User, owner: User, job: Job
):
    assert "Preview" in buttons(dashboard.job(staff, job.id))
    assert "Preview" not in buttons(dashboard.job(owner, job.id))
    with pytest.raises(NotAllowed):
        preview_job(dashboard.db, owner, job.id)
    set_job(dashboard.db, job, status=JobStatus.PENDING)
    assert "Preview" not in buttons(dashboard.job(staff, job.id))
    with pytest.raises(ActionNotPossible, match="does not wait for approval"):
        preview_job(dashboard.db, staff, job.id)


def test_what_a_query_asks_is_told_before_it_is_approved(dashboard: Dashboard, staff: User):
    make_server(dashboard.db)
    job_id = submit(dashboard.db, staff, {"PatientID": "0012", "Modality": "/M./"}, {"PatientID": "1"})
    set_job(dashboard.db, load(dashboard.db, Job, job_id), status=JobStatus.UNVERIFIED)

    page = press(dashboard.job(staff, job_id), "Preview")

    assert not page.error
    assert [tuple(row.values()) for row in tables(page)[0]] == [
        ("2", "studies", "PatientID", "Modality"),
        ("3", "studies", "PatientID", ""),
    ]


def test_what_was_uploaded_is_looked_at_before_it_is_approved(
    dashboard: Dashboard, staff: User, owner: User, tmp_path: Path
):
    (tmp_path / "export").mkdir()
    make_folder(dashboard.db, path=str(tmp_path / "export"))
    allow_all = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED)
    allow(
        *(dashboard.db, make_group(dashboard.db, owner, permissions=allow_all)),
        load(dashboard.db, DicomNode, 1),
        as_destination=True,
    )
    spec = head(1, 2)
    files = write_study(spec, tmp_path / "brought")
    limits = UploadLimits(total_bytes=1 << 30, files=100)
    upload = receive_upload(dashboard.db, owner, files_below(files), root=tmp_path / "uploads", limits=limits)
    request = TransferRequest(owner_id=owner.id, source=None, destination="Export")
    job_id = submit_upload(dashboard.db, dashboard.launcher, request, upload.id)
    set_job(dashboard.db, load(dashboard.db, Job, job_id), status=JobStatus.UNVERIFIED)

    preview = preview_job(dashboard.db, staff, job_id)

    assert isinstance(preview, TransferPreview)
    (study,) = preview.studies
    assert (study.study_instance_uid, study.instances) == (spec.study_instance_uid, len(files))
    assert "Preview" in buttons(dashboard.job(staff, job_id))
    assert not any((tmp_path / "export").rglob("*.dcm"))


def test_studies_of_one_row_of_a_query_can_be_approved_one_by_one(
    dashboard: Dashboard, staff: User, job: Job
):
    with dashboard.db.session() as session:
        for task in session.exec(select(Task).where(Task.job_id == job.id)):
            task.rows = (2,)
        session.commit()

    page = type_rows(dashboard.job(staff, job.id), job, "3")
    press(page, "Approve the 1 chosen")
    page.button(key="confirm").click().run()

    assert approved(dashboard, job) == ["P3"]


def test_a_job_of_one_study_offers_no_choice(dashboard: Dashboard, staff: User, owner: User):
    job = make_job(dashboard.db, owner=owner, status=JobStatus.UNVERIFIED)

    page = dashboard.job(staff, job.id)

    assert not page.text_input
    assert {"Approve all", NOT_CHOSEN} & buttons(page) == {"Approve all"}


def test_of_ten_thousand_studies_some_are_approved(dashboard: Dashboard, staff: User, owner: User):
    job = make_job(dashboard.db, 10_000, owner=owner, status=JobStatus.UNVERIFIED)

    page = type_rows(dashboard.job(staff, job.id), job, "2-10, 15, 5000-10001")
    press(page, "Approve the 5,012 chosen")
    assert "**4,988 studies will not.** Rows: 11-14, 16-4999" in said(page)
    page.button(key="confirm").click().run()

    assert not page.error
    assert len(approved(dashboard, job)) == 5_012
