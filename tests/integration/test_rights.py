"""What takes which right: kinds of jobs, forms in which studies are kept, urgency, names and nodes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from adit_core.db import DicomNode, Job, JobKind, NodeKind, Permission, StorageForm, TransferOptions, User
from adit_core.db.engine import Database
from adit_core.errors import NotAllowed
from adit_core.services.projects import set_project_access
from adit_core.services.rights import (
    NEEDED_FOR,
    NodeRole,
    granted_permissions,
    may_keep_as,
    may_use,
    require_again,
    require_permission,
    require_query,
    require_transfer,
)
from adit_core.services.storage import form_of
from adit_core.services.transfer_choices import transfer_choices
from tests.projects import make_project
from tests.rows import allow, load, make_folder, make_group, make_job, make_server, make_user

TRANSFERS = tuple(kind for kind in JobKind if kind is not JobKind.BATCH_QUERY)
KEPT = {
    StorageForm.FILES: None,
    StorageForm.NIFTI: Permission.CONVERT_TO_NIFTI,
    StorageForm.SEVEN_ZIP: Permission.MAKE_ARCHIVES,
    StorageForm.ZIP: Permission.MAKE_ARCHIVES,
}


@dataclass
class Scene:
    """A user with two nodes, and what a transfer between them is told."""

    db: Database
    user: User
    source: DicomNode
    destination: DicomNode

    def permit(self, permissions: Iterable[Permission]) -> None:
        group = make_group(self.db, self.user, permissions=tuple(permissions))
        allow(self.db, group, self.source, as_source=True)
        allow(self.db, group, self.destination, as_destination=True)

    def require(self, kind: JobKind, **changes: Any) -> None:
        way: dict[str, Any] = {"source": self.source, "destination": self.destination, "project": None}
        told = {"form": StorageForm.FILES, "urgent": False, **way, **changes}
        require_transfer(self.db, self.user, kind, **told)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database, make_user(database), make_server(database), make_folder(database))


def _refused(call: Any, *arguments: Any, **more: Any) -> str:
    """Return why something is refused; empty if it is not."""
    try:
        call(*arguments, **more)
    except NotAllowed as error:
        return str(error)
    return ""


def _lacking(permission: Permission) -> str:
    return f"You lack the permission to {permission.value}. An administrator can give it to your group."


@pytest.mark.parametrize("kind", TRANSFERS)
def test_each_kind_of_transfer_takes_its_own_right(scene: Scene, kind: JobKind) -> None:
    scene.permit([NEEDED_FOR[kind], Permission.TRANSFER_UNPSEUDONYMIZED])

    refusals = {each: _refused(scene.require, each) for each in TRANSFERS}

    assert refusals == {each: "" if each is kind else _lacking(NEEDED_FOR[each]) for each in TRANSFERS}


def test_no_other_right_stands_for_a_kind_of_job(scene: Scene) -> None:
    scene.permit(frozenset(Permission) - {*NEEDED_FOR.values()})

    for kind in TRANSFERS:
        assert _refused(scene.require, kind) == _lacking(NEEDED_FOR[kind])
    query = _refused(require_query, scene.db, scene.user, source=scene.source, urgent=False)
    assert query == _lacking(Permission.QUERY)


def test_a_query_takes_no_right_to_transfer(scene: Scene) -> None:
    scene.permit([Permission.QUERY])

    require_query(scene.db, scene.user, source=scene.source, urgent=False)
    urgent = _refused(require_query, scene.db, scene.user, source=scene.source, urgent=True)
    assert urgent == _lacking(Permission.PROCESS_URGENTLY)


@pytest.mark.parametrize("form", KEPT)
@pytest.mark.parametrize("granted", [None, Permission.CONVERT_TO_NIFTI, Permission.MAKE_ARCHIVES])
def test_what_is_kept_otherwise_than_as_files_takes_a_right(
    scene: Scene, form: StorageForm, granted: Permission | None
) -> None:
    more = () if granted is None else (granted,)
    scene.permit([Permission.UPLOAD, Permission.TRANSFER_UNPSEUDONYMIZED, *more])

    refusal = _refused(scene.require, JobKind.UPLOAD, form=form)

    needed = KEPT[form]
    assert refusal == ("" if needed in (None, granted) else _lacking(needed))
    assert may_keep_as(granted_permissions(scene.db, scene.user), form) == (not refusal)


@pytest.mark.parametrize(
    ("storage", "as_nifti", "in_archive", "form"),
    [
        (StorageForm.FILES, False, False, StorageForm.FILES),
        (StorageForm.FILES, True, False, StorageForm.NIFTI),
        (StorageForm.FILES, False, True, StorageForm.SEVEN_ZIP),
        (StorageForm.NIFTI, False, False, StorageForm.NIFTI),
        (StorageForm.ZIP, False, False, StorageForm.ZIP),
    ],
)
def test_a_job_or_its_destination_says_what_becomes_of_studies(
    storage: StorageForm, as_nifti: bool, in_archive: bool, form: StorageForm
) -> None:
    node, options = (
        DicomNode(kind=NodeKind.FOLDER, name="Export", storage=storage),
        TransferOptions(as_nifti=as_nifti),
    )

    assert form_of(node, options, in_archive=in_archive) is form


def test_urgency_names_and_projects_take_their_rights(scene: Scene) -> None:
    scene.permit([Permission.UPLOAD])
    project = make_project(scene.db)

    assert _refused(scene.require, JobKind.UPLOAD) == _lacking(Permission.TRANSFER_UNPSEUDONYMIZED)
    assert "may not use project Trial" in _refused(scene.require, JobKind.UPLOAD, project=project)
    set_project_access(scene.db, "group+ada+upload", "Trial", allowed=True)
    assert _refused(scene.require, JobKind.UPLOAD, project=project) == ""
    urgent = _refused(scene.require, JobKind.UPLOAD, project=project, urgent=True)
    assert urgent == _lacking(Permission.PROCESS_URGENTLY)


@pytest.mark.parametrize("role", NodeRole)
def test_rights_alone_open_no_node(scene: Scene, role: NodeRole) -> None:
    make_group(scene.db, scene.user, permissions=tuple(Permission))
    group = make_group(scene.db, scene.user)
    allow(scene.db, group, scene.source, as_source=role is NodeRole.DESTINATION)
    allow(scene.db, group, scene.destination, as_destination=role is NodeRole.SOURCE)

    assert f"as a {role.value}" in _refused(scene.require, JobKind.BATCH_TRANSFER)


def test_staff_have_every_right_and_closed_accounts_none(database: Database) -> None:
    root = make_user(database, "root", staff=True)
    closed = make_user(database, "closed", active=False)
    closed_staff = make_user(database, "old root", staff=True, active=False)
    make_group(database, closed, permissions=tuple(Permission))

    for permission in Permission:
        require_permission(database, root, permission)
        for user in (closed, closed_staff):
            assert _refused(require_permission, database, user, permission) == _lacking(permission)


def _of_kind(scene: Scene, kind: JobKind, **fields: Any) -> Job:
    owner = make_user(scene.db, "owner")
    job = make_job(scene.db, owner=owner, kind=kind, **fields)
    with scene.db.session() as session:
        row = session.get_one(Job, job.id)
        row.source_id, row.destination_id = scene.source.id, scene.destination.id
        session.commit()
    return load(scene.db, Job, job.id)


@pytest.mark.parametrize("kind", TRANSFERS)
def test_a_job_is_done_again_by_who_may_have_one_of_its_kind_done(scene: Scene, kind: JobKind) -> None:
    other = next(each for each in TRANSFERS if each is not kind)
    job = _of_kind(scene, kind)
    scene.permit([NEEDED_FOR[other], Permission.TRANSFER_UNPSEUDONYMIZED])

    assert _refused(require_again, scene.db, scene.user, job) == _lacking(NEEDED_FOR[kind])
    make_group(scene.db, scene.user, permissions=(NEEDED_FOR[kind],))
    require_again(scene.db, scene.user, job)


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({"options": TransferOptions(as_nifti=True)}, Permission.CONVERT_TO_NIFTI),
        ({"archive_password": "sealed"}, Permission.MAKE_ARCHIVES),
    ],
)
def test_a_job_that_keeps_studies_otherwise_is_done_again_by_who_may_still_do_that(
    scene: Scene, fields: dict[str, Any], needed: Permission
) -> None:
    if "archive_password" in fields:
        fields = {"archive_password": scene.db.keyring.seal("correct horse battery")}
    job = _of_kind(scene, JobKind.UPLOAD, **fields)
    scene.permit([Permission.UPLOAD, Permission.TRANSFER_UNPSEUDONYMIZED])

    assert _refused(require_again, scene.db, scene.user, job) == _lacking(needed)
    make_group(scene.db, scene.user, permissions=(needed,))
    require_again(scene.db, scene.user, job)


@pytest.mark.parametrize("form", KEPT)
def test_only_destinations_are_offered_whose_form_is_permitted(scene: Scene, form: StorageForm) -> None:
    node = make_folder(scene.db, "Kept", storage=form)
    scene.permit([Permission.UPLOAD])
    group = make_group(scene.db, scene.user)
    allow(scene.db, group, node, as_destination=True)

    before = transfer_choices(scene.db, scene.user, JobKind.UPLOAD)
    needed = KEPT[form]
    if needed is not None:
        make_group(scene.db, scene.user, permissions=(needed,))
    after = transfer_choices(scene.db, scene.user, JobKind.UPLOAD)

    assert ("Kept" in {each.name for each in before.destinations}) == (needed is None)
    assert "Kept" in {each.name for each in after.destinations}
    assert after.may_become_nifti == (needed is Permission.CONVERT_TO_NIFTI)
    assert after.may_be_archived == (needed is Permission.MAKE_ARCHIVES)
    with pytest.raises(NotAllowed, match="transfer batches"):
        transfer_choices(scene.db, scene.user, JobKind.BATCH_TRANSFER)


def test_a_node_may_be_used_by_whom_its_groups_let(scene: Scene) -> None:
    assert not may_use(scene.db, scene.user, scene.source, NodeRole.SOURCE)
    scene.permit([])
    assert may_use(scene.db, scene.user, scene.source, NodeRole.SOURCE)
