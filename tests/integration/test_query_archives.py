"""Batch queries of real archives: what is asked in a spreadsheet, and what comes back."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from adit_core.db import DicomNode, JobStatus, QueryRow, RowStatus, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot
from adit_core.services.query_results import all_rows
from deployments.demo.archives import Archive
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.databases import new_database
from tests.factories import ct_study, study
from tests.queries import answers, lines, perform, submit
from tests.rows import load, make_folder, make_server, make_user, make_web_server
from tests.servers import FileArchive, OrthancServer

pytestmark = pytest.mark.system

HEAD = study(
    SeriesSpec(Form.MR, 2, "T1 axial", 16, 16),
    SeriesSpec(Form.MR, 1, "T2 coronal", 16, 16),
    SeriesSpec(Form.REPORT, 1, "Report"),
    key="query head",
    patient_id="0001",
    patient_name="Miller^Susan",
    accession_number="A1",
    study_date="20240110",
    description="MR head",
)
CHEST = ct_study(
    2,
    rows=16,
    key="query chest",
    patient_id="0001",
    patient_name="Miller^Susan",
    accession_number="A2",
    study_date="20240215",
    description="CT Thorax",
)
NAMESAKE = ct_study(
    1,
    rows=16,
    key="query namesake",
    patient_id="0002",
    patient_name="Miller^Susan",
    accession_number="A3",
    study_date="20240301",
    description="CT chest",
)
STUDIES = (HEAD, CHEST, NAMESAKE)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = new_database(tmp_path / "adit.sqlite")
    yield database
    database.dispose()


@pytest.fixture
def user(db: Database) -> User:
    return make_user(db, "root", staff=True)


@pytest.fixture(params=["C-FIND of Orthanc", "C-FIND of dcmqrscp", "QIDO-RS of Orthanc", "a folder"])
def pacs(request: pytest.FixtureRequest, db: Database, tmp_path: Path) -> DicomNode:
    """A node called PACS with three studies."""
    files = [file for spec in STUDIES for file in write_study(spec, tmp_path / "studies")]
    if request.param == "a folder":
        return make_folder(db, "PACS", path=str(tmp_path / "studies"))
    if request.param == "C-FIND of dcmqrscp":
        archive: Archive = request.getfixturevalue("dcmqrscp").archive
    else:
        archive = request.getfixturevalue("orthanc_source").archive
    archive.load(files)
    if request.param == "QIDO-RS of Orthanc":
        return make_web_server(db, "PACS", base_url=archive.web_node.base_url)
    return add(db, archive)


def add(db: Database, archive: Archive, **fields: object) -> DicomNode:
    """Make an archive the node called PACS."""
    node = archive.node
    return make_server(db, "PACS", ae_title=node.ae_title, host=node.host, port=node.port, **fields)


QUESTIONS: Sequence[tuple[Mapping[str, str], list[str]]] = (
    ({"PatientID": "0001"}, ["A1", "A2"]),
    ({"PatientID": "1"}, []),
    ({"PatientID": "000?"}, ["A1", "A2", "A3"]),
    ({"PatientName": "Miller*", "From": "2024-02-01"}, ["A2", "A3"]),
    ({"From": "1.1.2024", "Until": "31.1.2024"}, ["A1"]),
    ({"AccessionNumber": "A3"}, ["A3"]),
    ({"PatientID": "000*", "PatientBirthDate": "17.08.1962"}, ["A1", "A2", "A3"]),
    ({"PatientID": "0001", "PatientBirthDate": "18.08.1962"}, []),
    ({"StudyInstanceUID": CHEST.study_instance_uid}, ["A2"]),
    ({"PatientID": "000*", "Modality": "CT"}, ["A2", "A3"]),
    ({"PatientID": "000*", "Modality": "SR, US"}, ["A1"]),
    ({"PatientID": "000*", "Modality": "M*"}, ["A1"]),
    ({"PatientID": "000*", "Modality": "/^m/"}, ["A1"]),
    ({"PatientID": "000*", "StudyDescription": "CT*"}, ["A2", "A3"]),
    ({"PatientID": "000*", "StudyDescription": "/thorax|chest/"}, ["A2", "A3"]),
    ({"PatientID": "000*", "PatientName": "/^mill.*sus/"}, ["A1", "A2", "A3"]),
    ({"PatientID": "0001", "PatientName": "/^sus/"}, []),
)
"""What is asked, and the accession numbers of what is found."""
SERIES_QUESTIONS: Sequence[tuple[Mapping[str, str], list[str]]] = (
    ({"SeriesNumber": "3"}, ["3"]),
    ({"SeriesNumber": "*"}, ["1", "2", "3"]),
    ({"SeriesNumber": "*", "Modality": "SR"}, ["3"]),
    ({"SeriesInstanceUID": HEAD.series_instance_uid(1)}, ["2"]),
)
"""What is asked of the study A1, and the numbers of the series that are found."""
DESCRIPTION_QUESTIONS: Sequence[tuple[Mapping[str, str], list[str]]] = (
    ({"SeriesDescription": "T?*"}, ["1", "2"]),
    ({"SeriesDescription": "t1 AXIAL"}, ["1"]),
    ({"SeriesDescription": "/coronal$/"}, ["2"]),
)
"""The same, for archives that tell this optional attribute (PS3.4 C.6.1.1.4)."""


def test_studies_are_found(db: Database, user: User, pacs: DicomNode) -> None:
    job_id = submit(db, user, *(row for row, _ in QUESTIONS))
    assert perform(db, job_id).status is JobStatus.WARNING
    found = [[result.accession_number for result in row.results] for row in all_rows(db, user, job_id)]
    assert found == [accession_numbers for _, accession_numbers in QUESTIONS]


def test_series_are_found(db: Database, user: User, pacs: DicomNode) -> None:
    tells_descriptions = pacs.ae_title != "DCMQRSCP"
    questions = [*SERIES_QUESTIONS, *(DESCRIPTION_QUESTIONS if tells_descriptions else ())]
    job_id = submit(
        db, user, *({"PatientID": "0001", "AccessionNumber": "A1", **row} for row, _ in questions)
    )
    perform(db, job_id)
    rows = list(all_rows(db, user, job_id))
    assert [[str(one.series_number) for one in row.results] for row in rows] == [
        found for _, found in questions
    ]
    for result in (result for row in rows for result in row.results):
        assert result.series_number is not None
        assert result.series_instance_uid == HEAD.series_instance_uid(result.series_number - 1)
        assert result.accession_number == "A1"


def test_results_are_described(db: Database, user: User, pacs: DicomNode) -> None:
    job_id = submit(db, user, {"AccessionNumber": "A1", "Pseudonym": "Zebra"})
    job = perform(db, job_id)
    (line,) = lines(db, user, job_id)
    assert job.status is JobStatus.SUCCESS
    assert {name: text for name, text in line.items() if name not in ("NumberOfInstances", "Modality")} == {
        "QueryRow": "2",
        "Outcome": "found",
        "Message": "",
        "Transfer": "yes",
        "Pseudonym": "Zebra",
        "PatientID": "0001",
        "PatientName": "Miller^Susan",
        "PatientBirthDate": "1962-08-17",
        "AccessionNumber": "A1",
        "StudyInstanceUID": HEAD.study_instance_uid,
        "StudyDate": "2024-01-10",
        "StudyTime": "120000",
        "StudyDescription": "MR head",
        "SeriesInstanceUID": "",
        "SeriesNumber": "",
        "SeriesDescription": "",
    }
    assert line["NumberOfInstances"] in ("4", "")
    assert line["Modality"] in ("MR, SR", "")


def test_every_row_says_what_came_of_it(db: Database, user: User, pacs: DicomNode) -> None:
    job_id = submit(
        db,
        user,
        {"PatientID": "0001"},
        {"PatientID": "9999", "Pseudonym": "Lion"},
        {"PatientName": "Miller^Susan"},
    )
    job = perform(db, job_id)
    assert answers(db, user, job_id, "QueryRow", "Outcome", "Transfer", "AccessionNumber") == [
        ("2", "found", "yes", "A1"),
        ("2", "found", "yes", "A2"),
        ("3", "nothing found", "no", ""),
        ("4", "several patients", "no", "A1"),
        ("4", "several patients", "no", "A2"),
        ("4", "several patients", "no", "A3"),
    ]
    assert (job.status, job.message) == (JobStatus.WARNING, "2 of 3 rows ended with a warning.")
    with db.reading() as session:
        task = session.get_one(Task, 1)
    assert (task.status, task.planned, task.delivered, task.failed) == (TaskStatus.WARNING, 3, 3, 0)
    assert task.message == "1 of 3 rows: nothing found. 1 of 3 rows: several patients."


def test_orthanc_tells_further_attributes(
    db: Database, user: User, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    orthanc_source.archive.load(file for spec in STUDIES for file in write_study(spec, tmp_path / "studies"))
    add(db, orthanc_source.archive)
    job_id = submit(
        db,
        user,
        {"PatientID": "000*", "PatientSex": "F", "StudyID": "", "RescaleSlope": ""},
        {"PatientID": "000*", "PatientSex": "M", "StudyID": "", "RescaleSlope": ""},
        {"PatientID": "0002", "PatientSex": "", "StudyID": "", "RescaleSlope": "1"},
    )
    perform(db, job_id)
    assert answers(db, user, job_id, "QueryRow", "AccessionNumber", "PatientSex") == [
        ("2", "A1", "F"),
        ("2", "A2", "F"),
        ("2", "A3", "F"),
        ("3", "", "M"),
        ("4", "A3", "F"),
    ]
    assert lines(db, user, job_id)[-1]["RescaleSlope"] == "1.0"


def test_an_archive_that_knows_the_patient_root_only_answers_alike(
    db: Database, user: User, dcmqrscp: FileArchive, tmp_path: Path
) -> None:
    archive = dcmqrscp.archive
    archive.load(file for spec in STUDIES for file in write_study(spec, tmp_path / "studies"))
    add(db, archive, query_root=QueryRoot.PATIENT)
    job_id = submit(
        db,
        user,
        {"PatientID": "000*", "StudyDescription": "CT*", "PatientSex": "", "SeriesNumber": ""},
        {"PatientID": "0001", "StudyDescription": "MR*", "PatientSex": "", "SeriesNumber": "2"},
    )
    perform(db, job_id)
    assert answers(db, user, job_id, "QueryRow", "AccessionNumber", "SeriesNumber") == [
        ("2", "A2", ""),
        ("2", "A3", ""),
        ("3", "A1", "2"),
    ]


def test_a_condition_that_the_archive_cannot_decide_is_told(
    db: Database, user: User, dcmqrscp: FileArchive, tmp_path: Path
) -> None:
    archive = dcmqrscp.archive
    archive.load(write_study(HEAD, tmp_path / "studies"))
    add(db, archive)
    job_id = submit(db, user, {"PatientID": "0001", "BodyPartExamined": "HEAD"})
    perform(db, job_id)
    row = load(db, QueryRow, 1)
    assert row.status is RowStatus.NOTHING_FOUND
    assert row.message == "The archive tells no BodyPartExamined of what else fits."
