"""AditClient against the real processes: a web process, Prefect, a worker and an archive."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TypedDict

import httpx
import pandas as pd
import pytest
from pydicom import dcmread

from adit_core.client import (
    AditClient,
    ConnectionFailed,
    InvalidRequest,
    JobFailed,
    NotAllowed,
    NotFound,
    NotPossible,
    NotSignedIn,
    Picked,
    Preview,
    QueryPreview,
)
from adit_core.db import Permission, TokenScope
from adit_core.services.nodes import add_folder, add_server
from adit_core.services.tokens import create_token
from adit_core.services.users import create_user
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.archives import extract
from tests.factories import ct_study, hashes, instances_in, study
from tests.rows import TRANSFERS, make_group
from tests.servers import OrthancServer
from tests.stack import RunningStack, running_stack

pytestmark = pytest.mark.system

HEAD = ct_study(3, key="client head", patient_id="0004711", rows=16)
CHEST = ct_study(2, key="client chest", patient_id="0004712", rows=16)

ABDOMEN = study(
    SeriesSpec(Form.CT, 2, "Native", 16, 16),
    SeriesSpec(Form.CT, 3, "Contrast", 16, 16),
    key="client abdomen",
    patient_id="0004713",
)


class Way(TypedDict):
    """Where from and where to."""

    source: str
    destination: str


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack"), {}) as stack:
        stack.start("web")
        _wait_until_ready(stack)
        yield stack


@pytest.fixture
def adit(stack: RunningStack) -> Iterator[AditClient]:
    """A client of the operator."""
    token = create_token(stack.db, stack.user, name="test", scopes=frozenset(TokenScope)).token
    with AditClient(stack.stack.web_url, token) as client:
        yield client


@pytest.fixture
def way(stack: RunningStack, orthanc_source: OrthancServer, tmp_path: Path) -> Way:
    """An archive with two studies, and an empty folder."""
    for spec in (HEAD, CHEST):
        orthanc_source.archive.load(write_study(spec, tmp_path / "studies"))
    node = orthanc_source.archive.node
    names = Way(source=f"PACS {tmp_path.name}", destination=f"Export {tmp_path.name}")
    add_server(stack.db, names["source"], ae_title=node.ae_title, host=node.host, port=node.port)
    (tmp_path / "arrivals").mkdir()
    add_folder(stack.db, names["destination"], path=str(tmp_path / "arrivals"))
    return names


def _wait_until_ready(stack: RunningStack) -> None:
    transport = httpx.HTTPTransport(retries=20)
    with httpx.Client(transport=transport) as client:
        assert client.get(f"{stack.stack.web_url}/api/health/ready").is_success


def test_what_a_search_finds_is_transferred_and_waited_for(adit: AditClient, way: Way, tmp_path: Path):
    studies = adit.find_studies(way["source"], patient_id="00047*", modalities=["CT"])

    job = adit.transfer(studies, **way, name="from a notebook").wait(timeout=120)

    assert (job.status, job.share, job.has_ended) == ("SUCCESS", 1.0, True)
    assert instances_in(tmp_path / "arrivals") == instances_in(tmp_path / "studies")
    assert job.counts["delivered"] == 5
    assert {task.study_instance_uid for task in job.tasks()} == {
        study.study_instance_uid for study in studies
    }
    assert [event.status for event in job.history() if event.status == "SUCCESS"]
    assert adit.job(job.id).name == "from a notebook"
    assert [each.id for each in adit.jobs(limit=1)] == [job.id]


def test_series_picked_with_pandas_are_transferred(adit: AditClient, way: Way, tmp_path: Path):
    studies = adit.find_studies(way["source"]).to_pandas()
    chosen = studies[studies["patient_id"] == "0004712"]
    (study,) = adit.find_studies(way["source"], patient_id="0004712")
    series = adit.find_series(way["source"], study).to_pandas().assign(patient_id="0004712")
    instances = adit.find_instances(way["source"], adit.find_series(way["source"], study)[0])

    preview = adit.preview_transfer(chosen, **way)
    assert adit.validate_transfer(series, **way) == 1
    adit.transfer(series, **way).wait(timeout=120)

    assert (len(preview.studies), preview.instances, preview.held) == (1, 2, 0)
    assert len(instances_in(tmp_path / "arrivals")) == len(instances) == 2
    assert adit.find_studies(way["source"], patient_id="0004712", max_age=3600) == [study]


def test_the_answers_to_a_query_are_transferred(adit: AditClient, way: Way, tmp_path: Path):
    rows = pd.DataFrame({"PatientID": ["0004711", "none"]}, dtype=str)

    job = adit.query(rows, source=way["source"]).wait(timeout=120)
    sheet = job.export(tmp_path / "answers.xlsx")
    adit.transfer(sheet, **way).wait(timeout=120)

    assert job.status == "WARNING"
    assert [(row.row, len(row.results)) for row in job.results()] == [(2, 1), (3, 0)]
    assert len(instances_in(tmp_path / "arrivals")) == 3


def test_a_query_is_validated(adit: AditClient, way: Way, tmp_path: Path):
    rows = [{"PatientID": "0004711"}, {"PatientID": "none"}]
    sheet = tmp_path / "questions.csv"
    sheet.write_text("PatientID\n0004711\n")

    assert adit.validate_query(rows, source=way["source"], name="asked", urgent=True) == 2
    assert adit.validate_query(sheet, source=way["source"]) == 1
    with pytest.raises(InvalidRequest):
        adit.validate_query([{"Nonsense": "x"}], source=way["source"])
    assert list(adit.jobs(text="asked")) == []


def test_a_spreadsheet_is_validated_and_previewed(adit: AditClient, way: Way, tmp_path: Path):
    sheet = tmp_path / "studies.csv"
    lines = [f"{spec.patient_id},{spec.study_instance_uid}" for spec in (HEAD, CHEST)]
    sheet.write_text("\n".join(["PatientID,StudyInstanceUID", *lines]))

    assert adit.validate_transfer(sheet, **way) == 2
    assert adit.preview_transfer(sheet, **way).instances == 5
    sampled = adit.preview_transfer(str(sheet), **way, most=1)
    assert (len(sampled.studies), bool(sampled.sample)) == (1, True)
    assert [each.instances for each in sampled.studies[0].series] == [sampled.instances]


def test_picked_series_are_transferred(
    adit: AditClient, way: Way, orthanc_source: OrthancServer, tmp_path: Path
):
    orthanc_source.archive.load(write_study(ABDOMEN, tmp_path / "studies"))
    abdomen = Picked(ABDOMEN.patient_id, ABDOMEN.study_instance_uid, (ABDOMEN.series_instance_uid(1),))
    picked = [abdomen, *adit.find_studies(way["source"], patient_id="0004712")]

    preview = adit.preview_selective_transfer(picked, **way)
    assert adit.validate_selective_transfer(picked, **way) == 2
    job = adit.selective_transfer(picked, **way, name="picked").wait(timeout=120)

    assert (len(preview.studies), preview.instances) == (2, 5)
    assert len(adit.preview_selective_transfer(picked, **way, most=1).studies) == 1
    assert (job.kind, job.source, job.destination) == ("selective transfer", *way.values())
    assert len(instances_in(tmp_path / "arrivals")) == 5
    frame = adit.find_series(way["source"], ABDOMEN.study_instance_uid).to_pandas()
    assert adit.validate_selective_transfer(frame.assign(patient_id=ABDOMEN.patient_id), **way) == 1
    with pytest.raises(InvalidRequest):
        adit.validate_selective_transfer([Picked("1", "x")], **way)


def test_tasks_are_shown_and_acted_on(adit: AditClient, stack: RunningStack, way: Way):
    job = adit.transfer(adit.find_studies(way["source"]), **way).wait(timeout=120)
    head = next(task for task in job.tasks() if task.study_instance_uid == HEAD.study_instance_uid)

    shown = adit.task(head)
    (series,) = adit.series_of_task(head.id)

    assert (shown.id, shown.status, shown.actions) == (head.id, "SUCCESS", ("reset",))
    assert shown.refusals.keys() == {"delete", "kill"}
    assert (series.modality, series.planned, series.delivered, series.failed) == ("CT", 3, 3, 0)
    assert {event.task_id for event in job.history(task=head)} == {head.id}
    assert [task.id for task in job.tasks(status=["FAILURE"])] == []
    for act in (adit.kill_task, adit.delete_task):
        with pytest.raises(NotPossible):
            act(head)
    stack.stop("worker")
    try:
        assert adit.reset_task(head).status == "PENDING"
        waiting = adit.transfer(adit.find_studies(way["source"]), **way)
        first, second = waiting.tasks()
        adit.delete_task(first)
        assert [task.id for task in waiting.tasks()] == [second.id]
        with pytest.raises(NotFound):
            adit.task(first)
    finally:
        stack.start("worker")
    waiting.wait(timeout=120)
    assert job.refresh().wait(timeout=120).status == "SUCCESS"


def test_jobs_are_found_by_owner_and_text(adit: AditClient, stack: RunningStack, way: Way):
    create_user(stack.db, username="other", password="a long password")
    job = adit.query([{"PatientID": "0004711"}], source=way["source"], name="needle in the hay").wait()

    assert [each.id for each in adit.jobs(text="needle")] == [job.id]
    assert [each.id for each in adit.jobs(text=str(job.id), limit=1)] == [job.id]
    assert job.id in [each.id for each in adit.jobs(owner=job.owner, all_users=True)]
    assert list(adit.jobs(owner="other", all_users=True)) == []


def test_a_node_is_checked(adit: AditClient, way: Way, dead_port: int, stack: RunningStack):
    good = adit.check_node(way["destination"])
    assert (good.node, good.is_good, good.server, good.web) == (way["destination"], True, None, ())
    assert good.folder is not None
    name = f"Dead {way['source']}"
    add_server(stack.db, name, ae_title="DEAD", host="127.0.0.1", port=dead_port)
    bad = adit.check_node(name, move_destination="ADIT")
    assert (bad.is_good, [each.is_harmful for each in bad.differences][:1]) == (False, [True])
    assert "message" in bad.differences.to_pandas().columns


def test_a_project_pseudonymizes_and_tells_who_was_who(
    adit: AditClient, stack: RunningStack, way: Way, tmp_path: Path
):
    name = f"Trial {tmp_path.name}"
    added = adit.add_project(name, pseudonyms="random", trial_protocol_id="T1")
    changed = adit.change_project(name, pseudonyms="keyed")
    (head,) = adit.find_studies(way["source"], patient_id="0004711")

    (tried,) = adit.dry_run(name, head, source=way["source"])
    rows = [{"PatientID": "0004711", "StudyInstanceUID": HEAD.study_instance_uid, "Pseudonym": "ANON1"}]
    adit.transfer(rows, **way, project=name).wait(timeout=120)
    (linked,) = adit.find_links(name, "ANON1")
    exported = adit.export_links(name, tmp_path / "links.csv").read_text()

    assert (added.pseudonyms, changed.pseudonyms, changed.trial_protocol_id) == ("random", "keyed", "T1")
    assert name in [each.name for each in adit.projects()]
    assert {change.before for change in tried.changes} >= {"0004711"}
    assert (linked.patient_id, linked.studies[0].study_instance_uid) == ("0004711", HEAD.study_instance_uid)
    assert "0004711" in exported
    assert "ANON1" in exported
    with pytest.raises(NotFound, match="NOBODY"):
        adit.delete_links(name, ["NOBODY"])
    assert adit.delete_links(name, ["ANON1"]) == 1
    assert adit.delete_all_links(name) == 0
    assert adit.find_links(name, "ANON1") == []
    empty = f"Empty {tmp_path.name}"
    adit.add_project(empty)
    group = make_group(stack.db)
    adit.allow_project(empty, group.name)
    adit.forbid_project(empty, group.name)
    adit.remove_project(empty)
    assert empty not in [each.name for each in adit.projects()]


def test_what_was_done_is_in_the_audit_trail(adit: AditClient, way: Way):
    job = adit.query([{"PatientID": "none"}], source=way["source"])

    events = list(adit.audit(object_kind="job", object_id=str(job.id)))

    assert [(event.actor, event.succeeded) for event in events] == [("operator", True)]
    begin = events[0].at
    assert events[0] in list(adit.audit(action=events[0].action, since=begin, actor="operator"))
    assert events[0] not in list(adit.audit(action=[events[0].action], until=begin))
    assert len(list(adit.audit(limit=1))) == 1
    with pytest.raises(InvalidRequest):
        list(adit.audit(action="nonsense"))


def test_the_server_tells_how_it_is(adit: AditClient):
    assert (adit.health().status, adit.health().reason) == ("ready", None)
    assert not adit.maintenance().is_on
    adit.request("POST", "/admin/announcements", json={"message": "Hello."})
    assert [(each.message, each.created_by) for each in adit.announcements()] == [("Hello.", "operator")]


def test_files_and_data_sets_are_uploaded_and_transferred(adit: AditClient, way: Way, tmp_path: Path):
    head = write_study(HEAD, tmp_path / "brought")
    chest = [dcmread(path) for path in write_study(CHEST, tmp_path / "memory")]

    upload = adit.upload(tmp_path / "brought", *chest)
    assert adit.validate_upload(upload, destination=way["destination"]) == 2
    assert adit.preview_upload(upload, destination=way["destination"]).instances == 5
    assert len(adit.preview_upload(upload, destination=way["destination"], most=1).studies) == 1
    job = adit.transfer_upload(upload, destination=way["destination"]).wait(timeout=120)

    assert (upload.instances, upload.refused, len(upload.studies)) == (5, [], 2)
    assert job.status == "SUCCESS"
    arrived = instances_in(tmp_path / "arrivals")
    assert len(arrived) == 5
    assert set(hashes(head).values()) <= set(arrived.values())


def test_staff_look_ahead_at_jobs_that_wait_for_approval(
    adit: AditClient, stack: RunningStack, way: Way, tmp_path: Path
):
    owner = create_user(stack.db, username="eve", password=None, needs_approval=True)
    permissions = (
        *TRANSFERS,
        Permission.TRANSFER_UNPSEUDONYMIZED,
        Permission.QUERY,
        Permission.USE_API,
    )
    group = make_group(stack.db, owner, permissions=permissions)
    adit.set_node_access(group.id, way["source"], as_source=True, as_destination=False)
    adit.set_node_access(group.id, way["destination"], as_source=False, as_destination=True)
    token = create_token(
        stack.db, owner, name="test", scopes=frozenset({TokenScope.READ, TokenScope.JOBS})
    ).token
    studies = adit.find_studies(way["source"], patient_id="00047*")

    with AditClient(stack.stack.web_url, token) as eve:
        transfer = eve.transfer(studies, **way)
        query = eve.query([{"PatientID": "0004711"}], source=way["source"])
        with pytest.raises(NotAllowed):
            transfer.preview()
    transfer, query = adit.job(transfer.id), adit.job(query.id)
    whole, part, asked = transfer.preview(), transfer.preview([transfer.tasks()[0].id]), query.preview()

    assert isinstance(whole, Preview)
    assert isinstance(part, Preview)
    assert isinstance(asked, QueryPreview)
    assert (len(whole.studies), whole.instances) == (2, 5)
    assert [study.study_instance_uid for study in part.studies] == [transfer.tasks()[0].study_instance_uid]
    assert [row.asked for row in asked.rows] == [("PatientID",)]
    assert {job.refresh().status for job in (transfer, query)} == {"UNVERIFIED"}
    assert instances_in(tmp_path / "arrivals") == {}
    transfer.verify().wait(timeout=120)
    with pytest.raises(NotPossible):
        transfer.preview()
    sheet = pd.read_csv(transfer.export_series(tmp_path / "series.csv"), dtype=str)
    assert set(sheet["State"]) == {"delivered"}
    assert set(sheet["StudyInstanceUID"]) == {study.study_instance_uid for study in studies}
    sheet = pd.read_csv(transfer.export_tasks(tmp_path / "tasks.csv"), dtype=str)
    assert list(sheet["StudyInstanceUID"]) == [task.study_instance_uid for task in transfer.tasks()]


def test_a_mass_transfer_finds_its_studies(adit: AditClient, way: Way, tmp_path: Path):
    day = date(2024, 1, 2)
    search = {"first_day": day, "last_day": day, "include": {"modalities": ["CT"]}}

    job = adit.mass_transfer(search, **way).wait(timeout=120)

    assert job.status == "SUCCESS"
    assert len(instances_in(tmp_path / "arrivals")) == 5


def test_a_mass_transfer_is_validated_and_previewed(adit: AditClient, way: Way, tmp_path: Path):
    search = {"first_day": date(2024, 1, 1), "last_day": date(2024, 1, 3)}

    assert adit.validate_mass_transfer(search, **way) == 3
    assert adit.preview_mass_transfer(search, **way, day=date(2024, 1, 2)).instances == 5
    assert adit.preview_mass_transfer(search, **way).instances == 0
    assert len(adit.preview_mass_transfer(search, **way, day="2024-01-02", most=1).studies) == 1
    with pytest.raises(InvalidRequest):
        adit.validate_mass_transfer({**search, "last_day": date(2023, 1, 1)}, **way)
    assert instances_in(tmp_path / "arrivals") == {}


def test_a_job_that_fails_raises_and_can_be_repeated(adit: AditClient, way: Way):
    missing = [{"PatientID": "0004711", "StudyInstanceUID": "1.2.3"}]
    job = adit.transfer(missing, **way)

    with pytest.raises(JobFailed, match=f"Job {job.id} ended with FAILURE"):
        job.wait(timeout=120)

    assert "retry" in job.actions
    assert job.retry().status in ("PENDING", "IN_PROGRESS")
    job.cancel()
    with pytest.raises(JobFailed):
        job.wait(timeout=60)
    with pytest.raises(NotPossible):
        job.delete()


def test_problems_are_errors_that_name_fields(adit: AditClient, way: Way):
    with pytest.raises(InvalidRequest) as invalid:
        adit.transfer([{"PatientID": "1", "StudyInstanceUID": "x"}], **way)
    assert [(error.row, error.field) for error in invalid.value.errors] == [(2, "StudyInstanceUID")]
    with pytest.raises(NotFound, match="no node called NOWHERE"):
        adit.find_studies("NOWHERE")
    with pytest.raises(NotFound):
        adit.job(4711)
    with pytest.raises(ValueError, match="PatientID"):
        adit.transfer(pd.DataFrame({"PatientID": [4711], "StudyInstanceUID": ["1.2"]}), **way)


def test_tokens_end(stack: RunningStack, adit: AditClient):
    made = adit.create_token("narrow", ["read"], days=1)
    assert "narrow" in [token.name for token in adit.tokens()]
    with AditClient(stack.stack.web_url, made.token) as narrow:
        assert (narrow.me().scopes, narrow.nodes() == adit.nodes()) == (("read",), True)
        assert made.id in [token.id for token in adit.tokens(all_users=True)]
        with pytest.raises(NotAllowed, match="lacks the scope jobs"):
            narrow.query([{"PatientID": "1"}], source="x")
        adit.revoke_token(made.id)
        with pytest.raises(NotSignedIn, match="revoked"):
            narrow.me()


def test_a_server_that_is_away_is_said_to_be_away(dead_port: int):
    with (
        AditClient(f"http://127.0.0.1:{dead_port}", "x") as adit,
        pytest.raises(ConnectionFailed),
    ):
        adit.upload(Path(__file__))


def test_waiting_ends_with_the_token(stack: RunningStack, adit: AditClient, way: Way):
    stack.stop("worker")
    try:
        job = adit.transfer(adit.find_studies(way["source"]), **way)
        lifetime = timedelta(seconds=6)
        made = create_token(
            stack.db, stack.user, name="short", scopes=frozenset(TokenScope), lifetime=lifetime
        )
        with AditClient(stack.stack.web_url, made.token) as watcher:
            seen = watcher.job(job.id)
            with pytest.raises(Exception, match="expired"):
                seen.wait(timeout=60)
    finally:
        stack.start("worker")


def test_studies_are_transferred_into_an_archive_of_the_job(adit: AditClient, way: Way, tmp_path: Path):
    password = "gull harbour 19"
    rows = [{"PatientID": HEAD.patient_id, "StudyInstanceUID": HEAD.study_instance_uid}]
    job = adit.transfer(rows, **way, archive_password=password).wait(timeout=120)

    assert job.status == "SUCCESS"
    extract(tmp_path / "arrivals" / job.archive_file, password, tmp_path / "extracted")
    assert set(instances_in(tmp_path / "extracted")) == HEAD.sop_instance_uids()
