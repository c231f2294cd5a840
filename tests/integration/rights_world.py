"""A small hospital with every kind of caller, and something of each kind that they may want."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, select, update

from adit_core.db import (
    ApiToken,
    DicomNode,
    HeldInstance,
    Job,
    JobKind,
    JobStatus,
    Permission,
    PseudonymProject,
    QueryResult,
    QueryRow,
    RowStatus,
    Task,
    TaskStatus,
    TokenScope,
    Upload,
    User,
    WebSession,
)
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring, new_key
from adit_core.db.uploads import UploadedStudy
from adit_core.dicom.node import ConnectionProfile
from adit_core.services.announcements import add_announcement
from adit_core.services.groups import add_group, remove_group
from adit_core.services.identities import link_identity
from adit_core.services.nodes import add_web_server
from adit_core.services.profiles import add_profile
from adit_core.services.projects import set_project_access
from adit_core.services.sessions import SessionLimits, find_principal, open_session, session_id_of
from adit_core.services.tokens import NewToken, create_token, revoke_token
from tests.api import Api, make_api
from tests.databases import new_database
from tests.integration.rights_bodies import PATIENT
from tests.projects import make_project
from tests.rights_table import (
    DESTINATION,
    NODE,
    OWNER,
    PROJECT,
    REVIEWER,
    SHORT,
    SIGNED_IN,
    SOURCE,
    STAFF,
    UPLOADER,
)
from tests.rows import allow, make_folder, make_group, make_server, make_user
from tests.web_process import COOKIE

_ALL_RIGHTS = frozenset({*SHORT, SOURCE, DESTINATION, NODE, PROJECT, REVIEWER})

CLOSED = "a-closed-account-with-everything"

_MINE = frozenset({SIGNED_IN, OWNER, UPLOADER})


@dataclass(frozen=True)
class Caller:
    """Somebody who sends requests."""

    name: str
    headers: Mapping[str, str]
    has: frozenset[str] = frozenset()
    """What of the column "who" is so."""
    scopes: frozenset[TokenScope] = frozenset(TokenScope)
    refused: int = 0
    """The status of every answer, if it is always the same; of what changes something, if it is 403."""
    only_reads: bool = False
    is_one_of_many: bool = False
    """Whether there are others for whom the same line of code decides the same for all routes."""
    owns: str = "everything"
    """Whose jobs are asked for."""
    username: str = ""
    """The account, of those in whose name the services are tried out, too."""


@dataclass
class World:
    """The API, its callers, and the names of things in paths and bodies."""

    api: Api
    file: Path
    callers: list[Caller] = field(default_factory=list)
    things: dict[str, dict[str, str]] = field(default_factory=dict)
    """By owner and name."""

    def callers_of(self, number: int) -> list[Caller]:
        """Return who sends the request in the line of this number: all, but of the many alike one in turn."""
        alike = [caller for caller in self.callers if caller.is_one_of_many]
        others = [caller for caller in self.callers if not caller.is_one_of_many]
        return [alike[number % len(alike)], *others]

    def keep(self) -> None:
        """Remember the database as it is."""
        _copy(self.file, self._kept)

    def restore(self) -> None:
        """Bring the database back to what was remembered."""
        _copy(self._kept, self.file)
        (self.file.parent / "uploaded").mkdir(exist_ok=True)

    @property
    def _kept(self) -> Path:
        return self.file.with_suffix(".kept")


def _copy(source: Path, target: Path) -> None:
    """Copy a database, while other threads may be using either: places at nodes are renewed by one."""
    with (
        closing(sqlite3.connect(source, timeout=30)) as old,
        closing(sqlite3.connect(target, timeout=30)) as new,
    ):
        old.backup(new)


def make_world(folder: Path) -> World:
    """Make everything."""
    file = folder / "adit.sqlite"
    db = new_database(file, Keyring((new_key(),)))
    world = World(make_api(db, folder, api_calls_per_minute=10**9), file)
    for name in ("export", "uploaded"):
        (folder / name).mkdir()
    nodes = make_server(db, "PACS", ae_title="PACS", port=1), make_folder(db, path=str(folder / "export"))
    add_web_server(db, "Web", base_url="http://127.0.0.1:1/dicom-web")
    make_server(db, "Old", retired_at=utc_now())
    add_profile(db, "Slow", ConnectionProfile())
    trial = make_project(db)
    make_project(db, "Unused")
    root = make_user(db, "root", staff=True)
    add_announcement(db, root, "Hello.")
    everything = _user(world, "everything", _ALL_RIGHTS, *nodes)
    add_group(db, "Everybody")
    link_identity(db, "everything", issuer="https://sign-in", subject="everything")
    closed = _user(world, CLOSED, _ALL_RIGHTS, *nodes)
    for owner in (everything, make_user(db, "nothing-but-jobs"), closed):
        world.things[owner.username] = _things(db, owner, folder, nodes, trial)
    world.callers = [*_strangers(world), *_users(world, *nodes), *_programs(world, root, everything, nodes)]
    world.keep()
    return world


def _user(world: World, name: str, rights: frozenset[str], source: DicomNode, destination: DicomNode) -> User:
    """Add a user with these rights, all of a group of his own."""
    db = world.api.db
    user = make_user(db, _username(name))
    permissions = tuple(sorted(SHORT[each] for each in rights if each in SHORT))
    group = make_group(db, user, permissions=permissions)
    allow(db, group, source, as_source=SOURCE in rights, as_destination=DESTINATION in rights)
    allow(db, group, destination, as_destination=DESTINATION in rights)
    if PROJECT in rights:
        set_project_access(db, group.name, "Trial", allowed=True)
    return user


def _strangers(world: World) -> Iterator[Caller]:
    """Yield those who are not signed in, although some have been."""
    db = world.api.db
    wrong = {"Authorization": "Bearer adit_wrong", "Cookie": f"{COOKIE}=wrong"}
    yield Caller("nobody", {}, refused=401)
    yield Caller("a wrong token", wrong, refused=401, is_one_of_many=True)
    yield Caller("a wrong session", {"Cookie": wrong["Cookie"]}, refused=401, is_one_of_many=True)
    for name in ("an expired token", "a revoked token", "a token of a closed account"):
        user = make_user(db, name, staff=True)
        made = create_token(db, user, name=name, scopes=frozenset(TokenScope))
        if "revoked" in name:
            revoke_token(db, user, made.view.id)
        yield Caller(name, {"Authorization": f"Bearer {made.token}"}, refused=401, is_one_of_many=True)
    for name in ("a session that is over", "a session of a closed account"):
        headers = _session(world, make_user(db, name, staff=True))
        username = name if "closed" in name else ""
        yield Caller(name, headers, refused=401, is_one_of_many=True, username=username)
    headers = _session(world, account(db, CLOSED))
    yield Caller(CLOSED, headers, refused=401, is_one_of_many=True, owns=CLOSED, username=CLOSED)
    with db.session() as session:
        past = utc_now() - timedelta(days=1)
        named = col(ApiToken.name) == "an expired token"
        session.exec(update(ApiToken).where(named).values(expires_at=past))
        over = session.exec(_id_of("a session that is over")).one()
        session.exec(update(WebSession).where(col(WebSession.user_id) == over).values(expires_at=past))
        session.exec(update(User).where(col(User.username).contains("closed")).values(is_active=False))
        session.commit()
    newcomer = make_user(db, "newcomer", staff=True)
    with db.session() as session:
        session.merge(newcomer).must_change_password = True
        session.commit()
    yield Caller(
        "somebody with a password that others chose",
        _session(world, newcomer),
        refused=403,
        is_one_of_many=True,
    )


def _username(name: str) -> str:
    return name.replace(" ", "-")


def account(db: Database, username: str) -> User:
    """Return the account of this name, be it one that people may have or not."""
    with db.reading() as session:
        return session.exec(select(User).where(User.username == username)).one()


def _id_of(username: str) -> Any:
    return select(User.id).where(User.username == username)


def _users(world: World, source: DicomNode, destination: DicomNode) -> Iterator[Caller]:
    """Yield users of the dashboard: with nothing, with one right, with all but one, with everything."""
    db = world.api.db

    def user(name: str, rights: frozenset[str], **options: Any) -> Caller:
        made = _user(world, name, rights - {REVIEWER}, source, destination)
        return Caller(name, _session(world, made), rights | {SIGNED_IN}, username=made.username, **options)

    yield user("without any right", frozenset())
    for right in sorted(SHORT):
        yield user(f"may {right} anything", frozenset({right, SOURCE, DESTINATION, NODE, PROJECT, REVIEWER}))
    for lacking in (SOURCE, DESTINATION):
        yield user(f"everything but {lacking}", _ALL_RIGHTS - {lacking})
    yield user("everything but project", _ALL_RIGHTS - {PROJECT, REVIEWER})
    yield user("somebody else with everything", _ALL_RIGHTS)
    owners = {name: account(db, name) for name in world.things if name != CLOSED}
    for name, owner in owners.items():
        rights = _ALL_RIGHTS if name == "everything" else frozenset()
        headers = _session(world, owner)
        yield Caller(f"owner, {name}", headers, rights | _MINE, owns=name, username=name)
    cookie = {"Cookie": _session(world, owners["everything"])["Cookie"]}
    reading = _ALL_RIGHTS | _MINE
    yield Caller("another site in the owner's session", cookie, reading, refused=403, only_reads=True)


def _programs(
    world: World, root: User, everything: User, nodes: tuple[DicomNode, DicomNode]
) -> Iterator[Caller]:
    """Yield staff, and programs with each scope."""
    staff = _ALL_RIGHTS | {SIGNED_IN, OWNER, STAFF}
    yield Caller("staff", _session(world, root), staff, username="root")
    for scope in TokenScope:
        yield _program(world, root, scope, staff)
        if scope is not TokenScope.ADMIN:
            yield _program(world, everything, scope, _ALL_RIGHTS | _MINE)
    name = "a token of somebody who may no longer use the API"
    user = _user(world, name, _ALL_RIGHTS - {"api"}, *nodes)
    made = _token(world.api.db, user, name, frozenset(TokenScope) - {TokenScope.ADMIN})
    yield Caller(name, {"Authorization": f"Bearer {made.token}"}, refused=403, is_one_of_many=True)


def _program(world: World, user: User, scope: TokenScope, has: frozenset[str]) -> Caller:
    made = create_token(world.api.db, user, name=scope, scopes={scope})
    headers = {"Authorization": f"Bearer {made.token}"}
    return Caller(f"token of {user.username} for {scope}", headers, has, frozenset({scope}))


def _token(db: Database, user: User, name: str, scopes: frozenset[TokenScope]) -> NewToken:
    """Make a token of a user who may not have any; it was made before."""
    group = make_group(db, user, permissions=(Permission.USE_API,))
    made = create_token(db, user, name=name, scopes=scopes)
    remove_group(db, group.id)
    return made


def _session(world: World, user: User) -> dict[str, str]:
    db, limits = world.api.db, SessionLimits.of(world.api.settings)
    token = open_session(db, user, limits, address="")
    principal = find_principal(db, session_id_of(token), limits)
    assert principal is not None
    return {"Cookie": f"{COOKIE}={token}", "X-CSRF-Token": principal.csrf_token}


def _things(
    db: Database,
    owner: User,
    folder: Path,
    nodes: tuple[DicomNode, DicomNode],
    project: PseudonymProject,
) -> dict[str, str]:
    """Add a job in each state, and what else can be named; return the ids by what they are."""
    source, destination = nodes
    states = {
        "waiting": (JobStatus.PENDING, TaskStatus.PENDING),
        "unverified": (JobStatus.UNVERIFIED, TaskStatus.PENDING),
        "running": (JobStatus.IN_PROGRESS, TaskStatus.IN_PROGRESS),
        "canceled": (JobStatus.CANCELED, TaskStatus.CANCELED),
        "failed": (JobStatus.FAILURE, TaskStatus.FAILURE),
        "answered": (JobStatus.SUCCESS, TaskStatus.SUCCESS),
        "held": (JobStatus.WARNING, TaskStatus.WARNING),
    }
    with db.session() as session:
        owned: dict[str, Any] = {"owner_id": owner.id, "source_id": source.id, "run_number": 1}
        to: dict[str, Any] = {"destination_id": destination.id, "kind": JobKind.BATCH_TRANSFER}
        asked: dict[str, Any] = {"kind": JobKind.BATCH_QUERY}
        jobs = {
            name: Job(**owned, **(asked if name == "answered" else to), status=status)
            for name, (status, _) in states.items()
        }
        jobs["held"].project_id = project.id
        jobs["failed"].ended_at = utc_now()
        session.add_all(jobs.values())
        session.flush()
        tasks = {
            name: [
                Task(job_id=jobs[name].id, patient_id=PATIENT, study_instance_uid=f"1.2.{n}", status=status)
                for n in range(2)
            ]
            for name, (_, status) in states.items()
        }
        session.add_all(task for pair in tasks.values() for task in pair)
        session.flush()
        row = QueryRow(
            job_id=jobs["answered"].id, task_id=tasks["answered"][0].id, row=2, cells={"PatientID": PATIENT}
        )
        row.status = RowStatus.FOUND
        session.add(row)
        session.flush()
        session.add(QueryResult(query_row_id=row.id, patient_id=PATIENT, study_instance_uid="1.2.1"))
        held = HeldInstance(task_id=tasks["held"][0].id, series_instance_uid="1.3", sop_instance_uid="1.4")
        studies = (UploadedStudy(patient_id=PATIENT, study_instance_uid="1.2.1"),)
        upload = Upload(
            id=f"{owner.id:032x}", owner_id=owner.id, folder=str(folder / "uploaded"), studies=studies
        )
        session.add_all([held, upload])
        session.commit()
        token = _token(db, owner, "mine", frozenset({TokenScope.READ}))
        return {
            **{name: str(job.id) for name, job in jobs.items()},
            **{f"{name}_task": str(pair[0].id) for name, pair in tasks.items()},
            "held": str(held.id),
            "upload": upload.id,
            "token": str(token.view.id),
        }
