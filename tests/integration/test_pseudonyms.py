"""Projects, one pseudonym for each patient in them, and the links, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import select

from adit_core.db import (
    AuditEvent,
    PatientLink,
    Permission,
    PseudonymProject,
    StudyLink,
    Task,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.db.projects import PseudonymSource
from adit_core.db.secrets import Keyring, new_key
from adit_core.deid.profile import builtin_profiles
from adit_core.errors import ActionNotPossible, InvalidInput, NotAllowed, NotFound, SecretUnreadable
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.jobs import list_jobs
from adit_core.services.links import delete_links, export_links, find_links
from adit_core.services.nodes import get_node
from adit_core.services.projects import (
    ProjectChanges,
    add_project,
    change_project,
    deid_project,
    get_project,
    remove_project,
    set_project_access,
    usable_projects,
)
from adit_core.services.pseudonyms import Wish, assign_pseudonyms, link_study
from adit_core.services.secret_rotation import rotate_secrets
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.text_sheet import SheetFormat
from adit_core.services.transfer_request import TransferRequest
from tests.fakes.launcher import FakeLauncher
from tests.projects import make_project
from tests.rows import TRANSFERS, allow, make_folder, make_group, make_server, make_user


@pytest.fixture
def staff(database: Database) -> User:
    make_server(database)
    make_folder(database)
    return make_user(database, "staff", staff=True)


def batch(*studies: tuple[str, str]) -> BatchFile:
    """Return a batch file of patients with pseudonyms, from row 2 on."""
    rows = enumerate(studies, 2)
    return BatchFile(tuple(BatchStudy(who, f"1.2.{row}", (), name, (row,)) for row, (who, name) in rows))


def submit(db: Database, user: User, *studies: tuple[str, str], project: str = "Trial") -> list[str]:
    """Submit a batch transfer, and return the pseudonyms of its tasks."""
    request = TransferRequest(owner_id=user.id, source="PACS", destination="Export", project=project)
    job_id = submit_batch_transfer(db, FakeLauncher(), request, batch(*studies))
    with db.reading() as session:
        tasks = session.exec(select(Task).where(Task.job_id == job_id).order_by(Task.study_instance_uid))
        return [task.pseudonym for task in tasks]


def problems(db: Database, user: User, *studies: tuple[str, str], project: str = "Trial") -> list[str]:
    """Return why a batch transfer is refused."""
    before = list_jobs(db, user)
    with pytest.raises(InvalidInput) as caught:
        submit(db, user, *studies, project=project)
    assert list_jobs(db, user) == before, "nothing is half done"
    return [str(problem) for problem in caught.value.problems]


def assigned(db: Database, project: PseudonymProject, *wishes: Wish) -> dict[str, str]:
    with db.session() as session:
        names = assign_pseudonyms(session, db.keyring, project.id, wishes)
        session.commit()
    return names


def test_pseudonyms_of_the_spreadsheet_are_kept_for_later_jobs(database: Database, staff: User) -> None:
    make_project(database)
    assert submit(database, staff, ("P1", "ANON1"), ("P2", ""), ("P1 ", "ANON1"))[::2] == ["ANON1", "ANON1"]
    first, second = submit(database, staff, ("P1", ""), ("P2", ""))
    assert first == "ANON1"
    assert len(second) == 12
    assert submit(database, staff, ("P2", second)) == [second]


def test_conflicts_are_told_by_rows(database: Database, staff: User) -> None:
    make_project(database)
    submit(database, staff, ("P1", "ANON1"))
    wrong = (("P1", "ANON2"), ("P9", "ANON1"), ("P3", "bad*name"), ("P4", "ANON4"))
    assert problems(database, staff, *wrong) == [
        "row 2, column Pseudonym: This patient has another pseudonym in project Trial already.",
        "row 3, column Pseudonym: This is the pseudonym of another patient in project Trial.",
        "row 4, column Pseudonym: A pseudonym must be 1 to 64 ASCII letters, digits or any of"
        " . _ + # @ ( ) - and spaces, beginning with a letter or digit.",
    ]
    assert problems(database, staff, ("P5", "A"), ("P6", "A"), ("P5", "B")) == [
        "row 3, column Pseudonym: This pseudonym is given to another patient, too.",
        "row 4, column Pseudonym: This patient is given another pseudonym elsewhere in this job.",
    ]
    with database.reading() as session:
        assert [link.pseudonym for link in session.exec(select(PatientLink))] == ["ANON1"]


def test_a_project_that_makes_no_pseudonyms_needs_them_for_new_patients_only(
    database: Database, staff: User
) -> None:
    make_project(database, pseudonyms=PseudonymSource.GIVEN)
    assert problems(database, staff, ("P1", "ANON1"), ("P2", "")) == [
        "row 3, column Pseudonym: Give one: project Trial makes none."
    ]
    submit(database, staff, ("P1", "ANON1"))
    assert submit(database, staff, ("P1", "")) == ["ANON1"]


def test_keyed_pseudonyms_are_the_same_after_their_links_were_deleted_and_drawn_ones_are_not(
    database: Database, staff: User
) -> None:
    for source in (PseudonymSource.KEYED, PseudonymSource.RANDOM):
        project = make_project(database, source.value, pseudonyms=source)
        before = assigned(database, project, Wish("P1"))
        assert assigned(database, project, Wish("P1")) == before
        assert delete_links(database, staff, project.name, [before["P1"]]) == 1
        assert (assigned(database, project, Wish("P1")) == before) is (source is PseudonymSource.KEYED)


def test_two_who_submit_at_the_same_time_give_a_patient_one_pseudonym(
    database: Database, staff: User
) -> None:
    project = make_project(database, pseudonyms=PseudonymSource.RANDOM)
    patients = [Wish(f"P{number}") for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: assigned(database, project, *patients), range(8)))
    assert all(result == results[0] for result in results)
    assert len(set(results[0].values())) == 20


def test_a_pseudonym_without_a_project_and_a_project_that_is_not_there_are_refused(
    database: Database, staff: User
) -> None:
    assert problems(database, staff, ("P1", "ANON1"), project="") == [
        "row 2, column Pseudonym: A pseudonym needs a project that says how studies are pseudonymized:"
        " name one."
    ]
    with pytest.raises(NotFound, match="no project called Trial"):
        submit(database, staff, ("P1", "ANON1"))


def test_who_may_use_a_project_needs_no_right_to_transfer_with_names(database: Database, staff: User) -> None:
    project = make_project(database)
    ada = make_user(database)
    group = make_group(database, ada, permissions=(*TRANSFERS,))
    for node, role in (("PACS", "as_source"), ("Export", "as_destination")):
        allow(database, group, get_node(database, node), **{role: True})
    with pytest.raises(NotAllowed, match="project Trial"):
        submit(database, ada, ("P1", ""))
    set_project_access(database, group.name, "Trial", allowed=True)
    assert [usable.id for usable in usable_projects(database, ada)] == [project.id]
    assert submit(database, ada, ("P1", ""))
    with pytest.raises(NotAllowed, match="transfer unpseudonymized"):
        submit(database, ada, ("P1", ""), project="")
    set_project_access(database, group.name, "Trial", allowed=False)
    with pytest.raises(NotAllowed, match="project Trial"):
        submit(database, ada, ("P1", ""))


def test_links_are_encrypted_and_found_by_patient_pseudonym_and_study(
    database: Database, staff: User
) -> None:
    project = make_project(database)
    (name,) = submit(database, staff, ("SECRET-4711", ""))
    of_project = deid_project(database.keyring, project)
    for _ in range(2):
        link_study(
            database,
            project.id,
            of_project,
            patient_id="SECRET-4711",
            study_uid="1.2.840.4711",
            mapped_uid="2.25.99",
        )
    for term in ("SECRET-4711", name, "2.25.99"):
        (found,) = find_links(database, staff, "Trial", term)
        assert (found.patient_id, found.pseudonym) == ("SECRET-4711", name)
        (study,) = found.studies
        assert (study.study_instance_uid, study.pseudonymized_study_instance_uid) == (
            "1.2.840.4711",
            "2.25.99",
        )
    assert find_links(database, staff, "Trial", "nobody") == []
    with pytest.raises(InvalidInput, match="Name a patient"):
        find_links(database, staff, "Trial", " ")

    rotate_secrets(database)
    with database.reading() as session:
        for table in ("patient_link", "study_link", "audit_event"):
            stored = str(session.execute(text(f"SELECT * FROM {table}")).all())
            assert "4711" not in stored, table
        actions = [event.action for event in session.exec(select(AuditEvent))]
    assert actions.count(AuditAction.LINKS_VIEWED) == 4
    other = Database(str(database.engine.url.render_as_string(hide_password=False)), Keyring((new_key(),)))
    with pytest.raises(SecretUnreadable):
        find_links(other, staff, "Trial", name)
    other.dispose()


def test_links_are_exported_and_deleted_on_purpose_only(
    database: Database, staff: User, tmp_path: Path
) -> None:
    make_project(database)
    names = submit(database, staff, ("P1", ""), ("P2", ""))
    exported = export_links(database, staff, "Trial", SheetFormat.CSV).decode("utf-8-sig").splitlines()
    assert exported[0].split(",")[:2] == ["PatientID", "Pseudonym"]
    assert [line.split(",")[:2] for line in exported[1:]] == [["P1", names[0]], ["P2", names[1]]]
    with pytest.raises(NotFound, match="no links of: NOBODY"):
        delete_links(database, staff, "Trial", [names[0], "NOBODY"])
    with pytest.raises(ActionNotPossible, match="has jobs"):
        remove_project(database, "Trial")
    assert delete_links(database, staff, "Trial", None) == 2
    assert find_links(database, staff, "Trial", names[0]) == []
    with database.reading() as session:
        assert session.exec(select(StudyLink)).all() == []
        actions = {event.action for event in session.exec(select(AuditEvent))}
    assert {AuditAction.LINKS_EXPORTED, AuditAction.LINKS_DELETED} <= actions


def test_who_was_who_is_for_those_with_the_right_and_the_project(database: Database, staff: User) -> None:
    make_project(database)
    (name,) = submit(database, staff, ("P1", ""))
    ada = make_user(database)
    group = make_group(database, ada, permissions=(Permission.VIEW_LINK_TABLE,))
    with pytest.raises(NotAllowed, match="project Trial"):
        find_links(database, ada, "Trial", name)
    set_project_access(database, group.name, "Trial", allowed=True)
    assert find_links(database, ada, "Trial", name)
    eve = make_user(database, "eve")
    set_project_access(database, make_group(database, eve).name, "Trial", allowed=True)
    for asked in (
        lambda: find_links(database, eve, "Trial", name),
        lambda: export_links(database, eve, "Trial", SheetFormat.CSV),
    ):
        with pytest.raises(NotAllowed, match="view link table"):
            asked()
    with pytest.raises(NotAllowed, match="Only staff"):
        delete_links(database, ada, "Trial", None)


def test_projects_are_added_changed_and_removed(database: Database) -> None:
    made = add_project(database, " Trial ")
    assert (made.name, made.profile.name) == ("Trial", "research")
    for name, message in (("", "needs a name"), ("a\nb", "needs a name"), ("Trial", "already")):
        with pytest.raises(InvalidInput, match=message):
            add_project(database, name)
    with pytest.raises(InvalidInput, match="trial_protocol_id: must be at most 64 ASCII"):
        change_project(database, "Trial", ProjectChanges(trial_protocol_id="Müller"))
    compatible = builtin_profiles()["adit-compatible"]
    change_project(database, "Trial", ProjectChanges(profile=compatible, trial_protocol_id="T1"))
    changed = get_project(database, "Trial")
    assert (changed.profile, changed.trial_protocol_id) == (compatible, "T1")
    assert database.keyring.unseal(changed.secret) == database.keyring.unseal(made.secret)
    remove_project(database, "Trial")
    with pytest.raises(NotFound):
        get_project(database, "Trial")
