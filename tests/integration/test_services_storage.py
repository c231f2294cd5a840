"""How folders keep studies: what is stored of it, and what a transfer makes of that."""

from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, StorageForm
from adit_core.db.engine import Database
from adit_core.dicom.layout import Names
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, FolderNode, NiftiNode, SidecarContent
from adit_core.errors import InvalidInput
from adit_core.services.nodes import add_folder, get_node, list_nodes, node_value
from adit_core.services.storage import Storage

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
