"""The group that a user works for: what it narrows, who may choose it, and what jobs tell of it."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlmodel import col, select

from adit_core.db import AuditEvent, Group, Job, JobKind, Permission, PseudonymProject, TokenScope, User
from adit_core.db.engine import Database
from adit_core.errors import NotAllowed, NotFound
from adit_core.services.active_group import active_group_of, choose_active_group, groups_of_user
from adit_core.services.groups import remove_group, remove_member, set_members
from adit_core.services.jobs import show_job
from adit_core.services.nodes import usable_nodes
from adit_core.services.projects import set_project_access, usable_projects
from adit_core.services.rights import NodeRole, permissions_of, require_again
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.tokens import TokenBearer, create_token, find_bearer
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.users import get_user
from tests.fakes.launcher import FakeLauncher
from tests.projects import make_project
from tests.queries import query_of
from tests.rows import allow, load, make_folder, make_group, make_server, make_user

HEART = (Permission.TRANSFER_SELECTED, Permission.TRANSFER_UNPSEUDONYMIZED, Permission.USE_API)
LIVER = (Permission.QUERY,)


@dataclass
class Clinic:
    """Ada, who is in two groups, each with rights, a node and a project of its own."""

    db: Database
    ada: User
    heart: Group
    liver: Group

    def choose(self, group: Group | None) -> None:
        choose_active_group(self.db, self.ada, group.name if group else "")

    @property
    def rights(self) -> tuple[frozenset[Permission], list[str], list[str]]:
        sources = usable_nodes(self.db, self.ada, NodeRole.SOURCE)
        projects = usable_projects(self.db, self.ada)
        return (
            permissions_of(self.db, self.ada),
            [node.name for node in sources],
            [project.name for project in projects],
        )

    def submit_transfer(self) -> int:
        request = TransferRequest(self.ada.id, "Heart PACS", "Export")
        picked = [PickedStudy("P1", "1.2.1")]
        return submit_selective_transfer(self.db, FakeLauncher(), request, picked)

    def submit_query(self) -> int:
        query = query_of({"PatientID": "P1"})
        return submit_batch_query(
            self.db, FakeLauncher(), owner_id=self.ada.id, source="Liver PACS", query=query
        )


@pytest.fixture
def clinic(database: Database) -> Clinic:
    ada = make_user(database)
    heart, liver = (make_group(database, ada, permissions=rights) for rights in (HEART, LIVER))
    allow(database, heart, make_server(database, "Heart PACS"), as_source=True)
    allow(database, heart, make_folder(database), as_destination=True)
    allow(database, liver, make_server(database, "Liver PACS"), as_source=True)
    for group, name in ((heart, "Heart"), (liver, "Liver")):
        make_project(database, name)
        set_project_access(database, group.name, name, allowed=True)
    return Clinic(database, ada, heart, liver)


def test_without_a_choice_all_groups_count_together(clinic: Clinic) -> None:
    everything = ({*HEART, *LIVER}, ["Heart PACS", "Liver PACS"], ["Heart", "Liver"])

    assert clinic.rights == everything
    assert active_group_of(clinic.db, clinic.ada) == ""
    clinic.choose(clinic.liver)
    clinic.choose(None)
    assert clinic.rights == everything


def test_the_active_group_alone_counts_at_once(clinic: Clinic) -> None:
    clinic.choose(clinic.heart)
    assert clinic.rights == ({*HEART}, ["Heart PACS"], ["Heart"])

    clinic.choose(clinic.liver)
    assert clinic.rights == ({*LIVER}, ["Liver PACS"], ["Liver"])
    assert active_group_of(clinic.db, clinic.ada) == clinic.liver.name
    with pytest.raises(NotAllowed, match="transfer selected studies"):
        clinic.submit_transfer()


def test_only_a_group_that_one_is_in_is_chosen(clinic: Clinic) -> None:
    other = make_group(clinic.db, make_user(clinic.db, "bob"), permissions=tuple(Permission))

    for name in (other.name, "There is none"):
        with pytest.raises(NotFound, match="You are in no group called"):
            choose_active_group(clinic.db, clinic.ada, name)
    assert active_group_of(clinic.db, clinic.ada) == ""
    assert groups_of_user(clinic.db, clinic.ada) == sorted([clinic.heart.name, clinic.liver.name])


def test_a_closed_account_chooses_nothing(clinic: Clinic) -> None:
    with clinic.db.session() as session:
        session.get_one(User, clinic.ada.id).is_active = False
        session.commit()

    with pytest.raises(NotAllowed):
        choose_active_group(clinic.db, get_user(clinic.db, "ada"), clinic.heart.name)


def test_the_choice_is_audited(clinic: Clinic) -> None:
    choose_active_group(clinic.db, clinic.ada, clinic.heart.name, address="10.0.0.1")
    choose_active_group(clinic.db, clinic.ada, "")

    with clinic.db.reading() as session:
        chosen = select(AuditEvent).where(AuditEvent.action == "user changed").order_by(col(AuditEvent.id))
        events = session.exec(chosen).all()
    assert [(event.actor, event.object_id, event.address) for event in events] == [
        ("ada", "ada", "10.0.0.1"),
        ("ada", "ada", ""),
    ]
    assert [event.details for event in events] == [
        {"changed": "active_group", "about": about} for about in (clinic.heart.name, "all groups")
    ]


@pytest.mark.parametrize("way", ["removed", "others are members", "the group is gone"])
def test_who_leaves_the_active_group_works_for_all_that_are_left(clinic: Clinic, way: str) -> None:
    bob = make_user(clinic.db, "bob")
    make_group(clinic.db, bob)
    set_members(clinic.db, clinic.liver.id, ["ada", "bob"])
    choose_active_group(clinic.db, bob, clinic.liver.name)
    clinic.choose(clinic.heart)

    match way:
        case "removed":
            remove_member(clinic.db, clinic.heart.id, "ada")
        case "others are members":
            set_members(clinic.db, clinic.heart.id, ["bob"])
        case _:
            remove_group(clinic.db, clinic.heart.id)

    assert get_user(clinic.db, "ada").active_group_id is None
    assert clinic.rights == ({*LIVER}, ["Liver PACS"], ["Liver"])
    assert active_group_of(clinic.db, bob) == clinic.liver.name, "who stays keeps the choice"


def test_who_stays_a_member_keeps_the_active_group(clinic: Clinic) -> None:
    clinic.choose(clinic.heart)

    set_members(clinic.db, clinic.heart.id, ["ada"])

    assert active_group_of(clinic.db, clinic.ada) == clinic.heart.name


def test_jobs_tell_for_which_group_they_are(clinic: Clinic) -> None:
    together = clinic.submit_transfer()
    clinic.choose(clinic.heart)
    transfer = clinic.submit_transfer()
    clinic.choose(clinic.liver)
    query = clinic.submit_query()

    told = [show_job(clinic.db, clinic.ada, job_id).group for job_id in (together, transfer, query)]

    assert told == ["", clinic.heart.name, clinic.liver.name]
    remove_group(clinic.db, clinic.heart.id)
    assert show_job(clinic.db, clinic.ada, transfer).group == ""


def test_a_job_is_done_again_by_the_rights_of_the_group_that_is_active_now(clinic: Clinic) -> None:
    clinic.choose(clinic.heart)
    job = load(clinic.db, Job, clinic.submit_transfer())
    assert job.kind is JobKind.SELECTIVE_TRANSFER

    clinic.choose(clinic.liver)
    with pytest.raises(NotAllowed):
        require_again(clinic.db, clinic.ada, job)
    clinic.choose(clinic.heart)
    require_again(clinic.db, clinic.ada, job)


def test_a_token_acts_with_the_active_group_and_is_refused_without_the_api(clinic: Clinic) -> None:
    made = create_token(clinic.db, clinic.ada, name="x", scopes={TokenScope.READ}, lifetime=timedelta(1))

    clinic.choose(clinic.liver)
    with pytest.raises(NotAllowed, match="ada lacks the permission to use the API"):
        find_bearer(clinic.db, made.token)
    with pytest.raises(NotAllowed, match="use the API"):
        create_token(clinic.db, clinic.ada, name="y", scopes={TokenScope.READ})
    clinic.choose(clinic.heart)
    assert isinstance(find_bearer(clinic.db, made.token), TokenBearer)


def test_for_staff_the_active_group_narrows_nothing_and_is_told_by_jobs(clinic: Clinic) -> None:
    with clinic.db.session() as session:
        session.get_one(User, clinic.ada.id).is_staff = True
        session.commit()
    ada = get_user(clinic.db, "ada")

    choose_active_group(clinic.db, ada, clinic.liver.name)

    with clinic.db.reading() as session:
        assert len(usable_projects(clinic.db, ada)) == len(session.exec(select(PseudonymProject)).all())
    assert show_job(clinic.db, ada, clinic.submit_transfer()).group == clinic.liver.name
