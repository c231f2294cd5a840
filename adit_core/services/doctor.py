"""The doctor: looks at all that ADIT needs on this machine, and says what to do where something is wrong.

It changes nothing, and what it says names no patient.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

import httpx

from adit_core.db import DicomNode, SpaceState
from adit_core.db.clock import shared_now
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import AditError, NodeClosed
from adit_core.services.disk_space import Disk, disks_of, folder_places, own_places
from adit_core.services.disk_watch import FRESH, readings
from adit_core.services.external_sign_in import ExternalRules
from adit_core.services.groups import list_groups
from adit_core.services.node_check import check_node
from adit_core.services.nodes import list_nodes
from adit_core.services.oidc_provider import configured_provider
from adit_core.services.routes import receiver_address
from adit_core.services.secret_rotation import count_secrets
from adit_core.services.users import list_users
from adit_core.settings import Settings

_CLOCK_TOLERANCE = timedelta(seconds=5)
_BACKUP_AGE = timedelta(days=2)
_TIMEOUT = 5.0


class Verdict(StrEnum):
    """How something is."""

    GOOD = "good"
    WARNING = "warning"
    """ADIT works, but something should be done."""
    BAD = "bad"
    """Something does not work until it is mended."""


_OF_SPACE = {
    SpaceState.ENOUGH: Verdict.GOOD,
    SpaceState.LOW: Verdict.WARNING,
    SpaceState.FULL: Verdict.BAD,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing, and what to do about it if it is not good."""

    subject: str
    verdict: Verdict
    message: str
    remedy: str = ""


class Scheduler(Protocol):
    """What the doctor asks the scheduler; each may raise SchedulerUnavailable."""

    def missing_deployments(self) -> list[str]:
        """Return which flows it cannot run, because nobody has registered them."""
        ...

    def workers_online(self) -> int:
        """Return how many workers have been heard of lately."""
        ...


def examine(db: Database, settings: Settings, scheduler: Scheduler, *, with_nodes: bool) -> Iterator[Finding]:
    """Yield what is found out, one thing after the other.

    Nodes are asked one by one, only if `with_nodes`: it takes as long as the slowest of them needs.
    What needs the database is left out if that does not answer.
    """
    database = _database(db)
    yield database
    nodes = list[DicomNode]()
    if database.verdict is not Verdict.BAD:
        nodes = list_nodes(db)
        yield from _guarded("secrets", lambda: [_secrets(db)])
        yield from _guarded("clock", lambda: [_clock(db)])
        yield from _guarded("users", lambda: [_users(db)])
    yield from _guarded("Prefect", lambda: _prefect(scheduler), "Start it: make up, or docker compose up -d.")
    yield _web(settings)
    yield _receiver(settings)
    yield from _guarded("sign-in", lambda: _provider(settings), "See docs/oidc.md; passwords work meanwhile.")
    if database.verdict is not Verdict.BAD:
        yield from _guarded("groups of the provider", lambda: _mapped_groups(db, settings))
    yield _backups(settings)
    folders = folder_places(db) if nodes else []
    yield from map(_disk, disks_of([*own_places(settings), *folders]))
    yield from _guarded("disks elsewhere", lambda: list(_disks_elsewhere(db)) if nodes else [])
    if with_nodes:
        for node in nodes:
            yield from _guarded(f"node {node.name}", lambda name=node.name: [_node(db, name)])


def _guarded(subject: str, look: Callable[[], Sequence[Finding]], remedy: str = "") -> Sequence[Finding]:
    try:
        return look()
    except AditError as error:
        return [Finding(subject, Verdict.BAD, str(error), remedy)]


def _database(db: Database) -> Finding:
    name = db.engine.url.render_as_string(hide_password=True)
    try:
        is_current = db.is_current()
    except AditError as error:
        return Finding(
            "database", Verdict.BAD, f"{error} ({name})", "Start it, or correct ADIT_DATABASE_URL."
        )
    if not is_current:
        message = f"{name} has no tables yet, or not those of this version."
        return Finding("database", Verdict.BAD, message, "Run `adit db upgrade`.")
    return Finding("database", Verdict.GOOD, f"{name} answers and has the tables of this version.")


def _secrets(db: Database) -> Finding:
    counts = count_secrets(db)
    if counts.unreadable:
        message = f"{counts.unreadable} secrets were sealed with a key that is not at hand."
        return Finding(
            "secrets", Verdict.BAD, message, "Add the key to ADIT_SECRET_KEYS: `adit secrets check`."
        )
    return Finding("secrets", Verdict.GOOD, f"{counts.readable} secrets can be read.")


def _clock(db: Database) -> Finding:
    with db.reading() as session:
        ahead = utc_now() - shared_now(session)
    seconds = f"{ahead.total_seconds():+.1f} s from that of the database"
    if abs(ahead) > _CLOCK_TOLERANCE:
        message = f"The clock of this machine is {seconds}."
        return Finding("clock", Verdict.WARNING, message, "Let both machines keep time by NTP.")
    return Finding("clock", Verdict.GOOD, f"The clock of this machine is {seconds}.")


def _users(db: Database) -> Finding:
    staff = sum(user.is_staff and user.is_active for user in list_users(db))
    if not staff:
        message = "Nobody can administer ADIT: there is no active staff user."
        return Finding("users", Verdict.WARNING, message, "Run `adit users add NAME --staff`.")
    return Finding("users", Verdict.GOOD, f"{staff} active staff users.")


def _prefect(scheduler: Scheduler) -> Sequence[Finding]:
    missing = scheduler.missing_deployments()
    workers = scheduler.workers_online()
    deployed = (
        Finding(
            "Prefect",
            Verdict.BAD,
            f"It answers, but does not know {', '.join(missing)}.",
            "Start a worker, which registers them: `python -m deployments.worker`.",
        )
        if missing
        else Finding("Prefect", Verdict.GOOD, "It answers and knows all flows.")
    )
    working = (
        Finding("workers", Verdict.GOOD, f"{workers} are running.")
        if workers
        else Finding(
            "workers",
            Verdict.BAD,
            "None has been heard of lately, so jobs wait.",
            "Start one: `python -m deployments.worker`.",
        )
    )
    return [deployed, working]


def _web(settings: Settings) -> Finding:
    return _answers(
        "dashboard", f"{settings.web_url}/api/health/ready", "Start it: `python -m deployments.web`."
    )


def _receiver(settings: Settings) -> Finding:
    address = receiver_address(settings)
    if address is None:
        return Finding(
            "receiver",
            Verdict.GOOD,
            "None is configured (ADIT_RECEIVER_TOKEN); C-MOVE through it is not used.",
        )
    return _answers(
        "receiver",
        f"{address.url}/health",
        "Start it: `python -m deployments.receiver`; C-MOVE needs it.",
        address.ca_file,
    )


def _provider(settings: Settings) -> Sequence[Finding]:
    provider = configured_provider(settings)
    if provider is None:
        return []
    provider.examine()
    return [Finding("sign-in", Verdict.GOOD, f"The provider {provider.issuer} answers and has keys.")]


def _mapped_groups(db: Database, settings: Settings) -> Sequence[Finding]:
    missing = ExternalRules.of(settings).managed - {group.name for group in list_groups(db)}
    if not missing:
        return []
    message = f"ADIT_OIDC_GROUPS names groups that do not exist: {', '.join(sorted(missing))}."
    return [
        Finding(
            "groups of the provider", Verdict.WARNING, message, "Add them on the page Groups, or correct it."
        )
    ]


def _answers(subject: str, url: str, remedy: str, ca_file: str = "") -> Finding:
    try:
        answer = httpx.get(url, timeout=_TIMEOUT, verify=ca_file or True)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Finding(subject, Verdict.BAD, f"{url} does not answer ({type(error).__name__}).", remedy)
    if answer.status_code != httpx.codes.OK:
        return Finding(subject, Verdict.BAD, f"{url} answers with status {answer.status_code}.", remedy)
    return Finding(subject, Verdict.GOOD, f"{url} answers.")


def _backups(settings: Settings) -> Finding:
    folder = settings.resolved_backups()
    times = [path.stat().st_mtime for path in folder.glob("adit-*") if path.is_file()]
    remedy = "Run `adit db backup` daily."
    if not times:
        return Finding("backups", Verdict.WARNING, f"There is none in {folder}.", remedy)
    age = utc_now() - datetime.fromtimestamp(max(times), UTC)
    if age > _BACKUP_AGE:
        return Finding("backups", Verdict.WARNING, f"The newest in {folder} is {age.days} days old.", remedy)
    return Finding("backups", Verdict.GOOD, f"The newest of {len(times)} is from the last two days.")


def _disk(disk: Disk) -> Finding:
    free = f"{disk.free / (1 << 30):,.1f} GiB of {disk.total / (1 << 30):,.1f} GiB are free."
    return Finding(
        f"disk of {disk.uses[0]}",
        _OF_SPACE[disk.state],
        " ".join([free, *disk.messages]),
        "" if disk.state is SpaceState.ENOUGH else "Make room, or move the folder to a larger disk.",
    )


def _disks_elsewhere(db: Database) -> Iterator[Finding]:
    """Yield what others found out lately about folders that this machine does not have."""
    paths = {place.key: place.path for place in folder_places(db)}
    for reading in readings(db):
        path = paths.get(reading.place)
        if path is not None and not path.is_dir() and reading.measured_at > utc_now() - FRESH:
            verdict = _OF_SPACE[reading.state]
            if verdict is not Verdict.GOOD:
                yield Finding(f"disk of {path}", verdict, reading.message, "Make room there.")


def _node(db: Database, name: str) -> Finding:
    try:
        check = check_node(db, name)
    except NodeClosed as error:
        return Finding(f"node {name}", Verdict.WARNING, str(error), "Look again when ADIT is less busy.")
    if not check.differences:
        return Finding(f"node {name}", Verdict.GOOD, "It answers and supports what it is configured for.")
    return Finding(
        f"node {name}",
        Verdict.WARNING if check.is_good else Verdict.BAD,
        " ".join(difference.message for difference in check.differences),
        f"See `adit nodes check {name}`.",
    )
