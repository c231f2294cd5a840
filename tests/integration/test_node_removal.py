"""A node that no job refers to is deleted; one with a history is retired, and its jobs stay readable."""

import pytest
from sqlmodel import col, select

from adit_core.db import AuditEvent, DicomNode, JobKind, JobStatus, NodePolicy, Permission, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InvalidInput, NotAllowed, NotFound
from adit_core.services.groups import list_groups
from adit_core.services.job_actions import restart_job
from adit_core.services.jobs import show_job
from adit_core.services.node_policies import change_policy
from adit_core.services.node_removal import Removal, remove_node, restore_node
from adit_core.services.nodes import add_folder, get_node, list_nodes, retired_nodes, usable_nodes
from adit_core.services.rights import NodeRole
from adit_core.services.transfer_choices import transfer_choices
from tests.fakes.launcher import FakeLauncher
from tests.rows import allow, make_folder, make_group, make_job, make_server, make_user


@pytest.fixture
def root(database: Database) -> User:
    return make_user(database, "root", staff=True)


def removals(db: Database) -> list[tuple[str, str, object]]:
    actions = (AuditAction.NODE_REMOVED, AuditAction.NODE_RESTORED)
    told = select(AuditEvent).where(col(AuditEvent.action).in_(actions)).order_by(col(AuditEvent.id))
    with db.reading() as session:
        return [(e.actor, e.object_id, e.details.get("outcome")) for e in session.exec(told)]


def test_a_node_that_no_job_refers_to_is_deleted_with_its_policy_and_access(
    database: Database, root: User
) -> None:
    group = make_group(database, root)
    allow(database, group, make_server(database), as_source=True)
    change_policy(database, "PACS", instances_per_second=5)

    assert remove_node(database, "PACS", actor=root) is Removal.DELETED

    assert list_nodes(database) == retired_nodes(database) == []
    with database.reading() as session:
        assert session.exec(select(NodePolicy)).all() == []
    assert removals(database) == [("root", "PACS", "deleted")]
    assert add_folder(database, "PACS", path="/export").name == "PACS"


def test_a_node_with_jobs_is_retired_hidden_from_all_choices_and_named_by_its_jobs(
    database: Database, root: User
) -> None:
    ada = make_user(database)
    job = make_job(database, owner=ada, status=JobStatus.SUCCESS)
    source, destination = "source of ada", "destination of ada"
    group = make_group(database, ada, permissions=tuple(Permission))
    for name in (source, destination):
        allow(database, group, get_node(database, name), as_source=True, as_destination=True)

    assert remove_node(database, destination, actor=root) is Removal.RETIRED

    assert [node.name for node in list_nodes(database)] == [source]
    for user in (ada, root):
        assert destination not in {node.name for node in usable_nodes(database, user, NodeRole.DESTINATION)}
        assert destination not in {
            node.name for node in transfer_choices(database, user, JobKind.BATCH_TRANSFER).destinations
        }
    assert [node.node for node in list_groups(database)[0].nodes] == [source]
    with pytest.raises(NotFound):
        get_node(database, destination)
    assert show_job(database, ada, job.id).destination == destination
    with pytest.raises(NotAllowed, match="is retired"):
        restart_job(database, FakeLauncher(), root, job.id)
    with pytest.raises(InvalidInput, match="restore it, or choose another name"):
        add_folder(database, destination, path="/export")

    restored = restore_node(database, destination, actor=root)

    assert restored.retired_at is None
    assert destination in {node.name for node in usable_nodes(database, ada, NodeRole.DESTINATION)}
    assert removals(database) == [("root", destination, "retired"), ("root", destination, None)]


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.IN_PROGRESS, JobStatus.UNVERIFIED])
def test_a_node_that_a_job_still_needs_stays(database: Database, status: JobStatus) -> None:
    job = make_job(database, status=status)
    with pytest.raises(ActionNotPossible, match=rf"jobs that have not ended: {job.id}\."):
        remove_node(database, "source of ada")
    assert len(list_nodes(database)) == 2


@pytest.mark.parametrize("backend", ["sqlite"])
def test_only_what_is_retired_can_be_restored(database: Database) -> None:
    make_folder(database)
    with pytest.raises(NotFound, match="no retired node"):
        restore_node(database, "Export")
    with pytest.raises(NotFound):
        remove_node(database, "Nothing")
    assert [node.name for node in _all(database)] == ["Export"]


def _all(db: Database) -> list[DicomNode]:
    with db.reading() as session:
        return list(session.exec(select(DicomNode)))
