"""How folders keep studies: what is stored of it, and what a transfer makes of that."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, DicomNode, Job, JobKind, StorageForm, Task
from adit_core.db.engine import Database
from adit_core.dicom.layout import Names
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, FolderNode, NiftiNode, SidecarContent
from adit_core.errors import InvalidInput
from adit_core.services.claims import claim_task
from adit_core.services.execute import execute_task
from adit_core.services.nodes import add_folder, get_node, list_nodes, node_value
from adit_core.services.storage import Storage
from adit_core.services.work import Help
from deployments.demo.studies import StudySpec, write_study
from tests.archives import archived_instances
from tests.factories import ct_study, instances_in
from tests.rows import load, make_user
from tests.volumes import recorded_instances

PASSWORD = "open sesame"


def value_of(database: Database, storage: Storage | None) -> object:
    add_folder(database, "Export", path="/export", storage=storage)
    return node_value(database, get_node(database, "Export"))


def test_a_folder_holds_files_unless_it_is_said(database: Database) -> None:
    assert value_of(database, None) == FolderNode("Export", Path("/export"))


def test_names_are_kept_and_an_empty_one_leaves_a_level_out(database: Database) -> None:
    storage = Storage(
        patient="", study="{StudyDate}", series="{SeriesNumber:03}", instance="{InstanceNumber}"
    )

    names = Names("", "{StudyDate}", "{SeriesNumber:03}", "{InstanceNumber}")
    assert value_of(database, storage) == FolderNode("Export", Path("/export"), names)


@pytest.mark.parametrize("form", [StorageForm.SEVEN_ZIP, StorageForm.ZIP])
def test_archives_are_kept_with_their_password(database: Database, form: StorageForm) -> None:
    storage = Storage(form, archive="project 7", password=PASSWORD)

    assert value_of(database, storage) == ArchiveNode(
        "Export", Path("/export"), PASSWORD, ArchiveFormat(form.value), archive="project 7"
    )


def test_volumes_are_kept_with_what_their_sidecars_tell(database: Database) -> None:
    storage = Storage(StorageForm.NIFTI, sidecars=SidecarContent.EVERYTHING)

    assert value_of(database, storage) == NiftiNode(
        "Export", Path("/export"), Names(), SidecarContent.EVERYTHING
    )


def test_the_password_is_neither_shown_nor_audited(database: Database) -> None:
    storage = Storage(StorageForm.ZIP, password=PASSWORD)
    node = add_folder(database, "Export", path="/export", storage=storage)

    with database.reading() as session:
        events = session.exec(select(AuditEvent)).all()
    for shown in (storage, node, node_value(database, node), *events):
        assert "sesame" not in repr(shown)
        assert "sesame" not in str(shown)


@pytest.mark.parametrize(
    ("storage", "field"),
    [
        (Storage(patient="{PatientName}"), "patient"),
        (Storage(series=""), "series"),
        (Storage(StorageForm.ZIP), "password"),
        (Storage(StorageForm.ZIP, password=PASSWORD, archive="{SeriesInstanceUID}"), "archive"),
        (Storage(password=PASSWORD), "storage"),
        (Storage(StorageForm.NIFTI, archive="all"), "storage"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(database: Database, storage: Storage, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        add_folder(database, "Export", path="/export", storage=storage)

    assert [problem.field for problem in caught.value.problems] == [field]
    assert list_nodes(database) == []


def execute(database: Database, spec: StudySpec, source: DicomNode, destination: DicomNode) -> Task:
    """Have a child process move a study, and return the task as it is then."""
    with database.session() as session:
        job = Job(
            kind=JobKind.BATCH_TRANSFER,
            owner_id=make_user(database).id,
            source_id=source.id,
            destination_id=destination.id,
            run_number=1,
        )
        session.add(job)
        session.flush()
        task = Task(
            job_id=job.id,
            patient_id=spec.patient_id,
            study_instance_uid=spec.study_instance_uid,
            rows=(2,),
        )
        session.add(task)
        session.commit()
        task_id = task.id
    assert claim_task(database, task_id, token="token", lease=60)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        child.submit(execute_task, database.url, database.keyring, task_id, "token", Help()).result()
    return load(database, Task, task_id)


@pytest.mark.parametrize("form", [StorageForm.SEVEN_ZIP, StorageForm.NIFTI])
def test_a_task_moves_a_study_from_a_folder_into_one_of_another_form(
    database: Database, tmp_path: Path, form: StorageForm
) -> None:
    incoming, outgoing = tmp_path / "incoming", tmp_path / "outgoing"
    outgoing.mkdir()
    spec = ct_study(3, key="task")
    write_study(spec, incoming)
    password = PASSWORD if form is StorageForm.SEVEN_ZIP else ""
    # Named after what only a query of the study tells.
    storage = Storage(form, study="{StudyDate} {StudyInstanceUID}", password=password)
    source = add_folder(database, "Incoming", path=str(incoming))
    destination = add_folder(database, "Outgoing", path=str(outgoing), storage=storage)

    task = execute(database, spec, source, destination)

    assert (task.planned, task.delivered, task.failed) == (3, 3, 0)
    value = node_value(database, destination)
    if isinstance(value, ArchiveNode):
        assert archived_instances(value) == instances_in(incoming)
    else:
        assert set(recorded_instances(outgoing)) == spec.sop_instance_uids()
        (path,) = outgoing.rglob("*.nii.gz")
        assert path.parts[-3] == f"20240102 {spec.study_instance_uid}"
