"""A search that can be watched and stopped; and what is exported of a job."""

from pathlib import Path
from threading import Event

import pytest

from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.dicom.query import StudyQuery, StudyResult
from adit_core.services.job_export import COLUMNS, export_tasks
from adit_core.services.live_search import LiveSearch
from adit_core.services.search import find_studies
from adit_core.services.text_sheet import SheetFormat
from deployments.demo.studies import write_study
from tests.factories import one_instance_studies
from tests.rows import make_folder, make_job, make_user

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

STUDIES = one_instance_studies(3)


@pytest.fixture
def user(database: Database, tmp_path: Path) -> User:
    """A user who may search the folder ``Archive``."""
    (tmp_path / "archive").mkdir()
    for spec in STUDIES:
        write_study(spec, tmp_path / "archive")
    make_folder(database, "Archive", path=str(tmp_path / "archive"))
    return make_user(database, staff=True)


def test_all_that_is_found_can_be_read(database: Database, user: User) -> None:
    search = LiveSearch("Archive", StudyQuery())
    search.start(database, user)
    search.wait(30)

    found = {study.reference.study_instance_uid for study in search.studies}
    assert found == {spec.study_instance_uid for spec in STUDIES}
    assert (search.is_running, search.error, search.may_have_more) == (False, "", False)


def test_it_ends_with_as_many_as_it_may_find_and_says_so(database: Database, user: User) -> None:
    search = LiveSearch("Archive", StudyQuery(), limit=2)
    search.start(database, user)
    search.wait(30)

    assert (len(search.studies), search.may_have_more) == (2, True)


def test_what_nobody_foresaw_is_logged_without_its_text(
    database: Database, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    quoting = "CREATE TRIGGER quoting BEFORE INSERT ON study BEGIN SELECT RAISE(ABORT, 'Doe^Jane'); END"
    with database.engine.begin() as connection:
        connection.exec_driver_sql(quoting)
    search = LiveSearch("Archive", StudyQuery())
    search.start(database, user)
    search.wait(30)

    assert "the log of the server has it" in search.error
    assert "A search of Archive failed: IntegrityError at " in caplog.text
    assert "Doe" not in caplog.text


def test_one_that_is_stopped_asks_no_further(database: Database, user: User) -> None:
    search = LiveSearch("Archive", StudyQuery())
    search.stop()
    search.start(database, user)
    search.wait(30)

    assert (len(search.studies), search.is_running, search.was_stopped) == (1, False, True)


def test_what_goes_wrong_is_said(database: Database, user: User) -> None:
    search = LiveSearch("Archive", StudyQuery())
    search.start(database, make_user(database, "eve"))
    search.wait(30)

    assert "You may not use Archive as a source." in search.error
    assert search.studies == ()


def test_studies_are_told_while_the_search_goes_on(database: Database, user: User) -> None:
    ended, told_before_end = Event(), list[StudyResult]()

    def on_found(study: StudyResult) -> bool:
        assert not ended.is_set()
        told_before_end.append(study)
        return True

    found = find_studies(database, user, "Archive", StudyQuery(), on_found=on_found)
    ended.set()

    assert told_before_end == found
    assert len(found) == 3


def test_the_studies_of_a_job_are_exported_with_what_became_of_them(database: Database) -> None:
    owner = make_user(database)
    job = make_job(database, 2, owner=owner)

    lines = export_tasks(database, owner, job.id, SheetFormat.CSV).decode("utf-8-sig").splitlines()

    assert lines[0] == ",".join(COLUMNS)
    assert [line.split(",")[:3] for line in lines[1:]] == [["2", "PENDING", "P1"], ["3", "PENDING", "P2"]]
