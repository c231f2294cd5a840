"""Files that are written over instead of deleted: never while they are read, never before that is safe."""

import os
from pathlib import Path

import pytest

from adit_core.dicom import spare_files
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.spare_files import SpareFiles, open_for_reading
from adit_core.dicom.spool import Spool, SpooledInstance
from tests.fakes.ports import CT, EXPLICIT
from tests.fakes.sender import LIMITS, data_set


@pytest.fixture
def spare(tmp_path: Path) -> SpareFiles:
    files = SpareFiles(tmp_path / "spare")
    files.clear()
    return files


def make_file(folder: Path, name: str, content: bytes = b"old") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def sync_another(spare: SpareFiles, folder: Path) -> None:
    with (folder / "another").open("wb") as file:
        spare.sync(file.fileno())


def test_a_file_is_written_over_once_its_new_name_is_on_the_disk(spare: SpareFiles, tmp_path: Path) -> None:
    old = make_file(tmp_path, "old")
    inode = old.stat().st_ino
    spare.add(old)

    spare.take(tmp_path / "too soon")
    sync_another(spare, tmp_path)
    spare.take(tmp_path / "new")

    assert not old.exists()
    assert (tmp_path / "too soon").stat().st_ino != inode
    assert (tmp_path / "new").stat().st_ino == inode


def test_a_file_that_somebody_reads_is_not_written_over(spare: SpareFiles, tmp_path: Path) -> None:
    old = make_file(tmp_path, "old")
    with open_for_reading(old) as reader:
        spare.add(old)
        sync_another(spare, tmp_path)
        spare.take(tmp_path / "new")

        assert (tmp_path / "new").stat().st_ino != os.fstat(reader.fileno()).st_ino
        assert reader.read() == b"old"


def receive(spool: Spool, uid: str, content: bytes) -> SpooledInstance:
    with spool.receive(InstanceHeader(CT, uid, EXPLICIT)) as writing:
        writing.write(content)
        return writing.keep()


def test_an_instance_that_is_shorter_than_what_it_is_written_over_ends_where_it_ends(tmp_path: Path) -> None:
    content = data_set("1.2.3.2")
    with Spool(tmp_path, LIMITS) as spool:
        longer = receive(spool, "1.2.3.1", data_set("1.2.3.1") + bytes(5000))
        inode = longer.path.stat().st_ino
        spool.remove(longer)
        receive(spool, "1.2.3.3", data_set("1.2.3.3"))  # whose sync makes the first one spare

        kept = receive(spool, "1.2.3.2", content)

        assert kept.path.stat().st_ino == inode
        assert kept.path.read_bytes()[kept.data_set_offset :] == content


@pytest.mark.parametrize(("limit", "value"), [("_MOST_FILES", 2), ("_MOST_BYTES", 6)])
def test_only_so_many_files_are_kept(
    spare: SpareFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(spare_files, limit, value)
    for name in ("1", "2", "3"):
        spare.add(make_file(tmp_path, name))

    assert sorted(path.name for path in (tmp_path / "spare").iterdir()) == ["1", "2"]
    assert not (tmp_path / "3").exists()


def test_what_nobody_needs_is_deleted_after_a_while(
    spare: SpareFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare.add(make_file(tmp_path, "1"))
    spare.drop_old()
    assert list((tmp_path / "spare").iterdir()) != []

    monkeypatch.setattr(spare_files, "_LONGEST", 0.0)
    spare.drop_old()

    assert list((tmp_path / "spare").iterdir()) == []
    sync_another(spare, tmp_path)
    spare.take(tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b""


def test_a_file_that_is_missing_is_no_matter(spare: SpareFiles, tmp_path: Path) -> None:
    spare.add(tmp_path / "gone")

    assert list((tmp_path / "spare").iterdir()) == []
