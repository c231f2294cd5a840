"""The page Upload: what was recognised, and having it transferred once."""

from pathlib import Path

import pytest
from sqlmodel import col, delete, select, update

from adit_core.db import DicomNode, GroupPermission, Job, JobKind, Permission, Upload, User
from adit_core.services.maintenance import begin_maintenance
from adit_core.services.uploads import UploadLimits, files_below, receive_upload
from deployments.demo.studies import write_study
from tests.factories import ct_study
from tests.look_pages import component_data, open_upload, tables
from tests.rows import TRANSFERS, allow, load, make_folder, make_group, make_user
from tests.web_pages import Dashboard, buttons, components, press, said

HEAD = ct_study(3, rows=16, key="uploaded head")

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # the service is tested on both


@pytest.fixture
def ada(dashboard: Dashboard) -> User:
    """A user who may transfer to a folder, without pseudonyms."""
    user = make_user(dashboard.db)
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED, Permission.MAKE_ARCHIVES)
    allow(
        dashboard.db,
        make_group(dashboard.db, user, permissions=granted),
        make_folder(dashboard.db),
        as_destination=True,
    )
    return user


@pytest.fixture
def upload_id(dashboard: Dashboard, ada: User, tmp_path: Path) -> str:
    files = files_below([path.parent for path in write_study(HEAD, tmp_path / "studies")[:1]])
    limits = UploadLimits(1 << 30, 100)
    return receive_upload(dashboard.db, ada, files, root=tmp_path / "uploads", limits=limits).id


def test_the_browser_is_told_where_to_send_files_and_how_many(dashboard: Dashboard, ada: User):
    told = component_data(open_upload(dashboard, ada), "csrfToken")

    assert (told["path"], told["csrfHeader"]) == ("/api/v1/uploads", "X-CSRF-Token")
    assert (told["mostFiles"], bool(told["csrfToken"])) == (dashboard.settings.upload_max_files, True)


def test_who_may_not_upload_is_told_so(dashboard: Dashboard):
    eve = make_user(dashboard.db, "eve")
    make_group(dashboard.db, eve, permissions=(*frozenset(TRANSFERS) - {Permission.UPLOAD},))
    page = open_upload(dashboard, eve)

    assert "You lack the permission to upload. An administrator can give it" in said(page)
    assert not components(page)


def test_an_upload_is_shown_and_transferred_once(dashboard: Dashboard, ada: User, upload_id: str):
    page = open_upload(dashboard, ada, upload=upload_id)

    assert {one.label: one.value for one in page.metric} == {
        "Patients": "1",
        "Studies": "1",
        "Series": "1",
        "Instances": "3",
        "Modalities": "CT",
    }
    ((patient_id, *_),) = tables(page)["Studies that were recognised"]
    assert patient_id == HEAD.patient_id
    page.selectbox("destination").select("Export")
    page.selectbox("project").select("No, leave them as they are")
    page.text_input("name").input("From a CD")
    press(page, "Submit")

    job_id = page.session_state["went to"]
    job = load(dashboard.db, Job, job_id)
    assert (job.kind, job.name, job.owner_id) == (JobKind.UPLOAD, "From a CD", ada.id)
    assert load(dashboard.db, Upload, upload_id).job_id == job_id
    assert "upload" not in page.query_params


def test_a_submission_without_a_choice_says_what_is_missing(dashboard: Dashboard, ada: User, upload_id: str):
    page = open_upload(dashboard, ada, upload=upload_id)

    assert "Choose a destination." in said(press(page, "Submit"))
    page.selectbox("destination").select("Export")
    assert "Choose whether, and for which project, to pseudonymize." in said(press(page, "Submit"))
    with dashboard.db.reading() as session:
        assert session.exec(select(Job)).all() == []


def test_whoever_must_pseudonymize_is_not_offered_to_leave_it(
    dashboard: Dashboard, upload_id: str, ada: User
):
    with dashboard.db.session() as session:
        unwanted = col(GroupPermission.permission) == Permission.TRANSFER_UNPSEUDONYMIZED
        session.exec(delete(GroupPermission).where(unwanted))
        session.commit()

    assert open_upload(dashboard, ada, upload=upload_id).selectbox("project").options == []


def test_an_upload_is_looked_ahead_at_and_submitted(
    dashboard: Dashboard, ada: User, upload_id: str, tmp_path: Path
):
    _give_place(dashboard, tmp_path / "export")
    page = open_upload(dashboard, ada, upload=upload_id)
    assert "Preview" not in buttons(page), "it is not known yet where to"
    page.selectbox("destination").select("Export")
    page.selectbox("project").select("No, leave them as they are").run()
    press(page, "Preview")

    assert not page.exception
    assert not page.error
    ((patient_id, _, study_uid, modality, series, instances, there),) = tables(page)[
        "Studies that would be transferred"
    ]
    assert (patient_id, study_uid) == (HEAD.patient_id, HEAD.study_instance_uid)
    assert (modality, series, instances, there) == ("CT", "1 / 1", "3", "0")
    with dashboard.db.reading() as session:
        assert session.exec(select(Job)).all() == []
    assert load(dashboard.db, Upload, upload_id).job_id is None
    press(page, "Submit")
    assert load(dashboard.db, Upload, upload_id).job_id == page.session_state["went to"]


def test_a_preview_is_gone_once_something_else_is_chosen(
    dashboard: Dashboard, ada: User, upload_id: str, tmp_path: Path
):
    _give_place(dashboard, tmp_path / "export")
    page = open_upload(dashboard, ada, upload=upload_id)
    page.selectbox("destination").select("Export")
    page.selectbox("project").select("No, leave them as they are").run()
    assert "Studies that would be transferred" in tables(press(page, "Preview"))

    page.text_input("name").input("From a CD").run()

    assert "Studies that would be transferred" not in tables(page)


def test_a_preview_is_gone_once_the_archive_gets_another_password(
    dashboard: Dashboard, ada: User, upload_id: str, tmp_path: Path
):
    _give_place(dashboard, tmp_path / "export")
    page = open_upload(dashboard, ada, upload=upload_id)
    page.selectbox("destination").select("Export").run()
    page.selectbox("project").select("No, leave them as they are")
    page.selectbox("kept-as").select("One encrypted archive").run()
    page.text_input("archive-password").input("gull harbour 19").run()
    assert "Studies that would be transferred" in tables(press(page, "Preview"))

    page.text_input("archive-password").input("tern landing 20").run()

    assert "Studies that would be transferred" not in tables(page)


def test_an_upload_goes_into_an_archive_with_a_password(dashboard: Dashboard, ada: User, upload_id: str):
    page = open_upload(dashboard, ada, upload=upload_id)
    page.selectbox("destination").select("Export").run()
    page.selectbox("project").select("No, leave them as they are")
    page.selectbox("kept-as").select("One encrypted archive").run()
    assert "Choose a password for the archive." in said(press(page, "Submit"))
    page.text_input("archive-password").input("gull harbour 19").run()
    press(page, "Submit")

    sealed = load(dashboard.db, Job, page.session_state["went to"]).archive_password
    assert sealed is not None
    assert dashboard.db.keyring.unseal(sealed) == "gull harbour 19"


def test_a_preview_that_cannot_be_made_says_why(dashboard: Dashboard, ada: User, upload_id: str):
    page = open_upload(dashboard, ada, upload=upload_id)
    page.selectbox("destination").select("Export")
    page.selectbox("project").select("No, leave them as they are").run()
    begin_maintenance(dashboard.db, make_user(dashboard.db, "root", staff=True), "We move house.")
    press(page, "Preview")

    assert "We move house" in said(page)
    assert not page.exception


def _give_place(dashboard: Dashboard, folder: Path) -> None:
    """Have the node Export write into this folder."""
    folder.mkdir()
    with dashboard.db.session() as session:
        session.exec(update(DicomNode).values(path=str(folder)))
        session.commit()


def test_an_upload_can_be_discarded(dashboard: Dashboard, ada: User, upload_id: str):
    page = press(open_upload(dashboard, ada, upload=upload_id), "Discard")

    assert load(dashboard.db, Upload, upload_id).removed_at is not None
    assert component_data(page, "csrfToken")


def test_the_upload_of_another_user_is_not_shown(dashboard: Dashboard, upload_id: str):
    page = open_upload(dashboard, make_user(dashboard.db, "root", staff=True), upload=upload_id)

    assert f"There is no upload {upload_id}" in said(page)
    assert buttons(page) == {"Upload something"}
