"""Nodes: what may be added, and who may use them as what."""

from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, ConnectionProfile, Group, Membership
from adit_core.db.engine import Database
from adit_core.dicom import node as values
from adit_core.dicom.node import FolderNode, QueryRoot, ServerNode, Service
from adit_core.errors import InvalidInput, NotFound
from adit_core.services.nodes import (
    add_folder,
    add_server,
    get_node,
    list_nodes,
    node_value,
    set_access,
    usable_nodes,
)
from adit_core.services.rights import NodeRole, may_use
from tests.rows import make_folder, make_group, make_server, make_user


def server(db: Database, name: str = "PACS", **changes):
    return add_server(db, name, **{"ae_title": "PACS", "host": "127.0.0.1", "port": 104, **changes})


def refused(db: Database, name: str = "PACS", **changes) -> list[str | None]:
    with pytest.raises(InvalidInput) as caught:
        server(db, name, **changes)
    assert list_nodes(db) == []
    return [problem.field for problem in caught.value.problems]


def test_a_server_is_kept_as_what_transfers_work_with(database: Database) -> None:
    node = server(
        database,
        " Archive ",
        ae_title=" MY_PACS 1 ",
        calling_ae_title="US",
        services=[Service.FIND, Service.MOVE],
        query_root=QueryRoot.PATIENT,
        max_associations=5,
        actor="command line",
    )

    assert node_value(database, get_node(database, "Archive")) == ServerNode(
        name="Archive",
        ae_title="MY_PACS 1",
        host="127.0.0.1",
        port=104,
        calling_ae_title="US",
        services=frozenset({Service.FIND, Service.MOVE}),
        query_root=QueryRoot.PATIENT,
    )
    assert node.max_associations == 5
    with database.reading() as session:
        (event,) = session.exec(select(AuditEvent)).all()
    assert (event.actor, event.action.value, event.object_id) == ("command line", "node added", "Archive")


def test_a_server_has_its_connection_profile(database: Database) -> None:
    with database.session() as session:
        session.add(ConnectionProfile(name="slow", silence_timeout=600, verify_attempts=20))
        session.commit()

    value = node_value(database, server(database, connection_profile="slow"))

    assert isinstance(value, ServerNode)
    assert value.profile == values.ConnectionProfile(silence_timeout=600, verify_attempts=20)
    with pytest.raises(NotFound, match=r"profile called fast\. Known profiles: slow\."):
        server(database, "Other", connection_profile="fast")


def test_a_folder_is_kept_as_what_transfers_work_with(database: Database) -> None:
    add_folder(database, "Export", path="/srv/export")

    assert node_value(database, get_node(database, "Export")) == FolderNode("Export", Path("/srv/export"))


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "A\nB", "ÄB", "A\x7f"])
def test_what_cannot_be_an_ae_title_is_refused(database: Database, title: str) -> None:
    assert refused(database, ae_title=title) == ["ae_title"]
    assert refused(database, calling_ae_title=title) == ["calling_ae_title"]


@pytest.mark.parametrize("title", ["A" * 16, "MY_PACS", "a-b.c [1]~", "A  B"])
def test_what_can_be_an_ae_title_is_kept(database: Database, title: str) -> None:
    assert server(database, ae_title=title).ae_title == title


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_must_exist(database: Database, port: int) -> None:
    assert refused(database, port=port) == ["port"]


@pytest.mark.parametrize("host", ["", "two words", "pacs\n", "h" * 256])
def test_a_host_must_be_one_word(database: Database, host: str) -> None:
    assert refused(database, host=host) == ["host"]


@pytest.mark.parametrize("name", ["", "  ", "A" * 65, "two\nlines"])
def test_a_node_needs_a_name(database: Database, name: str) -> None:
    assert refused(database, name) == ["name"]


def test_all_that_is_wrong_is_told_at_once(database: Database) -> None:
    assert refused(database, "", ae_title="", host="", port=0, max_associations=0) == [
        "name",
        "ae_title",
        "host",
        "port",
        "max_associations",
    ]


@pytest.mark.parametrize("path", ["", "relative/path", "~/export", "/a\x00b"])
def test_the_path_of_a_folder_must_be_absolute(database: Database, path: str) -> None:
    with pytest.raises(InvalidInput, match="path: Give an absolute path"):
        add_folder(database, "Export", path=path)


def test_a_name_is_given_once(database: Database) -> None:
    server(database, "Node")

    with pytest.raises(InvalidInput, match="name: There is a node called Node already"):
        add_folder(database, "Node", path="/export")

    assert len(list_nodes(database)) == 1


def test_an_unknown_node_is_answered_with_the_known_ones(database: Database) -> None:
    with pytest.raises(NotFound, match=r"no node called PACX\. Known nodes: none\."):
        get_node(database, "PACX")
    server(database, "PACS")
    make_folder(database, "Export")

    with pytest.raises(NotFound, match=r"Known nodes: Export, PACS\."):
        get_node(database, "PACX")
    assert [node.name for node in list_nodes(database)] == ["Export", "PACS"]


@pytest.mark.parametrize("as_source", [False, True])
@pytest.mark.parametrize("as_destination", [False, True])
def test_members_may_use_a_node_in_the_roles_that_their_group_has(
    database: Database, as_source: bool, as_destination: bool
) -> None:
    member, outsider = make_user(database, "member"), make_user(database, "outsider")
    group = make_group(database, member)
    make_group(database, outsider)
    node = server(database)
    set_access(database, group.name, "PACS", as_source=as_source, as_destination=as_destination)

    assert may_use(database, member, node, NodeRole.SOURCE) == as_source
    assert may_use(database, member, node, NodeRole.DESTINATION) == as_destination
    for role in NodeRole:
        assert not may_use(database, outsider, node, role)


def test_access_to_one_node_gives_none_to_another(database: Database) -> None:
    member = make_user(database)
    group = make_group(database, member)
    server(database, "One")
    server(database, "Other")
    set_access(database, group.name, "One", as_source=True, as_destination=False)

    assert [node.name for node in usable_nodes(database, member, NodeRole.SOURCE)] == ["One"]
    assert usable_nodes(database, member, NodeRole.DESTINATION) == []


def test_the_access_of_several_groups_adds_up(database: Database) -> None:
    member = make_user(database)
    node = server(database)
    for number, role in enumerate(NodeRole):
        with database.session() as session:
            group = Group(name=f"group {number}")
            session.add(group)
            session.flush()
            session.add(Membership(user_id=member.id, group_id=group.id))
            session.commit()
        set_access(
            database,
            group.name,
            "PACS",
            as_source=role is NodeRole.SOURCE,
            as_destination=role is NodeRole.DESTINATION,
        )

    assert all(may_use(database, member, node, role) for role in NodeRole)


def test_access_can_be_taken_away(database: Database) -> None:
    member = make_user(database)
    group = make_group(database, member)
    node = server(database)
    set_access(database, group.name, "PACS", as_source=True, as_destination=True)
    set_access(database, group.name, "PACS", as_source=False, as_destination=False)

    assert not any(may_use(database, member, node, role) for role in NodeRole)


def test_access_needs_a_group_and_a_node(database: Database) -> None:
    group = make_group(database, make_user(database))
    make_server(database)

    with pytest.raises(NotFound, match="no group called nobody"):
        set_access(database, "nobody", "PACS", as_source=True, as_destination=True)
    with pytest.raises(NotFound, match="no node called PACX"):
        set_access(database, group.name, "PACX", as_source=True, as_destination=True)


def test_staff_may_use_all_nodes_unless_the_account_is_closed(database: Database) -> None:
    node = server(database)
    staff = make_user(database, "root", staff=True)
    closed_staff = make_user(database, "gone", staff=True, active=False)
    closed = make_user(database, "left", active=False)
    set_access(database, make_group(database, closed).name, "PACS", as_source=True, as_destination=True)

    for role in NodeRole:
        assert may_use(database, staff, node, role)
        assert not may_use(database, closed_staff, node, role)
        assert not may_use(database, closed, node, role)
