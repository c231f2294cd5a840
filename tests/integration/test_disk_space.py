"""Nothing new is begun where a disk is nearly full, staff are told once, and jobs wait instead of failing."""

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from sqlmodel import col, select, update

from adit_core.db import (
    Channel,
    DicomNode,
    DiskReading,
    Notification,
    SpaceState,
    Task,
    TaskStatus,
    User,
)
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.db.notifications import DiskNews
from adit_core.errors import DestinationFull, InvalidInput, NodeClosed
from adit_core.services.backup import back_up
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.disk_space import Space, SpaceLimits
from adit_core.services.disk_watch import readings, watch_disks
from adit_core.services.jobs import show_job
from adit_core.services.launching import launch_job
from adit_core.services.mail import message
from adit_core.services.node_gate import full_nodes
from adit_core.services.node_overview import Condition, node_reports
from adit_core.services.node_policies import change_policy
from adit_core.services.notify import News, tell_all_due
from adit_core.services.reconcile import reconcile
from adit_core.services.run_job import JobRun
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import UploadLimits, receive_upload
from adit_core.settings import Settings
from tests.disks import small_disk
from tests.fakes.launcher import FakeLauncher
from tests.rows import make_folder, make_job, make_server, make_user

GIB = 1 << 30
MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    with small_disk(tmp_path / "disk", "4m") as path:
        yield path


@pytest.fixture
def export(database: Database, disk: Path) -> DicomNode:
    """A folder on it."""
    make_server(database)
    (disk / "export").mkdir()
    return make_folder(database, "Export", path=str(disk / "export"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def fill(disk: Path) -> Path:
    """Leave 100 KiB of the disk."""
    filler = disk / "filler"
    filler.write_bytes(bytes(4 * MIB - 100 * 1024))
    return filler


def submit(db: Database, owner: User) -> int:
    batch = BatchFile((BatchStudy("P1", "1.2.3"),))
    request = TransferRequest(owner_id=owner.id, source="PACS", destination="Export")
    return submit_batch_transfer(db, FakeLauncher(), request, batch)


def news(db: Database) -> list[tuple[Channel, SpaceState, int | None]]:
    with db.reading() as session:
        rows = session.exec(select(Notification).order_by(col(Notification.id))).all()
    return [(row.channel, row.disk.state, row.recipient_id) for row in rows if row.disk]


@pytest.mark.parametrize(
    ("limits", "free", "used", "state"),
    [
        (SpaceLimits(), 5 * GIB, None, SpaceState.ENOUGH),
        (SpaceLimits(), 4 * GIB - 1, None, SpaceState.LOW),
        (SpaceLimits(), 2 * GIB - 1, None, SpaceState.FULL),
        (SpaceLimits(min_free=10 * GIB), 9 * GIB, None, SpaceState.FULL),
        (SpaceLimits(min_free=0), 0, None, SpaceState.ENOUGH),
        (SpaceLimits(quota=100), 50 * GIB, 89, SpaceState.ENOUGH),
        (SpaceLimits(quota=100), 50 * GIB, 90, SpaceState.LOW),
        (SpaceLimits(quota=100), 50 * GIB, 100, SpaceState.FULL),
        (SpaceLimits(quota=100), 50 * GIB, None, SpaceState.ENOUGH),
    ],
)
def test_what_is_free_and_the_limits_say_how_full_a_place_is(
    limits: SpaceLimits, free: int, used: int | None, state: SpaceState
) -> None:
    space = Space("Export", 100 * GIB, free, limits, used)
    assert space.state is state
    assert bool(space.message) is (state is not SpaceState.ENOUGH)


def test_of_a_small_disk_a_share_is_to_stay_free() -> None:
    assert Space("USB stick", 10 * GIB, GIB + 1, SpaceLimits()).state is SpaceState.ENOUGH
    assert Space("USB stick", 10 * GIB, GIB // 2 - 1, SpaceLimits()).state is SpaceState.FULL


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_job_to_a_full_folder_is_refused_with_what_is_free_and_taken_once_there_is_room(
    database: Database, export: DicomNode, disk: Path
) -> None:
    staff = make_user(database, "root", staff=True)
    filler = fill(disk)

    with pytest.raises(InvalidInput) as refusal:
        submit(database, staff)

    (problem,) = refusal.value.problems
    assert problem.field == "destination"
    assert "no space for more at Export: 102.4 kB of its disk are free, and 209.7 kB" in problem.message
    filler.unlink()
    assert submit(database, staff)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_folder_that_holds_its_quota_takes_no_job(
    database: Database, export: DicomNode, settings: Settings
) -> None:
    staff = make_user(database, "root", staff=True)
    change_policy(database, "Export", quota_bytes=MIB)
    (Path(export.path) / "a" / "b").mkdir(parents=True)
    (Path(export.path) / "a" / "b" / "1.dcm").write_bytes(bytes(MIB))
    watch_disks(database, settings)

    with pytest.raises(InvalidInput, match=r"it holds 1\.0 MB of the 1\.0 MB that it may hold"):
        submit(database, staff)
    change_policy(database, "Export", quota_bytes=0)
    assert submit(database, staff)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_quotas_are_of_folders_only(database: Database) -> None:
    make_server(database)
    with pytest.raises(InvalidInput) as refusal:
        change_policy(database, "PACS", quota_bytes=MIB)
    assert [problem.field for problem in refusal.value.problems] == ["quota_bytes"]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_uploads_and_backups_are_refused_before_anything_is_written(database: Database, disk: Path) -> None:
    staff = make_user(database, "root", staff=True)
    fill(disk)
    before = set(disk.rglob("*"))

    with pytest.raises(DestinationFull, match="no space for more at uploads"):
        receive_upload(
            database,
            staff,
            [("a.dcm", BytesIO(b"x"))],
            root=disk / "uploads",
            limits=UploadLimits(GIB, 10),
        )
    with pytest.raises(DestinationFull, match="no space for more at backups"):
        back_up(database, disk / "backups", keep=3)

    assert {path for path in disk.rglob("*") if path.is_file()} <= before


def test_staff_are_told_once_and_again_when_it_is_worse(
    database: Database, export: DicomNode, disk: Path, settings: Settings
) -> None:
    root = make_user(database, "root", staff=True)
    make_user(database, "ada")
    with database.session() as session:
        session.exec(update(User).values(email="root@hospital.example"))
        session.commit()
    low = disk / "low"
    low.write_bytes(bytes(4 * MIB - 300 * 1024))
    for _ in range(2):
        watch_disks(database, settings)
    told = [(Channel.WEBHOOK, SpaceState.LOW, None), (Channel.EMAIL, SpaceState.LOW, root.id)]
    assert news(database) == told

    (disk / "filler").write_bytes(bytes(200 * 1024))
    watch_disks(database, settings)
    told += [(Channel.WEBHOOK, SpaceState.FULL, None), (Channel.EMAIL, SpaceState.FULL, root.id)]
    assert news(database) == told

    low.unlink()
    watch_disks(database, settings)
    fill(disk)
    watch_disks(database, settings)
    assert news(database) == told, "what goes up and down is told once a day"


@pytest.mark.parametrize("backend", ["sqlite"])
def test_news_of_disks_leave_by_every_channel_and_are_over_then(database: Database) -> None:
    root = make_user(database, "root", staff=True)
    disk = DiskNews(
        place="Export\nBcc: eve@evil.example", state=SpaceState.FULL, message="Full.", at=utc_now()
    )
    with database.session() as session:
        session.add(Notification(channel=Channel.WEBHOOK, disk=disk))
        session.add(Notification(channel=Channel.EMAIL, disk=disk, recipient_id=root.id))
        session.commit()
    heard = list[News]()

    class Ear:
        def tell(self, news: News) -> None:
            heard.append(news)

    tell_all_due(database, dict.fromkeys(Channel, Ear()), web_url="https://adit.example/")

    assert [(each.event, each.owner, each.link) for each in heard] == [
        (disk, "", "https://adit.example/"),
        (disk, "root", "https://adit.example/"),
    ]
    mail = message(heard[1], "adit@hospital.example")
    assert mail["Subject"] == "ADIT: disk space is full (Export Bcc: eve@evil.example)"
    assert mail["Bcc"] is None
    assert news(database) == []


def test_a_job_waits_for_space_and_is_launched_once_there_is_some(
    database: Database, disk: Path, settings: Settings
) -> None:
    ada = make_user(database)
    job = make_job(database, owner=ada)
    with database.session() as session:
        destination = session.get_one(DicomNode, job.destination_id)
        destination.path = str(disk)
        session.commit()
    filler = fill(disk)
    watch_disks(database, settings)
    launcher = FakeLauncher()

    assert not launch_job(database, launcher, job.id)
    assert show_job(database, ada, job.id).message.startswith(
        f"There is no space for more at {destination.name}"
    )
    assert list(full_nodes(database)) == [destination.name]

    filler.unlink()
    watch_disks(database, settings)
    reconcile(database, launcher, lease=60)
    assert list(launcher.runs) == [f"job-{job.id}-run-1"]
    assert show_job(database, ada, job.id).message == ""


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_full_folder_can_still_be_a_source_and_an_old_reading_says_nothing(
    database: Database, disk: Path, settings: Settings
) -> None:
    job = make_job(database)
    with database.session() as session:
        session.get_one(DicomNode, job.source_id).kind = session.get_one(DicomNode, job.destination_id).kind
        session.get_one(DicomNode, job.source_id).path = str(disk)
        session.commit()
    fill(disk)
    watch_disks(database, settings)
    assert len(full_nodes(database)) == 1
    assert launch_job(database, FakeLauncher(), job.id)

    with database.session() as session:
        session.exec(update(DiskReading).values(measured_at=utc_now() - timedelta(minutes=3)))
        session.commit()
    assert full_nodes(database) == {}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_worker_that_finds_the_folder_full_hands_the_study_back_without_an_attempt(
    database: Database, disk: Path, settings: Settings
) -> None:
    ada = make_user(database)
    job = make_job(database, owner=ada)
    with database.session() as session:
        destination = session.get_one(DicomNode, job.destination_id)
        destination.path = str(disk)
        session.commit()
    fill(disk)

    with JobRun(database, job.id, settings) as run:
        (task_id,) = run.new_tasks()
        with pytest.raises(NodeClosed, match="no space for more"):
            run.perform(task_id)
        assert run.new_tasks() == []

    with database.reading() as session:
        task = session.get_one(Task, task_id)
    assert (task.status, task.attempts) == (TaskStatus.PENDING, 0)
    assert "no space for more" in show_job(database, ada, job.id).message
    (report,) = [each for each in node_reports(database, _staff(database)) if each.name == destination.name]
    assert report.condition is Condition.FULL


@pytest.mark.parametrize("backend", ["sqlite"])
def test_places_that_this_machine_does_not_see_are_left_to_others(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    make_folder(database, "Elsewhere", path=str(tmp_path / "missing"))
    watch_disks(database, settings)
    assert [reading.place for reading in readings(database)] == ["application"]


def _staff(db: Database) -> User:
    return make_user(db, "root", staff=True)
