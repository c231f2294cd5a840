"""Previews tell what a transfer would do, and do nothing."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from adit_core.db import (
    AuditEvent,
    DicomNode,
    Job,
    JobKind,
    NodePolicy,
    SeriesProgress,
    StorageForm,
    Task,
    TaskStatus,
    TransferOptions,
    User,
)
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.manifest import Selection
from adit_core.dicom.transfer import transfer_study
from adit_core.errors import InvalidInput, NodeClosed, NotAllowed
from adit_core.services.measured import measured
from adit_core.services.node_policies import change_policy
from adit_core.services.nodes import node_value
from adit_core.services.preview import preview_mass_transfer, preview_studies, preview_upload
from adit_core.services.routes import open_route
from adit_core.services.submit_selective import PickedStudy
from adit_core.services.transfer_preview import TransferPreview
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import UploadLimits, files_below, receive_upload
from deployments.demo.specs import StudySpec
from deployments.demo.studies import write_study
from tests.factories import series_references, study_reference
from tests.mass import head, mass_options
from tests.rows import make_folder, make_server, make_user
from tests.servers import OrthancServer

FIRST, SECOND = head(0, 1), head(0, 2)


@dataclass
class Way:
    """From a folder with studies to another one."""

    db: Database
    staff: User
    source: DicomNode
    destination: DicomNode

    @property
    def request(self) -> TransferRequest:
        return TransferRequest(
            owner_id=self.staff.id, source=self.source.name, destination=self.destination.name
        )

    def studies(self, *studies: PickedStudy, most: int = 50, **options: Any) -> TransferPreview:
        request = replace(self.request, options=TransferOptions(**options))
        return preview_studies(self.db, request, JobKind.SELECTIVE_TRANSFER, studies, most=most)

    def transfer(self, spec: StudySpec, *series: int) -> None:
        """Move series of a study, behind the back of all jobs."""
        chosen = frozenset(spec.series_instance_uid(number) for number in series)
        with open_route(node_value(self.db, self.source), node_value(self.db, self.destination)) as route:
            transfer_study(route, study_reference(spec), Selection(chosen))


@pytest.fixture
def way(database: Database, tmp_path: Path) -> Way:
    for folder in ("source", "destination"):
        (tmp_path / folder).mkdir()
    source = make_folder(database, "Source", path=str(tmp_path / "source"))
    destination = make_folder(database, "Destination", path=str(tmp_path / "destination"))
    for spec in (FIRST, SECOND, head(1, 1), head(1, 2)):
        write_study(spec, Path(source.path))
    return Way(database, make_user(database, "root", staff=True), source, destination)


def picked(spec: StudySpec, *series: int, **changes: Any) -> PickedStudy:
    study = PickedStudy(
        spec.patient_id, spec.study_instance_uid, tuple(spec.series_instance_uid(number) for number in series)
    )
    return replace(study, **changes)


def test_what_would_be_moved_and_filtered_is_told_and_nothing_is_done(way: Way) -> None:
    preview = way.studies(picked(FIRST), picked(SECOND, 0), excluded_modalities=("SR",))

    assert (len(preview.studies), preview.series, preview.instances, preview.held) == (2, 2, 4, 0)
    assert preview.filtered == {"modality SR is excluded": 1}
    assert [study.conflicts for study in preview.studies] == [(), ()]
    assert (preview.sample, preview.bytes, preview.seconds) == ("", None, None)
    assert list(Path(way.destination.path).rglob("*")) == []
    with way.db.reading() as session:
        assert session.exec(select(Job)).all() == []
        events = session.exec(select(AuditEvent)).all()
    assert [(event.action.value, event.object_id) for event in events] == [
        ("queried", "Source"),
        ("queried", "Destination"),
    ]


def test_conflicts_are_found(way: Way) -> None:
    way.transfer(FIRST)
    unknown = PickedStudy("P", "1.2.3")
    missing = replace(picked(SECOND), series_instance_uids=(SECOND.series_instance_uid(0), "1.2.3.4"))

    preview = way.studies(picked(FIRST), picked(SECOND, patient_id="X"), unknown, missing)

    assert [study.conflicts for study in preview.studies] == [
        ("All of it is at the destination already.",),
        ("The source has it under another Patient ID.",),
        ("The source does not have this study.",),
        ("The source does not have series 1.2.3.4.",),
    ]
    assert [study.held for study in preview.studies] == [3, 0, 0, 0]
    assert preview.instances == 3 + 3 + 0 + 2


def test_what_a_destination_never_takes_is_filtered(way: Way, tmp_path: Path) -> None:
    make_folder(way.db, "Volumes", path=str(tmp_path / "destination"), storage=StorageForm.NIFTI)
    request = replace(way.request, destination="Volumes")
    preview = preview_studies(way.db, request, JobKind.SELECTIVE_TRANSFER, [picked(FIRST)])
    assert preview.filtered == {"modality SR has no images": 1}
    assert preview.instances == 2


def test_only_so_many_studies_are_asked_about(way: Way) -> None:
    preview = way.studies(picked(FIRST), picked(SECOND), most=1)
    assert [study.study_instance_uid for study in preview.studies] == [FIRST.study_instance_uid]
    assert preview.sample == "The first 1 of 2 studies."


def test_size_and_time_are_estimated_from_what_was_measured_on_this_way(way: Way) -> None:
    began = utc_now() - timedelta(hours=1)
    # Two studies at the same time, and one an hour later: 20 seconds in which something moved.
    finished(way, began, seconds=10, modalities=("CT",), instances=10, size=2000)
    finished(way, began, seconds=10, modalities=("CT", "SR"), instances=10, size=1000)
    finished(way, began + timedelta(minutes=30), seconds=10, modalities=("MR",), instances=10, size=1000)

    with way.db.reading() as session:
        known = measured(session, way.source.id, way.destination.id)
        assert measured(session, None, way.destination.id).bytes_per_second is None
        assert measured(session, way.destination.id, way.source.id).mean_bytes_per_instance is None
    assert known.bytes_per_instance == {"CT": 200, "MR": 100}
    assert known.mean_bytes_per_instance == pytest.approx(4000 / 30)
    assert known.bytes_per_second == pytest.approx(200)

    preview = way.studies(picked(FIRST, 0))
    assert (preview.bytes, preview.seconds) == (400, pytest.approx(2))
    way.transfer(FIRST, 0)
    assert way.studies(picked(FIRST, 0)).bytes == 0


def finished(
    way: Way, began: Any, *, seconds: int, modalities: tuple[str, ...], instances: int, size: int
) -> None:
    """Add a task that has moved instances."""
    with way.db.session() as session:
        job = Job(
            kind=JobKind.BATCH_TRANSFER,
            owner_id=way.staff.id,
            source_id=way.source.id,
            destination_id=way.destination.id,
        )
        session.add(job)
        session.flush()
        task = Task(
            job_id=job.id,
            study_instance_uid="1.2",
            status=TaskStatus.SUCCESS,
            sent=instances,
            bytes_sent=size,
            started_at=began,
            ended_at=began + timedelta(seconds=seconds),
        )
        session.add(task)
        session.flush()
        session.add_all(
            SeriesProgress(
                task_id=task.id, series_instance_uid=f"1.2.{modality}", modality=modality, delivered=1
            )
            for modality in modalities
        )
        session.commit()


def test_a_mass_transfer_is_judged_by_one_day(way: Way) -> None:
    options = mass_options(exclude={"modalities": ["SR"]})
    day = date(2024, 3, 31)

    preview = preview_mass_transfer(way.db, way.request, options, day=day)

    assert preview.sample == "2024-03-31, one of 3 days."
    assert (len(preview.studies), preview.series, preview.instances) == (2, 2, 4)
    assert preview.filtered == {"modality": 2}
    part = preview_mass_transfer(way.db, way.request, options, day=day, most=1)
    assert (len(part.studies), part.sample) == (1, "The first 1 studies of 2024-03-31, one of 3 days.")
    with pytest.raises(InvalidInput, match="day: This is no day of the range"):
        preview_mass_transfer(way.db, way.request, options, day=date(2024, 4, 2))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (date(2024, 3, 30), date(2024, 4, 3), "2024-04-01, one of 5 days."),
        (date(2024, 3, 30), date(2024, 3, 31), "2024-03-30, one of 2 days."),
        (date(2024, 3, 30), date(2024, 3, 30), ""),
    ],
)
def test_the_day_is_no_weekend_if_it_can_be(way: Way, first: date, last: date, expected: str) -> None:
    options = mass_options(first_day=first, last_day=last)
    assert preview_mass_transfer(way.db, way.request, options).sample == expected


def test_an_upload_is_previewed(way: Way, tmp_path: Path) -> None:
    files = files_below([Path(way.source.path)])
    limits = UploadLimits(1 << 30, 100)
    uploaded = receive_upload(way.db, way.staff, files, root=tmp_path / "uploads", limits=limits)
    preview = preview_upload(way.db, replace(way.request, source=None), uploaded.id)
    assert (len(preview.studies), preview.series, preview.instances) == (4, 8, 12)


def test_who_may_not_submit_it_may_not_preview_it(way: Way) -> None:
    stranger = make_user(way.db, "eve")
    with pytest.raises(NotAllowed):
        preview_studies(
            way.db, replace(way.request, owner_id=stranger.id), JobKind.SELECTIVE_TRANSFER, [picked(FIRST)]
        )


def test_a_closed_node_is_not_asked(way: Way) -> None:
    yesterday = (utc_now() - timedelta(days=1)).strftime("%a")
    change_policy(way.db, "Source", windows=[f"{yesterday} 00:00-00:01"])
    with pytest.raises(NodeClosed, match="Source is open"):
        way.studies(picked(FIRST))


def test_a_destination_that_does_not_answer_is_asked_once(way: Way, dead_port: int) -> None:
    make_server(way.db, "DEAD", port=dead_port)
    request = replace(way.request, destination="DEAD")
    preview = preview_studies(way.db, request, JobKind.SELECTIVE_TRANSFER, [picked(FIRST), picked(SECOND)])
    assert [study.held for study in preview.studies] == [None, None]
    assert (preview.instances, len(preview.notes)) == (6, 1)
    assert preview.notes[0].startswith("What the destination has already is not known.")


@pytest.mark.system
def test_archives_are_previewed(
    database: Database, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    nodes = []
    for server in (orthanc_source, orthanc_destination):
        node = server.archive.node
        nodes.append(make_server(database, node.name, ae_title=node.ae_title, host=node.host, port=node.port))
        server.archive.load(write_study(FIRST, tmp_path / "studies"))
    orthanc_source.archive.load(write_study(SECOND, tmp_path / "studies"))
    way = Way(database, make_user(database, "root", staff=True), *nodes)
    assert len(series_references(FIRST)) == 2

    preview = way.studies(picked(FIRST), picked(SECOND, patient_id="X"))

    assert [(study.instances, study.held) for study in preview.studies] == [(3, 3), (3, 0)]
    assert preview.studies[1].conflicts == ("The source has it under another Patient ID.",)
    with database.session() as session:
        session.add(NodePolicy(node_id=nodes[0].id, find_limit=1))
        session.commit()
    sample = preview_mass_transfer(database, way.request, mass_options(), day=date(2024, 3, 30))
    assert sample.notes == ("Not all is told of 2024-03-30 10:15 to 10:15.",)
