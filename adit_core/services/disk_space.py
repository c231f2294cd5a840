"""How much space is left on the disks that ADIT writes to, as far as this machine sees them."""

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adit_core.db import NodeKind, User
from adit_core.db.engine import Database
from adit_core.services.nodes import list_nodes
from adit_core.services.rights import require_staff
from adit_core.settings import Settings

_LITTLE = 0.1
"""The share of a disk that should stay free."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk, and what of ADIT lies on it."""

    uses: tuple[str, ...]
    total: int
    free: int

    @property
    def used_share(self) -> float:
        """How full it is, from 0 to 1."""
        return 1 - self.free / self.total if self.total else 1.0

    @property
    def is_nearly_full(self) -> bool:
        """Whether somebody should see to it."""
        return self.used_share > 1 - _LITTLE


def disks(db: Database, user: User, settings: Settings) -> list[Disk]:
    """Return the disks of the application's own files and of folders, the fullest first.

    Folders that this machine does not have, because only workers do, are left out.

    Raises:
        NotAllowed: The user is not staff.
    """
    require_staff(user)
    places = [
        ("application", settings.data_dir),
        ("uploads", settings.uploads or settings.data_dir),
        ("receiver", settings.receiver_spool or settings.data_dir),
        *((node.name, Path(node.path)) for node in list_nodes(db) if node.kind is NodeKind.FOLDER),
    ]
    return sorted(disks_of(places), key=lambda disk: disk.used_share, reverse=True)


def disks_of(places: Iterable[tuple[str, Path]]) -> list[Disk]:
    """Return the disks of named places, as far as this machine has them, each disk once."""
    uses = defaultdict[int, list[tuple[str, Path]]](list)
    for use, path in places:
        try:
            uses[path.stat().st_dev].append((use, path))
        except OSError:
            continue
    return [_disk(on_it) for on_it in uses.values()]


def _disk(places: list[tuple[str, Path]]) -> Disk:
    usage = shutil.disk_usage(places[0][1])
    return Disk(tuple(dict.fromkeys(use for use, _ in places)), usage.total, usage.free)
