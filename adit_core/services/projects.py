"""Projects that data are pseudonymized for: adding them, changing them, and finding them."""

import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from adit_core.db import Group, Job, PatientLink, ProjectAccess, PseudonymProject, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.db.projects import PseudonymSource
from adit_core.db.secrets import Keyring
from adit_core.deid.profile import DeidProfile, builtin_profiles
from adit_core.deid.subject import Project
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput, NotFound, refuse
from adit_core.services import audit
from adit_core.services.rights import require_administrator, usable_project_ids

DEFAULT_PROFILE = "research"
_SECRET_BYTES = 32
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectChanges:
    """What is to be changed of a project; what is None stays. Its secret never changes."""

    profile: DeidProfile | None = None
    pseudonyms: PseudonymSource | None = None
    trial_protocol_id: str | None = None
    trial_protocol_name: str | None = None


def add_project(
    db: Database, name: str, settings: ProjectChanges | None = None, *, actor: User | str = audit.SYSTEM
) -> PseudonymProject:
    """Add a project with a new secret; what `settings` do not say is as usual.

    Raises:
        InvalidInput: With all that is wrong.
        SecretUnreadable: There is no key to seal the secret with.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    refuse(*_name_problems(name))
    project = PseudonymProject(
        name=name.strip(),
        secret=db.keyring.seal(secrets.token_hex(_SECRET_BYTES)),
        profile=builtin_profiles()[DEFAULT_PROFILE],
    )
    _set(project, settings or ProjectChanges())
    _require_writable(db.keyring, project)
    try:
        with db.session() as session:
            session.add(project)
            _record(session, AuditAction.PROJECT_ADDED, actor, project)
            session.commit()
    except IntegrityError as error:
        taken = InputProblem(f"There is a project called {project.name} already.", field="name")
        raise InvalidInput(taken) from error
    return project


def change_project(
    db: Database, name: str, changes: ProjectChanges, *, actor: User | str = audit.SYSTEM
) -> PseudonymProject:
    """Change a project; jobs that wait already go by what it says when they are done.

    Raises:
        NotFound: There is no such project.
        InvalidInput: With all that is wrong.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        project = find_project(session, name)
        _set(project, changes)
        _require_writable(db.keyring, project)
        session.add(project)
        _record(session, AuditAction.PROJECT_CHANGED, actor, project)
        session.commit()
    return project


def remove_project(db: Database, name: str, *, actor: User | str = audit.SYSTEM) -> None:
    """Remove a project that nothing was done for.

    Raises:
        NotFound: There is no such project.
        ActionNotPossible: It has jobs or links.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        project = find_project(session, name)
        for table, words in ((Job, "jobs"), (PatientLink, "links")):
            if session.exec(select(table.id).where(table.project_id == project.id).limit(1)).first():
                raise ActionNotPossible(f"Project {name} has {words}, and cannot be removed.")
        _record(session, AuditAction.PROJECT_REMOVED, actor, project)
        session.delete(project)
        session.commit()


def get_project(db: Database, name: str) -> PseudonymProject:
    """Return a project by its name. Raises NotFound, naming those that there are."""
    with db.reading() as session:
        return find_project(session, name)


def find_project(session: Session, name: str) -> PseudonymProject:
    """Return a project by its name. Raises NotFound."""
    project = session.exec(select(PseudonymProject).where(PseudonymProject.name == name)).one_or_none()
    if project is None:
        raise NotFound(f"There is no project called {name}.")
    return project


def list_projects(db: Database) -> list[PseudonymProject]:
    """Return all projects by name."""
    with db.reading() as session:
        return list(session.exec(select(PseudonymProject).order_by(PseudonymProject.name)))


def usable_projects(db: Database, user: User) -> list[PseudonymProject]:
    """Return the projects that `user` may pseudonymize for, by name."""
    with db.reading() as session:
        usable = usable_project_ids(session, user)
        chosen = select(PseudonymProject).where(col(PseudonymProject.id).in_(usable))
        return list(session.exec(chosen.order_by(PseudonymProject.name)))


def set_project_access(
    db: Database, group_name: str, project_name: str, *, allowed: bool, actor: User | str = audit.SYSTEM
) -> None:
    """Say whether a group may pseudonymize for a project.

    Raises:
        NotFound: There is no such group, or no such project.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        project = find_project(session, project_name)
        group = session.exec(select(Group).where(Group.name == group_name)).one_or_none()
        if group is None:
            raise NotFound(f"There is no group called {group_name}.")
        access = ProjectAccess(group_id=group.id, project_id=project.id)
        if allowed:
            session.merge(access)
        elif (known := session.get(ProjectAccess, (group.id, project.id))) is not None:
            session.delete(known)
        audit.record(
            session,
            AuditAction.GROUP_CHANGED,
            actor=actor,
            object_kind="group",
            object_id=group.name,
            changed="projects",
            about=f"{project.name}: {'allowed' if allowed else 'not at all'}",
        )
        session.commit()


def set_project_groups(
    db: Database, project_name: str, group_names: Collection[str], *, actor: User | str = audit.SYSTEM
) -> None:
    """Say which groups may pseudonymize for a project, replacing what was said before.

    Raises:
        NotFound: There is no such project, or one of the groups does not exist.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        project = find_project(session, project_name)
        groups = session.exec(select(Group).where(col(Group.name).in_(group_names))).all()
        missing = sorted(frozenset(group_names) - {group.name for group in groups})
        if missing:
            raise NotFound(f"There is no group called {missing[0]}.")
        session.exec(delete(ProjectAccess).where(col(ProjectAccess.project_id) == project.id))
        session.add_all(ProjectAccess(group_id=group.id, project_id=project.id) for group in groups)
        audit.record(
            session,
            AuditAction.PROJECT_CHANGED,
            actor=actor,
            object_kind="project",
            object_id=project.name,
            groups=", ".join(sorted(group_names)) or "none",
        )
        session.commit()


def groups_of_project(db: Database, name: str) -> list[str]:
    """Return the names of the groups whose members may pseudonymize for a project.

    Raises:
        NotFound: There is no such project.
    """
    with db.reading() as session:
        project = find_project(session, name)
        chosen = (
            select(Group.name)
            .join(ProjectAccess, col(ProjectAccess.group_id) == col(Group.id))
            .where(ProjectAccess.project_id == project.id)
        )
        return list(session.exec(chosen.order_by(Group.name)))


def profile_named(name: str) -> DeidProfile:
    """Return one of the profiles that ADIT brings. Raises InvalidInput, naming them."""
    profiles = builtin_profiles()
    if name not in profiles:
        problem = f"There is no profile {name}. Known profiles: {', '.join(profiles)}."
        raise InvalidInput(InputProblem(problem, field="profile"))
    return profiles[name]


def deid_project(keyring: Keyring, project: PseudonymProject) -> Project:
    """Return a project as de-identification takes it.

    Raises:
        SecretUnreadable: Its secret was sealed with a key that is not at hand.
    """
    return Project(
        secret=bytes.fromhex(keyring.unseal(project.secret)),
        profile=project.profile,
        trial_protocol_id=project.trial_protocol_id,
        trial_protocol_name=project.trial_protocol_name,
    )


def _set(project: PseudonymProject, changes: ProjectChanges) -> None:
    for each in fields(changes):
        value = getattr(changes, each.name)
        if value is not None:
            setattr(project, each.name, value)


def _require_writable(keyring: Keyring, project: PseudonymProject) -> None:
    """Refuse what could not be written into data sets."""
    deid_project(keyring, project)


def _record(session: Session, action: AuditAction, actor: User | str, project: PseudonymProject) -> None:
    audit.record(
        session,
        action,
        actor=actor,
        object_kind="project",
        object_id=project.name,
        profile=f"{project.profile.name} {project.profile.version}",
        pseudonyms=project.pseudonyms.value,
    )


def _name_problems(name: str) -> Iterator[InputProblem]:
    if not name.strip() or not _NAME.fullmatch(name):
        yield InputProblem("A project needs a name of 1 to 64 characters, in one line.", field="name")
