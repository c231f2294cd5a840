"""The page Explorer: what archives hold, for who may read them."""

from datetime import date
from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.dicom.query import SeriesResult, StudyQuery, StudyResult
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.factories import series_reference, study, study_reference
from tests.look_pages import open_explorer, tables
from tests.projects import make_project
from tests.rows import allow, make_folder, make_group, make_user
from tests.web_pages import Dashboard, press, said
from ui.components.handover import HandedOver, HandedStudy
from ui.views.explorer import _Place

MIXED = study(SeriesSpec(Form.CT, 3, "Axial", 16, 16), SeriesSpec(Form.REPORT, 1, "Report"), key="explored")
STUDY = StudyResult(study_reference(MIXED), study_date=None, study_description="Mixed")
AT_STUDY = _Place("Archive", StudyQuery(), study=STUDY)


def at_series(number: int) -> _Place:
    series = SeriesResult(series_reference(MIXED, number), modality="CT" if number == 0 else "SR")
    return _Place("Archive", StudyQuery(), study=STUDY, series=series)


pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # the services are tested on both


@pytest.fixture
def ada(dashboard: Dashboard, tmp_path: Path) -> User:
    """A user who may read an archive of one study."""
    write_study(MIXED, tmp_path / "archive")
    node = make_folder(dashboard.db, "Archive", path=str(tmp_path / "archive"))
    user = make_user(dashboard.db)
    allow(dashboard.db, make_group(dashboard.db, user), node, as_source=True)
    return user


def events(db: Database) -> list[AuditEvent]:
    with db.reading() as session:
        return list(session.exec(select(AuditEvent).where(AuditEvent.action == AuditAction.RETRIEVED)))


def test_who_may_read_nothing_is_told_whom_to_ask(dashboard: Dashboard, ada: User):
    page = open_explorer(dashboard, make_user(dashboard.db, "eve"), place=AT_STUDY)

    (info,) = page.info
    assert info.value.startswith("There is no archive that you may read.")
    assert not tables(page)


@pytest.mark.parametrize(
    ("patient_id", "found"), [("", 1), (MIXED.patient_id, 1), (f"{MIXED.patient_id[:3]}*", 1), ("nobody", 0)]
)
def test_studies_are_found_by_their_keys(dashboard: Dashboard, ada: User, patient_id: str, found: int):
    page = open_explorer(dashboard, ada)
    page.text_input("patient-id").input(patient_id)
    press(page, "Search")

    assert len(tables(page).get("Studies that were found", [])) == found
    assert bool(page.info) == (found == 0)
    assert not any(MIXED.patient_id in value for values in page.query_params.values() for value in values)


def test_a_range_of_dates_that_is_reversed_is_refused(dashboard: Dashboard, ada: User):
    page = open_explorer(dashboard, ada)
    page.date_input("date-from").set_value(date(2024, 2, 2))
    page.date_input("date-until").set_value(date(2024, 2, 1))

    assert "The first day of the range is after its last one." in said(press(page, "Search"))


def test_a_study_shows_its_series_and_can_be_handed_on(dashboard: Dashboard, ada: User):
    page = open_explorer(dashboard, ada, place=AT_STUDY)

    assert [row[1] for row in tables(page)["Series of the study"]] == ["CT", "SR"]
    press(page, "Transfer this study")
    assert page.session_state["went to"] == "selective"
    handed = HandedStudy(MIXED.patient_id, MIXED.study_instance_uid)
    assert page.session_state["handed over"] == HandedOver("Archive", (handed,))


def test_what_a_project_would_make_of_a_study_is_shown(dashboard: Dashboard, ada: User):
    make_project(dashboard.db)
    staff = make_user(dashboard.db, "root", staff=True)
    page = press(open_explorer(dashboard, staff, place=AT_STUDY), "Show what it would do")

    changes = {row[0]: row[1:3] for row in tables(page)["Attributes before and after de-identification"]}
    before, after = changes["PatientID"]
    assert before == MIXED.patient_id
    assert after != before


def test_an_image_is_shown_with_its_attributes_and_the_audit_trail_knows(dashboard: Dashboard, ada: User):
    page = open_explorer(dashboard, ada, place=at_series(0))

    assert not page.exception
    assert len(page.get("image")) == 1
    cells = {row[0].split("\n")[0]: row[1] for row in tables(page)["Attributes of the instance"]}
    assert cells["Patient ID"] == MIXED.patient_id
    (event,) = events(dashboard.db)
    assert (event.actor, event.object_kind) == ("ada", "instance")

    page.slider[0].set_value(2).run()
    assert len(events(dashboard.db)) == 2
    page.slider[0].set_value(1).run()
    assert len(events(dashboard.db)) == 2, "what was looked at is not fetched again"
    page.text_input("attribute").input("(0010,0020)").run()
    assert len(tables(page)["Attributes of the instance"]) == 1


def test_what_has_no_picture_says_so(dashboard: Dashboard, ada: User):
    page = open_explorer(dashboard, ada, place=at_series(1))

    assert [info.value for info in page.info] == [
        "This instance has no picture; its attributes tell what it is."
    ]
    assert tables(page)["Attributes of the instance"]
