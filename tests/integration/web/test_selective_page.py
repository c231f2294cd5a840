"""The page for selective transfers: searching, selecting, and submitting once."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from adit_core.db import DicomNode, Group, Job, JobKind, Permission, Task, TransferOptions, User
from adit_core.services.projects import set_project_access
from deployments.demo.studies import write_study
from tests.factories import ct_study
from tests.projects import make_project
from tests.rows import FORMS, TRANSFERS, allow, make_folder, make_group, make_user
from tests.web_pages import Dashboard, buttons, components, press, rows, said, select_rows

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

HEAD = ct_study(2, key="head", patient_id="0001", description="CT head")
FOOT = ct_study(1, key="foot", patient_id="0002", description="CT foot")


@dataclass
class Scene:
    """A user who may move studies from one folder to another, with the patients' names."""

    dashboard: Dashboard
    user: User
    source: DicomNode
    destination: DicomNode

    def found(self, **criteria: str) -> AppTest:
        """Open the page and search."""
        page = self.dashboard.selective(self.user)
        for name, value in criteria.items():
            page.text_input(key=f"criteria-{name}").set_value(value)
        page = press(page, "Search")
        while any(button.label == "Stop" for button in page.button):
            page.run()
        return page

    def jobs(self) -> list[Job]:
        with self.dashboard.db.reading() as session:
            return list(session.exec(select(Job)))

    def tasks(self) -> list[Task]:
        with self.dashboard.db.reading() as session:
            return list(session.exec(select(Task)))


@pytest.fixture
def scene(dashboard: Dashboard, tmp_path: Path) -> Scene:
    for folder in ("source", "destination"):
        (tmp_path / folder).mkdir()
    source = make_folder(dashboard.db, "Archive", path=str(tmp_path / "source"))
    destination = make_folder(dashboard.db, "Research", path=str(tmp_path / "destination"))
    for spec in (HEAD, FOOT):
        write_study(spec, Path(source.path))
    ada = make_user(dashboard.db, "ada")
    permissions = (*TRANSFERS, *FORMS, Permission.TRANSFER_UNPSEUDONYMIZED)
    group = make_group(dashboard.db, ada, permissions=permissions)
    allow(dashboard.db, group, source, as_source=True)
    allow(dashboard.db, group, destination, as_destination=True)
    return Scene(dashboard, ada, source, destination)


def test_what_fits_is_found(scene: Scene):
    page = scene.found(description="*head*")

    assert [row["PatientID"] for row in rows(page)] == ["0001"]
    assert "**1** study in Archive" in said(page)
    assert not page.exception


def test_nothing_about_patients_gets_into_the_address(scene: Scene):
    page = scene.found(id="0001")

    assert [row["PatientID"] for row in rows(page)] == ["0001"]
    assert "0001" not in str(page.query_params)


def test_selected_studies_are_submitted_once_however_often_it_is_asked(scene: Scene):
    page = select_rows(scene.found(), HEAD.study_instance_uid)
    page.selectbox(key="project").set_value("").run()

    press(page, "Transfer")
    press(page, "Transfer")

    (job,) = scene.jobs()
    assert (job.kind, job.source_id, job.destination_id) == (
        JobKind.SELECTIVE_TRANSFER,
        scene.source.id,
        scene.destination.id,
    )
    assert [(task.patient_id, task.study_instance_uid) for task in scene.tasks()] == [
        ("0001", HEAD.study_instance_uid)
    ]
    assert page.session_state["went to"] == job.id


def test_what_was_submitted_is_another_job_if_something_else_is_selected(scene: Scene):
    page = select_rows(scene.found(), HEAD.study_instance_uid)
    page.selectbox(key="project").set_value("").run()
    press(page, "Transfer")

    press(select_rows(page, FOOT.study_instance_uid), "Transfer")

    assert [task.patient_id for task in scene.tasks()] == ["0001", "0002"]
    assert len(scene.jobs()) == 2


def test_it_is_said_what_is_missing_before_it_can_be_submitted(scene: Scene):
    page = scene.found()
    assert "Select at least one study" in said(page)
    assert is_disabled(page, "Transfer")

    page = select_rows(page, FOOT.study_instance_uid)
    assert "Choose a pseudonymization." in said(page)
    assert "Selected: **1** study" in said(page)
    assert is_disabled(page, "Transfer")

    page.selectbox(key="project").set_value("").run()
    assert "Not possible yet" not in said(page)
    assert not is_disabled(page, "Transfer")


def test_a_project_pseudonymizes_and_takes_the_pseudonym_that_is_given(scene: Scene):
    make_project(scene.dashboard.db, "Trial", trial_protocol_id="T-7")
    allow_project(scene)
    page = select_rows(scene.found(), HEAD.study_instance_uid)
    page.selectbox(key="project").set_value("Trial").run()
    assert "Trial protocol: T\\-7" in said(page)
    (pseudonym,) = [field for field in page.text_input if field.label.startswith("Pseudonym")]
    pseudonym.set_value("ANNA").run()

    press(page, "Transfer")

    assert [task.pseudonym for task in scene.tasks()] == ["ANNA"]
    assert scene.jobs()[0].project_id is not None


def test_who_may_not_transfer_with_names_is_not_offered_it(scene: Scene):
    bob = make_user(scene.dashboard.db, "bob")
    group = make_group(scene.dashboard.db, bob, permissions=(*TRANSFERS,))
    allow(scene.dashboard.db, group, scene.source, as_source=True)
    scene.user = bob

    page = scene.found()

    assert "project" not in [box.key for box in page.selectbox]
    assert any("access to no project" in info.value for info in page.info)
    assert not page.toggle, "only who may have jobs processed urgently is asked"


def test_an_estimate_says_what_would_be_moved_and_moves_nothing(scene: Scene):
    page = select_rows(scene.found(), HEAD.study_instance_uid)
    page.selectbox(key="project").set_value("").run()

    press(page, "Preview")

    figures = {metric.label: metric.value for metric in page.metric}
    assert (figures["Studies"], figures["Series"], figures["Instances"]) == ("1", "1", "2")
    assert scene.jobs() == []


def test_days_in_the_wrong_order_are_told_before_anybody_is_asked(scene: Scene):
    page = scene.dashboard.selective(scene.user)
    page.date_input(key="criteria-from").set_value(date(2024, 2, 1))
    page.date_input(key="criteria-until").set_value(date(2024, 1, 1))

    press(page, "Search")

    assert "“from” is after “until”" in said(page)
    assert not components(page)


def test_what_the_archive_says_is_shown_as_a_sentence(scene: Scene):
    folder = Path(scene.source.path)
    folder.rename(folder.with_name("gone"))

    page = scene.found()

    assert [error.value for error in page.error]
    assert "The search ended early." in said(page)
    assert not page.exception


def test_who_may_transfer_nothing_is_told_so(dashboard: Dashboard):
    page = dashboard.selective(make_user(dashboard.db, "eve"))

    assert "You lack the permission to transfer selected studies." in said(page)
    assert buttons(page) == set()


def test_who_may_read_no_archive_is_told_so(dashboard: Dashboard):
    bob = make_user(dashboard.db, "bob")
    make_group(dashboard.db, bob, permissions=(*TRANSFERS,))

    page = dashboard.selective(bob)

    assert "There is no archive that you may take studies from." in [info.value[:51] for info in page.info]


def test_the_studies_go_into_an_archive_only_with_a_password_that_is_long_enough(scene: Scene):
    page = select_rows(scene.found(description="*head*"), HEAD.study_instance_uid)
    page.selectbox(key="project").select("")
    page.selectbox(key="kept-as").select("One encrypted archive").run()
    assert "Give the archive a password." in said(page)

    page.text_input(key="archive-password").set_value("too short").run()
    assert "The password of an archive needs 12 to 200 characters" in said(page)
    assert is_disabled(page, "Transfer")

    page.text_input(key="archive-password").set_value("gull harbour 19").run()
    press(page, "Transfer")
    (job,) = scene.jobs()
    assert job.archive_password is not None
    assert scene.dashboard.db.keyring.unseal(job.archive_password) == "gull harbour 19"
    shown = scene.dashboard.page(scene.user, "job", id=str(job.id))
    assert f"in the encrypted archive `job-{job.id}.7z`" in said(shown)


def test_the_same_studies_with_another_password_are_another_order(scene: Scene):
    page = select_rows(scene.found(description="*head*"), HEAD.study_instance_uid)
    page.selectbox(key="project").select("")
    page.selectbox(key="kept-as").select("One encrypted archive").run()
    page.text_input(key="archive-password").set_value("gull harbour 19").run()
    press(page, "Transfer")
    page.text_input(key="archive-password").set_value("tern landing 20")
    press(page, "Transfer")

    unseal = scene.dashboard.db.keyring.unseal
    passwords = [unseal(job.archive_password) for job in scene.jobs() if job.archive_password]
    assert sorted(passwords) == ["gull harbour 19", "tern landing 20"]


def test_images_become_volumes_and_get_the_trial_protocol_of_the_job(scene: Scene):
    make_project(scene.dashboard.db, "Livers", trial_protocol_id="L-1")
    allow_project(scene, "Livers")
    page = select_rows(scene.found(description="*head*"), HEAD.study_instance_uid)
    page.selectbox(key="kept-as").select("NIfTI volumes")
    page.selectbox(key="project").select("Livers").run()
    assert page.text_input(key="trial-id").placeholder == "L-1"
    page.text_input(key="trial-id").set_value(" L-2 ")
    page.text_input(key="trial-name").set_value("Livers again").run()
    press(page, "Transfer")

    (job,) = scene.jobs()
    assert job.options == TransferOptions(
        as_nifti=True, trial_protocol_id="L-2", trial_protocol_name="Livers again"
    )
    shown = said(scene.dashboard.page(scene.user, "job", id=str(job.id)))
    assert "as NIfTI volumes" in shown
    assert "Livers again" in shown


def test_who_transfers_with_names_is_asked_for_no_trial_protocol(scene: Scene):
    page = select_rows(scene.found(description="*head*"), HEAD.study_instance_uid)
    page.selectbox(key="project").select("").run()
    assert not [box for box in page.text_input if box.key == "trial-id"]


def allow_project(scene: Scene, project: str = "Trial") -> None:
    with scene.dashboard.db.reading() as session:
        names = [group.name for group in session.exec(select(Group))]
    for name in names:
        set_project_access(scene.dashboard.db, name, project, allowed=True)


def is_disabled(page: AppTest, label: str) -> bool:
    (button,) = [button for button in page.button if button.label == label]
    return button.disabled
