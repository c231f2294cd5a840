"""The pages that take spreadsheets or filters: batch transfer, batch query and mass transfer."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select
from streamlit.testing.v1 import AppTest

from adit_core.db import (
    Job,
    JobKind,
    Permission,
    QueryResult,
    QueryRow,
    RowStatus,
    Task,
    TaskKind,
    TaskStatus,
    User,
)
from adit_core.db.engine import Database
from adit_core.db.projects import PseudonymSource
from adit_core.services.claims import claim_task, finish_task
from adit_core.services.progress import TaskCounts
from adit_core.services.projects import ProjectChanges, add_project, set_project_access
from deployments.demo.studies import write_study
from tests.mass import head
from tests.queries import sheet_of, submit
from tests.rows import FORMS, TRANSFERS, allow, make_folder, make_group, make_server, make_user
from tests.web_pages import Dashboard, buttons, press, rows, said

STUDY, OTHER = "1.2.840.1", "1.2.840.2"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite only: to the pages, the database makes no difference."""
    return f"sqlite:///{tmp_path / 'adit.sqlite'}"


@pytest.fixture
def staff(dashboard: Dashboard) -> User:
    make_server(dashboard.db, "PACS")
    make_folder(dashboard.db, "Research")
    return make_user(dashboard.db, "root", staff=True)


Open = Callable[..., AppTest]


@pytest.fixture
def open_page(dashboard: Dashboard) -> Open:
    """Opens one of the pages."""

    def open_page(name: str, user: User, **query: str) -> AppTest:
        page = AppTest.from_function(_page, default_timeout=60, args=(name,))
        page.user = {"session": dashboard.sign_in(user)}
        for key, value in query.items():
            page.query_params[key] = value
        return page.run()

    return open_page


def _page(name: str) -> None:
    import importlib

    import streamlit as st

    from ui import session
    from ui.components.sentences import errors_as_sentences

    def open_job(job_id: int) -> None:
        st.session_state["went to"] = job_id

    with errors_as_sentences():
        importlib.import_module(f"ui.views.{name}").show(session.signed_in(), open_job=open_job)


def drop(page: AppTest, content: bytes, name: str = "studies.csv") -> AppTest:
    page.file_uploader(key="file").set_value((name, content, "text/csv"))
    return page.run()


def choose(page: AppTest, **chosen: Any) -> AppTest:
    for key, value in chosen.items():
        page.selectbox(key=key).set_value(value)
    return page.run()


def correct(page: AppTest, editor: str, **rows_: dict[str, Any]) -> AppTest:
    """Change cells in one of the tables, by position and column."""
    edit(page, editor, **rows_)
    return page.run()


def edit(page: AppTest, editor: str, **rows_: dict[str, Any]) -> None:
    """Put into the state of the page what was changed; unlike a browser, the test keeps it for one run."""
    edited = {int(position.removeprefix("at")): cells for position, cells in rows_.items()}
    version = page.session_state["sheet"].version
    page.session_state[f"{editor}-{version}"] = {"edited_rows": edited, "added_rows": [], "deleted_rows": []}


def jobs(db: Database) -> list[Job]:
    with db.reading() as session:
        return list(session.exec(select(Job).order_by(col(Job.id))))


def tasks(db: Database) -> list[Task]:
    with db.reading() as session:
        return list(session.exec(select(Task).order_by(col(Task.id))))


def editors(page: AppTest) -> list[Any]:
    """Return the tables in which something can be changed."""
    return [frame for frame in page.dataframe if frame.proto.editing_mode]


def test_what_is_wrong_is_put_right_in_place_and_transferred(
    dashboard: Dashboard, staff: User, open_page: Open
):
    page = choose(
        drop(
            open_page("batch", staff),
            sheet_of(
                {"PatientID": "007", "StudyInstanceUID": STUDY},
                {"PatientID": "008", "StudyInstanceUID": "1.2.840,5"},
                {"PatientID": "", "StudyInstanceUID": OTHER},
            ),
        ),
        source="PACS",
        destination="Research",
        project="",
    )

    assert not page.exception
    assert "something to correct in 2 rows of studies\\.csv" in said(page)
    wrong = editors(page)[0].value
    assert wrong[["Row", "Column", "Value"]].values.tolist() == [
        [3, "StudyInstanceUID", "1.2.840,5"],
        [4, "PatientID", ""],
    ]
    assert "This is not a UID" in wrong["What is wrong"][0]
    assert "Transfer" not in buttons(page)

    page = correct(page, "cells", at0={"Value": "1.2.840.5"})
    assert "something to correct in 1 row of" in said(page)
    assert len(editors(page)[0].value) == 2, "the table stays as it is while it is worked on"
    edit(page, "cells", at0={"Value": "1.2.840.5"}, at1={"Value": "still*"})
    page = press(page, "Show what is left to correct")
    assert editors(page)[0].value[["Row", "Value"]].values.tolist() == [[4, "still*"]]

    page = correct(page, "cells", at0={"Value": "0009"})
    assert "3 studies of 3 patients" in said(page)
    page = press(page, "Transfer")

    assert not page.exception
    (job,) = jobs(dashboard.db)
    assert page.session_state["went to"] == job.id
    assert [(task.patient_id, task.study_instance_uid, task.rows) for task in tasks(dashboard.db)] == [
        ("007", STUDY, (2,)),
        ("008", "1.2.840.5", (3,)),
        ("0009", OTHER, (4,)),
    ]


def test_a_column_is_renamed_and_a_row_left_out(dashboard: Dashboard, staff: User, open_page: Open):
    page = drop(
        open_page("batch", staff),
        sheet_of(
            {"Patient": "007", "StudyInstanceUID": STUDY}, {"Patient": "008", "StudyInstanceUID": "wrong"}
        ),
    )
    assert "Row 1, column PatientID" in said(page).replace("\\", "")
    page = correct(page, "rows", at0={"0": "PatientID"})
    page = correct(page, "rows", at1={"Leave out": True})

    assert "In studies\\.csv: 1 study of 1 patient" in "".join(box.value for box in page.success)


def test_a_click_that_comes_twice_makes_one_job(dashboard: Dashboard, staff: User, open_page: Open):
    page = drop(open_page("batch", staff), sheet_of({"PatientID": "007", "StudyInstanceUID": STUDY}))
    page = choose(page, source="PACS", destination="Research", project="")
    page.session_state["sheet of before"] = page.session_state["sheet"]
    page = press(page, "Transfer")
    page.session_state["sheet"] = page.session_state["sheet of before"]  # as the second click found it
    page = press(page, "Transfer")

    assert [job.id for job in jobs(dashboard.db)] == [page.session_state["went to"]]

    press(page.run(), "Transfer")
    assert len(jobs(dashboard.db)) == 2, "who comes back later wants another one"


@pytest.mark.parametrize(
    ("granted", "kept"),
    [
        ((), []),
        ((Permission.MAKE_ARCHIVES,), ["DICOM files", "One encrypted archive"]),
        ((Permission.CONVERT_TO_NIFTI,), ["DICOM files", "NIfTI volumes"]),
    ],
)
def test_only_what_the_group_permits_can_become_of_studies(
    dashboard: Dashboard, open_page: Open, granted: tuple[Permission, ...], kept: list[str]
):
    member = make_user(dashboard.db, "ada")
    group = make_group(dashboard.db, member, permissions=(Permission.TRANSFER_BATCHES, *granted))
    allow(dashboard.db, group, make_folder(dashboard.db, "Trials"), as_destination=True)

    page = drop(open_page("batch", member), sheet_of({"PatientID": "007", "StudyInstanceUID": STUDY}))

    assert [list(box.options) for box in page.selectbox if box.label == "Kept as"] == ([kept] if kept else [])


def test_a_member_chooses_among_what_the_group_may_use(dashboard: Dashboard, staff: User, open_page: Open):
    db = dashboard.db
    member = make_user(db, "ada")
    group = make_group(db, member, permissions=(*TRANSFERS, *FORMS))
    allow(db, group, make_server(db, "Clinic"), as_source=True)
    allow(db, group, make_folder(db, "Trials"), as_destination=True)
    add_project(
        db, "LIVER", ProjectChanges(pseudonyms=PseudonymSource.GIVEN, trial_protocol_id="T-1"), actor=staff
    )
    set_project_access(db, group.name, "LIVER", allowed=True)
    page = drop(open_page("batch", member), sheet_of({"PatientID": "007", "StudyInstanceUID": STUDY}))

    assert {box.label: list(box.options) for box in page.selectbox} == {
        "Source": ["Clinic"],
        "Destination": ["Trials"],
        "Kept as": ["DICOM files", "One encrypted archive", "NIfTI volumes"],
        "Pseudonymization": ["LIVER"],
    }
    assert "Trial protocol: T\\-1." in said(page)
    assert not page.toggle, "the group may not process urgently"
    # What the project asks for is put right in the same place, in a column that the file does not have.
    assert editors(page)[0].value[["Row", "Column"]].values.tolist() == [[2, "Pseudonym"]]
    press(correct(page, "cells", at0={"Value": "LIV-01"}), "Transfer")

    assert [task.pseudonym for task in tasks(db)] == ["LIV-01"]


@pytest.mark.parametrize("name", ["batch", "query", "mass"])
def test_who_may_not_is_told_so(dashboard: Dashboard, open_page: Open, name: str):
    page = open_page(name, make_user(dashboard.db, "guest"))

    assert "You lack the permission" in said(page)
    assert not page.file_uploader
    assert not buttons(page)


def test_what_is_no_spreadsheet_is_refused_with_a_sentence(staff: User, open_page: Open):
    page = drop(open_page("batch", staff), b"\xd0\xcf\x11\xe0", "old.xls")

    assert [box.value for box in page.error] == [
        "old.xls is an old Excel file or protected by a password: save it as .xlsx without password."
    ]
    assert not page.exception


def test_a_preview_tells_what_the_source_has(
    dashboard: Dashboard, staff: User, open_page: Open, tmp_path: Path
):
    study = head(0, 1)
    write_study(study, tmp_path / "archive")
    make_folder(dashboard.db, "Archive", path=str(tmp_path / "archive"))
    (tmp_path / "out").mkdir()
    make_folder(dashboard.db, "Out", path=str(tmp_path / "out"))
    page = drop(
        open_page("batch", staff),
        sheet_of(
            {"PatientID": study.patient_id, "StudyInstanceUID": study.study_instance_uid},
            {"PatientID": "X", "StudyInstanceUID": STUDY},
        ),
    )
    page = press(choose(page, source="Archive", destination="Out", project=""), "Preview")

    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric}["Instances"] == "3"
    assert rows(page)[1]["Study Instance UID"] == f"{STUDY}\nThe source does not have this study."
    assert jobs(dashboard.db) == []
    page.text_input(key="job-name").set_value("Another order").run()
    assert not page.metric, "what was looked at is not what would be submitted any more"


def test_a_query_is_put_right_and_asked(dashboard: Dashboard, staff: User, open_page: Open):
    page = drop(
        open_page("query", staff),
        sheet_of({"PatientID": "007", "From": "2024-13-01"}, {"PatientID": "*", "From": ""}),
        "questions.csv",
    )
    assert not page.exception
    cells, whole = (editor.value for editor in editors(page))
    assert cells[["Row", "Column", "Value"]].values.tolist() == [[2, "From", "2024-13-01"]]
    assert list(whole.index) == [1, 2, 3]
    assert "This asks for too much." in whole["What is wrong"][3]

    edit(page, "cells", at0={"Value": "2024-12-01"})
    page = correct(page, "rows", at2={"0": "008"})
    page = press(choose(page, source="PACS"), "Query")

    assert not page.exception
    (job,) = jobs(dashboard.db)
    assert (job.kind, page.session_state["went to"]) == (JobKind.BATCH_QUERY, job.id)
    with dashboard.db.reading() as session:
        asked = [(row.row, row.cells) for row in session.exec(select(QueryRow))]
    assert asked == [
        (2, {"PatientID": "007", "From": "20241201"}),
        (3, {"PatientID": "008", "From": ""}),
    ]


@pytest.fixture
def answered(dashboard: Dashboard, staff: User) -> int:
    """A query that found one study of two that were asked for."""
    db = dashboard.db
    job_id = submit(db, staff, {"PatientID": "0012"}, {"PatientID": "0013"})
    with db.session() as session:
        found, nothing = (session.get_one(QueryRow, row_id) for row_id in (1, 2))
        found.status, nothing.status = RowStatus.FOUND, RowStatus.NOTHING_FOUND
        session.add(QueryResult(query_row_id=1, patient_id="0012", study_instance_uid=STUDY))
        session.commit()
    claim_task(db, 1, token="token", lease=60)
    counts = TaskCounts(planned=2, delivered=2)
    assert finish_task(db, 1, token="token", status=TaskStatus.SUCCESS, message="", counts=counts)
    return job_id


def test_the_results_of_a_query_are_transferred(
    dashboard: Dashboard, staff: User, open_page: Open, answered: int
):
    page = dashboard.job(staff, answered)
    assert press(page, "Transfer these").session_state["went to"] == f"batch of {answered} from PACS"

    page = choose(
        open_page("batch", staff, **{"from": str(answered), "source": "PACS"}),
        destination="Research",
        project="",
    )
    assert page.selectbox(key="source").value == "PACS"
    (note,) = page.info
    assert "nothing found (row 3)" in note.value.replace("\\", "")
    press(page, "Transfer")

    assert [(task.patient_id, task.study_instance_uid) for task in tasks(dashboard.db)[1:]] == [
        ("0012", STUDY)
    ]


def test_the_results_of_others_are_not_handed_over(dashboard: Dashboard, open_page: Open, answered: int):
    member = make_user(dashboard.db, "ada")
    make_group(dashboard.db, member, permissions=(*TRANSFERS,))
    page = open_page("batch", member, **{"from": str(answered)})

    assert [box.value for box in page.error] == [f"There is no job {answered}."]
    assert "0012" not in said(page)


def fill_mass(page: AppTest) -> AppTest:
    page.date_input(key="first").set_value(date(2024, 3, 30))
    page.date_input(key="last").set_value(date(2024, 3, 31))
    page.multiselect(key="include-modalities").set_value(["ct"])
    page.multiselect(key="exclude-series_descriptions").set_value(["*scout*"])
    page.multiselect(key="include-series_numbers").set_value(["1"])
    page.number_input(key="min-age").set_value(18)
    return page.run()


def test_a_mass_transfer_is_filled_in_previewed_and_submitted(
    dashboard: Dashboard, staff: User, open_page: Open, tmp_path: Path
):
    write_study(head(0, 1), tmp_path / "archive")
    make_folder(dashboard.db, "Archive", path=str(tmp_path / "archive"))
    (tmp_path / "out").mkdir()
    make_folder(dashboard.db, "Out", path=str(tmp_path / "out"))
    page = choose(fill_mass(open_page("mass", staff)), source="Archive", destination="Out", project="")

    assert not page.exception
    assert "2 days (**2 searches** of a day each)" in said(page)
    assert "Without series description \\*scout\\*" in said(page)
    page = press(page, "Preview a day")
    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric}["Studies"] == "1"
    press(page, "Transfer")

    (job,) = jobs(dashboard.db)
    assert job.mass is not None
    assert job.mass.include.modalities == ("CT",)
    assert job.mass.include.series_numbers == (1,)
    assert job.mass.exclude.series_descriptions == ("*scout*",)
    assert job.mass.min_age == 18
    assert [task.kind for task in tasks(dashboard.db)] == [TaskKind.DISCOVERY] * 2
    assert page.session_state["went to"] == job.id


def ready_for_archive(page: AppTest, name: str) -> AppTest:
    """Fill in all but the password of an archive."""
    row = {"PatientID": "P1", "StudyInstanceUID": STUDY}
    page = fill_mass(page) if name == "mass" else drop(page, sheet_of(row))
    way = {"source": "PACS", "destination": "Research", "project": "", "kept-as": "One encrypted archive"}
    return choose(choose(page, destination="Research"), **way)


@pytest.mark.parametrize("name", ["batch", "mass"])
def test_a_list_and_a_range_may_go_into_an_archive(
    dashboard: Dashboard, staff: User, open_page: Open, name: str
):
    page = ready_for_archive(open_page(name, staff), name)
    assert "Choose a password for the archive to go on." in said(page)
    page.text_input(key="archive-password").set_value("gull harbour 19").run()
    assert "All go into **one encrypted archive**." in said(page)
    press(page, "Transfer")

    (job,) = jobs(dashboard.db)
    assert job.archive_password is not None
    assert dashboard.db.keyring.unseal(job.archive_password) == "gull harbour 19"


@pytest.mark.parametrize("name", ["batch", "mass"])
def test_the_same_order_with_another_password_is_another_job(
    dashboard: Dashboard, staff: User, open_page: Open, name: str
):
    page = ready_for_archive(open_page(name, staff), name)
    page.text_input(key="archive-password").set_value("gull harbour 19").run()
    sheet = page.session_state["sheet"] if name == "batch" else None
    press(page, "Transfer")
    page.session_state["sheet"] = sheet  # as the second click found it
    page.text_input(key="archive-password").set_value("tern landing 20")
    press(page, "Transfer")

    unseal = dashboard.db.keyring.unseal
    passwords = [unseal(job.archive_password) for job in jobs(dashboard.db) if job.archive_password]
    assert sorted(passwords) == ["gull harbour 19", "tern landing 20"]


def test_filters_that_mean_nothing_are_named_as_the_form_does(staff: User, open_page: Open):
    page = fill_mass(open_page("mass", staff))
    page.multiselect(key="include-series_numbers").set_value(["two"])
    page.multiselect(key="exclude-institutions").set_value(["/(/"])
    page.number_input(key="max-age").set_value(3).run()

    words = [box.value.split(":")[0] for box in page.error]
    assert words == ["**Only, Series number**", "**Without, Institution**", "**Age in years**"]
    assert "Transfer" not in buttons(page)
