"""A working folder below a destination, which does not outlive the process for long.

It lies where the result belongs, so that it can be renamed to its place, and nowhere else, so that no
patient data stays behind in a folder that nobody looks into. A locked file stands beside it: when that
is gone, or not locked any more, the next one who works there removes the folder.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adit_core.dicom.durable import (
    TEMPORARY_SUFFIX,
    create_temporary,
    discard_temporary,
    make_folders,
    remove_leftovers,
    sync_folder,
)

WORKING_SUFFIX = ".work"


@contextmanager
def working_folder(root: Path) -> Iterator[Path]:
    """Yield a folder below `root` that is removed at the end, after removing those of the dead."""
    _remove_dead(root)
    lock = create_temporary(root)
    folder = Path(lock.name).with_suffix(WORKING_SUFFIX)
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        discard_temporary(lock)


def publish_folder(folder: Path, target: Path, *, root: Path) -> None:
    """Give a folder that was made in a working folder its place, instead of what was there.

    What a process that is killed in here leaves is the old folder, the new one, or none, but never a
    mixture.
    """
    for changed in make_folders(target.parent, root):
        sync_folder(changed)
    if target.exists():
        target.rename(folder.with_name(f"{folder.name}.old"))
    folder.rename(target)
    sync_folder(target.parent)


def _remove_dead(root: Path) -> None:
    remove_leftovers(root)
    for folder in root.glob(f".*{WORKING_SUFFIX}"):
        if not folder.with_suffix(TEMPORARY_SUFFIX).exists():
            shutil.rmtree(folder, ignore_errors=True)
