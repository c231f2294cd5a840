"""Groups, on both databases."""

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, Permission, WebSession
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotFound
from adit_core.services.groups import (
    UsableBy,
    add_group,
    add_member,
    list_groups,
    remove_group,
    remove_member,
    set_node_access,
    set_permissions,
    show_group,
)
from adit_core.services.nodes import usable_nodes
from adit_core.services.rights import NodeRole, permissions_of
from adit_core.services.sessions import SessionLimits, open_session
from adit_core.services.users import UserChanges, change_user
from adit_core.settings import Settings
from tests.rows import make_server, make_user


def test_what_a_group_permits_is_replaced_as_a_whole(database: Database):
    ada, root = make_user(database), make_user(database, "root", staff=True)
    group = add_group(database, " Neuro ", {Permission.QUERY, Permission.TRANSFER_BATCHES}, actor=root)
    add_member(database, group.id, "Ada")

    assert (group.name, permissions_of(database, ada)) == (
        "Neuro",
        {Permission.QUERY, Permission.TRANSFER_BATCHES},
    )
    set_permissions(database, group.id, [Permission.VIEW_LINK_TABLE, Permission.VIEW_LINK_TABLE])
    assert permissions_of(database, ada) == {Permission.VIEW_LINK_TABLE}
    with database.reading() as session:
        told = [(event.actor, event.details["changed"]) for event in session.exec(select(AuditEvent))]
    assert told == [("root", "added"), ("ADIT", "member added"), ("ADIT", "permissions")]


def test_a_group_uses_nodes_as_it_is_said(database: Database):
    ada, pacs = make_user(database), make_server(database)
    group = add_group(database, "Neuro")
    add_member(database, group.id, "ada")

    set_node_access(database, group.id, UsableBy("PACS", as_source=True, as_destination=True))
    set_node_access(database, group.id, UsableBy("PACS", as_source=True, as_destination=False))

    assert [node.id for node in usable_nodes(database, ada, NodeRole.SOURCE)] == [pacs.id]
    assert usable_nodes(database, ada, NodeRole.DESTINATION) == []
    assert show_group(database, group.id).nodes == (UsableBy("PACS", as_source=True, as_destination=False),)


def test_who_leaves_a_group_or_loses_it_has_nothing_of_it(database: Database):
    ada = make_user(database)
    first, second = (add_group(database, name, [Permission.QUERY]) for name in ("First", "Second"))
    for group in (first, second):
        add_member(database, group.id, "ada")

    assert remove_member(database, first.id, "ada").members == ()
    assert permissions_of(database, ada) == {Permission.QUERY}
    remove_group(database, second.id)
    assert permissions_of(database, ada) == frozenset()
    assert [group.name for group in list_groups(database)] == ["First"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 151, "Neuro"])
def test_a_group_needs_a_name_of_its_own(database: Database, name: str):
    add_group(database, "Neuro")

    with pytest.raises(InvalidInput) as error:
        add_group(database, name)

    assert [problem.field for problem in error.value.problems] == ["name"]


def test_what_does_not_exist_is_said(database: Database):
    group = add_group(database, "Neuro")
    for act in (
        lambda: show_group(database, 99),
        lambda: remove_group(database, 99),
        lambda: add_member(database, 99, "ada"),
        lambda: add_member(database, group.id, "nobody"),
        lambda: set_permissions(database, 99, []),
        lambda: set_node_access(database, group.id, UsableBy("X", as_source=True, as_destination=True)),
    ):
        with pytest.raises(NotFound):
            act()


def test_whoever_loses_the_account_is_signed_out_everywhere(database: Database):
    ada = make_user(database)
    open_session(database, ada, SessionLimits.of(Settings()), address="")

    change_user(database, "ada", UserChanges(is_active=False))

    with database.reading() as session:
        assert session.exec(select(WebSession)).all() == []


def test_nobody_gives_up_the_own_account(database: Database):
    root = make_user(database, "root", staff=True)

    for changes in (UserChanges(is_active=False), UserChanges(is_staff=False)):
        with pytest.raises(InvalidInput):
            change_user(database, "root", changes, actor=root)
    assert change_user(database, "root", UserChanges(full_name="Root"), actor=root).full_name == "Root"
