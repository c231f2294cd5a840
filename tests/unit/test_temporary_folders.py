"""Temporary folders, and what is left of those of processes that were killed."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from adit_core.temporary_folders import remove_leftover_folders, temporary_folder

_USER = """
import time
from adit_core.temporary_folders import temporary_folder

with temporary_folder() as folder:
    (folder / "below").mkdir()
    (folder / "below" / "file").write_text("content")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@contextmanager
def used_by_another_process() -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    with subprocess.Popen([sys.executable, "-c", _USER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Path(process.stdout.readline().strip()), process
        finally:
            process.kill()


def test_it_is_gone_afterwards_with_all_that_is_in_it(place: Path) -> None:
    with temporary_folder() as folder:
        (folder / "file").write_text("content")
        assert list(place.iterdir()) == [folder]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(place: Path) -> None:
    with used_by_another_process() as (left, process):
        process.kill()
        process.wait()
        assert (left / "below" / "file").exists()
        with temporary_folder() as folder:
            assert list(place.iterdir()) == [folder]


def test_what_another_process_uses_stays() -> None:
    with used_by_another_process() as (used, _), temporary_folder():
        remove_leftover_folders()
        assert (used / "below" / "file").exists()


def test_what_this_process_uses_stays() -> None:
    with temporary_folder() as used, temporary_folder() as folder:
        remove_leftover_folders()
        assert used.exists()
        assert folder.exists()


def test_what_only_looks_like_one_stays(place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="somebody-") as elsewhere:
        (place / "adit-temporary-file").touch()
        (place / "adit-temporary-link").symlink_to(elsewhere)
        (place / "adit-of-somebody").mkdir()
        before = set(place.iterdir())
        remove_leftover_folders()
        assert set(place.iterdir()) == before


def test_those_who_begin_at_once_do_not_remove_each_others_folders() -> None:
    def use(_: int) -> bool:
        with temporary_folder() as folder:
            (folder / "file").touch()
            return (folder / "file").exists()

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(400)))
