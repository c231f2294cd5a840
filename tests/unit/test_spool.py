"""The spool: what is safe in it, what stays after a crash, and what is deleted when."""

import os
import time
from pathlib import Path

import pytest

from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.spool import Spool, SpooledInstance, SpoolLimits
from adit_core.errors import ActionNotPossible, DestinationFull, InvalidInput, OperationFailed
from tests.fakes.ports import CT, EXPLICIT
from tests.fakes.sender import LIMITS, data_set


def receive(spool: Spool, uid: str = "1.2.3.1", study: str = "1.2.3") -> SpooledInstance:
    with spool.receive(InstanceHeader(CT, uid, EXPLICIT)) as writing:
        writing.write(data_set(uid, study))
        return writing.keep()


def make_older(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_instance_is_kept_byte_for_byte_under_its_study(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as spool:
        kept = receive(spool)
    assert kept.path.read_bytes()[kept.data_set_offset :] == data_set("1.2.3.1")
    assert kept.path.parent == tmp_path / "studies" / "1.2.3"
    assert kept.study_instance_uid == "1.2.3"


def test_a_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, Path.rename

    def syncing(descriptor: int) -> None:
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):  # noqa: PTH113 - a link to a path that was renamed
            steps.append("sync")
        sync(descriptor)

    def renaming(self: Path, target: Path) -> Path:
        renamed = rename(self, target)
        steps.append("rename")
        return renamed

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "rename", renaming)
    with Spool(tmp_path, LIMITS) as spool:
        receive(spool)
    assert steps == ["sync", "rename"]


def test_what_is_not_kept_leaves_nothing_behind(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as spool:
        with spool.receive(InstanceHeader(CT, "1.2.3.1", EXPLICIT)) as writing:
            writing.write(data_set("1.2.3.1"))
        with pytest.raises(KeyError), spool.receive(InstanceHeader(CT, "1.2.3.1", EXPLICIT)):
            raise KeyError
    assert files(tmp_path) == []


def test_an_instance_without_a_study_is_refused(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as spool, pytest.raises(InvalidInput, match="Study Instance UID"):
        receive(spool, study="")
    assert files(tmp_path) == []


@pytest.mark.parametrize("study", ["../../1", "1/2", "x" * 70])
def test_a_study_uid_that_is_none_cannot_lead_elsewhere(tmp_path: Path, study: str) -> None:
    with Spool(tmp_path / "spool", LIMITS) as spool, pytest.raises(InvalidInput):
        receive(spool, study=study)
    assert files(tmp_path) == []


def test_another_process_finds_what_waits(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as spool:
        kept = [receive(spool, "1.2.3.1"), receive(spool, "1.2.4.1", "1.2.4")]
    with Spool(tmp_path, LIMITS) as spool:
        found = list(spool.scan())
    assert [(each.path, each.header, each.size) for each in found] == [
        (each.path, each.header, each.size) for each in kept
    ]


def test_what_a_crash_left_half_written_is_removed_at_the_next_start(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS):
        (tmp_path / "incoming" / "half.part").write_bytes(b"half")
    with Spool(tmp_path, LIMITS) as spool:
        assert files(tmp_path) == []
        assert list(spool.scan()) == []


def test_two_receivers_cannot_share_a_spool(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS), pytest.raises(ActionNotPossible, match="Another receiver"), Spool(tmp_path):
        pass


def test_nothing_is_taken_when_the_disk_is_low(tmp_path: Path) -> None:
    with Spool(tmp_path, SpoolLimits(min_free_bytes=1 << 60)) as spool, pytest.raises(DestinationFull):
        receive(spool)
    assert files(tmp_path) == []


def test_a_spool_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as spool:
        (tmp_path / "incoming").rmdir()
        with pytest.raises(OperationFailed, match="cannot be written to"):
            receive(spool)


def test_a_removed_instance_takes_the_folder_of_its_study_along(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMITS) as spool:
        first, second = receive(spool, "1.2.3.1"), receive(spool, "1.2.3.2")
        spool.remove(first)
        assert files(tmp_path / "studies") == [second.path]
        spool.remove(second)
        spool.remove(second)
    assert list((tmp_path / "studies").iterdir()) == []


def test_the_oldest_in_quarantine_are_deleted_by_number(tmp_path: Path) -> None:
    with Spool(tmp_path, SpoolLimits(0, quarantine_files=2)) as spool:
        for number in range(4):
            spool.set_aside(receive(spool, f"1.2.3.{number}"))
            path = next(path for path in spool.quarantined() if path.name.startswith(f"1.2.3.{number}~"))
            make_older(path, 100 - number)
        assert spool.prune_quarantine() == 2
        assert [path.name.partition("~")[0] for path in spool.quarantined()] == ["1.2.3.2", "1.2.3.3"]


def test_what_is_too_old_in_quarantine_is_deleted(tmp_path: Path) -> None:
    with Spool(tmp_path, SpoolLimits(0, quarantine_age=50)) as spool:
        spool.set_aside(receive(spool))
        assert spool.prune_quarantine() == 0
        (path,) = spool.quarantined()
        make_older(path, 60)
        assert spool.prune_quarantine() == 1
    assert files(tmp_path) == []
