"""Searching a real archive, and what is remembered of its answers."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, DicomNode, Series, StorageForm, Study, User
from adit_core.db.engine import Database
from adit_core.dicom.query import PatientQuery, SeriesQuery, StudyQuery, StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.errors import ConnectionFailed, InvalidInput, NotAllowed, NotFound
from adit_core.services.search import _remember_studies as _remember
from adit_core.services.search import cached_study, find_patients, find_series, find_studies
from deployments.demo.studies import write_study
from tests.factories import ct_study, study_reference
from tests.rows import allow, make_folder, make_group, make_server, make_user
from tests.servers import OrthancServer

pytestmark = pytest.mark.system

HEAD = ct_study(2, key="head", patient_id="P1", accession_number="A1")
FOOT = ct_study(1, key="foot", patient_id="P2", accession_number="A2")


@pytest.fixture
def pacs(database: Database, orthanc_source: OrthancServer, tmp_path: Path) -> DicomNode:
    """An archive with two studies."""
    archive = orthanc_source.archive
    archive.load(file for spec in (HEAD, FOOT) for file in write_study(spec, tmp_path / "studies"))
    node = archive.node
    return make_server(database, "PACS", ae_title=node.ae_title, host=node.host, port=node.port)


@pytest.fixture
def user(database: Database, pacs: DicomNode) -> User:
    """A user who may search the archive."""
    user = make_user(database)
    allow(database, make_group(database, user), pacs, as_source=True)
    return user


def test_patients_are_found(database: Database, user: User) -> None:
    found = find_patients(database, user, "PACS", PatientQuery(patient_id="P1"))

    assert [patient.patient_id for patient in found] == ["P1"]


def test_studies_are_found_and_remembered(database: Database, pacs: DicomNode, user: User) -> None:
    found = find_studies(database, user, "PACS", StudyQuery(patient_id="P1"))

    assert [study.reference for study in found] == [study_reference(HEAD)]
    uid = found[0].reference.study_instance_uid
    assert found[0].study_date == date(2024, 1, 2)
    assert cached_study(database, pacs.id, uid, timedelta(minutes=1)) == found[0]
    assert cached_study(database, pacs.id, uid, timedelta(seconds=-1)) is None
    assert cached_study(database, pacs.id, "1.2.3", timedelta(minutes=1)) is None


def test_a_study_is_remembered_once(database: Database, user: User) -> None:
    for _ in range(2):
        find_studies(database, user, "PACS", StudyQuery(patient_id="P1"))

    with database.reading() as session:
        assert len(session.exec(select(Study)).all()) == 1


def test_series_are_remembered_with_their_study(database: Database, user: User) -> None:
    query = SeriesQuery(study_reference(HEAD))
    assert len(find_series(database, user, "PACS", query)) == 1
    with database.reading() as session:
        assert session.exec(select(Series)).all() == []

    find_studies(database, user, "PACS", StudyQuery(patient_id="P1"))
    (found,) = find_series(database, user, "PACS", query)

    with database.reading() as session:
        (row,) = session.exec(select(Series)).all()
    assert (row.series_instance_uid, row.modality) == (found.reference.series_instance_uid, "CT")


def test_a_query_ends_at_its_limit(database: Database, user: User) -> None:
    assert len(find_studies(database, user, "PACS", StudyQuery(), limit=1)) == 1
    assert len(find_studies(database, user, "PACS", StudyQuery())) == 2


def test_a_query_needs_access_to_the_node_as_a_source(database: Database, pacs: DicomNode) -> None:
    outsider = make_user(database, "eve")
    allow(database, make_group(database, outsider), pacs, as_destination=True)

    with pytest.raises(NotAllowed, match="PACS as a source"):
        find_studies(database, outsider, "PACS", StudyQuery())
    with pytest.raises(NotFound, match="PACX"):
        find_studies(database, outsider, "PACX", StudyQuery())


def test_what_cannot_be_searched_is_refused(database: Database) -> None:
    root = make_user(database, "root", staff=True)
    make_folder(database, "Export", storage=StorageForm.NIFTI)
    make_server(database, "Silent", supports_find=False)

    for name in ("Export", "Silent"):
        with pytest.raises(InvalidInput, match=f"{name} cannot be searched"):
            find_studies(database, root, name, StudyQuery())


def test_a_folder_of_files_is_searched(database: Database, tmp_path: Path) -> None:
    root = make_user(database, "root", staff=True)
    write_study(HEAD, tmp_path / "files")
    make_folder(database, "Incoming", path=str(tmp_path / "files"))

    found = find_studies(database, root, "Incoming", StudyQuery(patient_id="P1"))

    assert [study.reference for study in found] == [study_reference(HEAD)]


def test_queries_are_audited_without_patient_data(database: Database, user: User) -> None:
    make_server(database, "Down", port=1)
    root = make_user(database, "root", staff=True)
    find_studies(database, user, "PACS", StudyQuery(patient_id="P1"), address="10.0.0.1")
    with pytest.raises(ConnectionFailed):
        find_patients(database, root, "Down", PatientQuery(patient_id="P1"))

    with database.reading() as session:
        events = session.exec(select(AuditEvent).order_by(AuditEvent.id)).all()  # pyright: ignore[reportArgumentType]

    assert [
        (event.actor, event.action.value, event.object_id, event.address, event.succeeded, event.details)
        for event in events
    ] == [
        ("ada", "queried", "PACS", "10.0.0.1", True, {"level": "studies", "results": 1}),
        ("root", "queried", "Down", "", False, {"level": "patients", "results": None}),
    ]


def test_an_answer_that_breaks_the_standard_is_remembered_as_far_as_possible(database: Database) -> None:
    node = make_server(database, "Odd")
    uid = "1.2.3"
    odd = StudyResult(
        StudyReference(uid, "P" * 100),
        patient_name="A\x00B",
        patient_sex="a sentence, not a letter",
        accession_number="A" * 100,
        study_time="x" * 99,
    )

    with database.session() as session:
        _remember(session, node, [odd, odd, StudyResult(StudyReference("9" * 70))])
        session.commit()

    study = cached_study(database, node.id, uid, timedelta(minutes=1))
    assert study is not None
    assert (study.reference.patient_id, study.patient_name) == ("P" * 64, "AB")
