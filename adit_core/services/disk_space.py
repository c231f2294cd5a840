"""Whether there is room for more on the disks that ADIT writes to: the one place where that is decided.

============================================== ======
of a place                                     state
============================================== ======
less than the minimum is free                  full
its folder holds as much as its quota          full
less than twice the minimum is free            low
its folder holds nine tenths of its quota      low
otherwise                                      enough
============================================== ======

What is low is told to staff. To what is full nothing new is begun, long before the disk is really full:
what is under way needs the rest.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adit_core.db import DicomNode, NodeKind, NodePolicy, SpaceState, User
from adit_core.db.engine import Database
from adit_core.errors import DestinationFull
from adit_core.services.nodes import list_nodes
from adit_core.services.rights import require_staff
from adit_core.settings import Settings

USUAL_MINIMUM = 2 << 30
"""Bytes that stay free where nothing else was said; of small disks, `_USUAL_SHARE`."""
_USUAL_SHARE = 0.05
_LOW_QUOTA = 0.9
_WORST_LAST = (SpaceState.ENOUGH, SpaceState.LOW, SpaceState.FULL)


@dataclass(frozen=True, slots=True)
class SpaceLimits:
    """What is asked of a place, in bytes."""

    min_free: int | None = None
    """What stays free on its disk; None for what is usual."""
    quota: int | None = None
    """How much its folder may hold; None for any amount."""

    def minimum(self, total: int) -> int:
        """Return what has to stay free on a disk of `total` bytes."""
        return min(USUAL_MINIMUM, int(total * _USUAL_SHARE)) if self.min_free is None else self.min_free


USUAL_LIMITS = SpaceLimits()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that ADIT writes to."""

    key: str
    """What it is known by in the database: ``uploads``, or ``node 3``."""
    name: str
    """What people call it."""
    path: Path
    limits: SpaceLimits = USUAL_LIMITS
    node_id: int | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """How much room there is at a place."""

    name: str
    total: int
    free: int
    limits: SpaceLimits
    used: int | None = None
    """What its folder holds, as far as that was counted."""

    @property
    def state(self) -> SpaceState:
        """Whether there is room for more."""
        minimum, quota = self.limits.minimum(self.total), self.limits.quota
        if self.free < minimum or _reaches(self.used, quota):
            return SpaceState.FULL
        is_low = self.free < 2 * minimum or _reaches(self.used, quota and int(quota * _LOW_QUOTA))
        return SpaceState.LOW if is_low else SpaceState.ENOUGH

    @property
    def message(self) -> str:
        """What is free, and what to do; empty if there is enough."""
        match self.state:
            case SpaceState.ENOUGH:
                return ""
            case SpaceState.LOW:
                return f"Space is running low at {self.name}: {self._facts}. Make room soon."
            case SpaceState.FULL:
                return (
                    f"There is no space for more at {self.name}: {self._facts}. Delete what is not needed "
                    "any more, or let an administrator give it a larger disk or other limits."
                )

    @property
    def _facts(self) -> str:
        quota, minimum = self.limits.quota, self.limits.minimum(self.total)
        if _reaches(self.used, quota and int(quota * _LOW_QUOTA)) and self.free >= minimum:
            return f"it holds {_size(self.used or 0)} of the {_size(quota or 0)} that it may hold"
        return f"{_size(self.free)} of its disk are free, and {_size(minimum)} have to stay so"


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk, and what of ADIT lies on it."""

    uses: tuple[str, ...]
    total: int
    free: int
    state: SpaceState = SpaceState.ENOUGH
    """The worst of all that lies on it."""
    messages: tuple[str, ...] = ()

    @property
    def used_share(self) -> float:
        """How full it is, from 0 to 1."""
        return 1 - self.free / self.total if self.total else 1.0


def own_places(settings: Settings) -> list[Place]:
    """Return the folders of the application itself."""
    return [
        Place("application", "the application's data", settings.data_dir),
        uploads_place(settings.resolved_uploads(), settings.uploads_min_free_bytes),
        Place(
            "spool",
            "the receiver's spool",
            settings.resolved_receiver_spool(),
            SpaceLimits(settings.receiver_min_free_bytes),
        ),
        backups_place(settings.resolved_backups(), settings.backups_min_free_bytes),
    ]


def uploads_place(path: Path, min_free: int | None) -> Place:
    """Return the place of what users upload."""
    return Place("uploads", "uploads", path, SpaceLimits(min_free))


def backups_place(path: Path, min_free: int | None) -> Place:
    """Return the place of backups."""
    return Place("backups", "backups", path, SpaceLimits(min_free))


def folder_places(db: Database) -> list[Place]:
    """Return the folders that are nodes."""
    folders = [node for node in list_nodes(db) if node.kind is NodeKind.FOLDER]
    with db.reading() as session:
        return [folder_place(node, session.get(NodePolicy, node.id)) for node in folders]


def folder_place(node: DicomNode, policy: NodePolicy | None) -> Place:
    """Return a folder that is a node, with what its policy says."""
    limits = SpaceLimits(policy.min_free_bytes, policy.quota_bytes) if policy else USUAL_LIMITS
    return Place(f"node {node.id}", node.name, Path(node.path), limits, node.id)


def space_at(place: Place, *, used: int | None = None) -> Space | None:
    """Measure a place, or what of it exists; None if this machine cannot see it.

    It costs no more than a question to the file system. `used` is what its folder holds.
    """
    existing = next((path for path in (place.path, *place.path.parents) if path.is_dir()), None)
    if existing is None:
        return None
    try:
        usage = shutil.disk_usage(existing)
    except OSError:
        return None
    return Space(place.name, usage.total, usage.free, place.limits, used)


def require_space(place: Place) -> None:
    """Do nothing if there is room for more.

    Raises:
        DestinationFull: There is not; the message says what is free and what to do.
    """
    space = space_at(place)
    if space is not None and space.state is SpaceState.FULL:
        raise DestinationFull(space.message)


def bytes_below(path: Path) -> int:
    """Count what the files below a folder hold; what vanishes or cannot be read meanwhile is left out."""
    return sum(_sizes(path))


def disks(db: Database, user: User, settings: Settings) -> list[Disk]:
    """Return the disks of the application's own files and of folders, the fullest first.

    Folders that this machine does not have, because only workers do, are left out.

    Raises:
        NotAllowed: The user is not staff.
    """
    require_staff(user)
    places = [*own_places(settings), *folder_places(db)]
    return sorted(disks_of(places), key=lambda disk: disk.used_share, reverse=True)


def disks_of(places: Iterable[Place]) -> list[Disk]:
    """Return the disks of places, as far as this machine has them, each disk once."""
    on_disks = defaultdict[int, list[Space]](list)
    for place in places:
        try:
            device = place.path.stat().st_dev
        except OSError:
            continue
        if (space := space_at(place)) is not None:
            on_disks[device].append(space)
    return [_disk(spaces) for spaces in on_disks.values()]


def is_worse(state: SpaceState, than: SpaceState) -> bool:
    """Tell whether `state` is worse than another."""
    return _WORST_LAST.index(state) > _WORST_LAST.index(than)


def _disk(spaces: list[Space]) -> Disk:
    return Disk(
        uses=tuple(dict.fromkeys(space.name for space in spaces)),
        total=spaces[0].total,
        free=spaces[0].free,
        state=max((space.state for space in spaces), key=_WORST_LAST.index),
        messages=tuple(space.message for space in spaces if space.message),
    )


def _sizes(path: Path) -> Iterator[int]:
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _sizes(Path(entry.path))
            else:
                yield entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue


def _reaches(used: int | None, limit: int | None) -> bool:
    return used is not None and limit is not None and used >= limit


def _size(amount: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount} bytes"
