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
)
from adit_core.db import TokenScope
from adit_core.services.nodes import add_folder, add_server
from adit_core.services.tokens import create_token
from deployments.demo.studies import write_study
from tests.factories import ct_study, hashes, instances_in
from tests.servers import OrthancServer
from tests.stack import RunningStack, running_stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

HEAD = ct_study(3, key="client head", patient_id="0004711", rows=16)
CHEST = ct_study(2, key="client chest", patient_id="0004712", rows=16)


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


def test_files_and_data_sets_are_uploaded_and_transferred(adit: AditClient, way: Way, tmp_path: Path):
    head = write_study(HEAD, tmp_path / "brought")
    chest = [dcmread(path) for path in write_study(CHEST, tmp_path / "memory")]

    upload = adit.upload(tmp_path / "brought", *chest)
    job = adit.transfer_upload(upload, destination=way["destination"]).wait(timeout=120)

    assert (upload.instances, upload.refused, len(upload.studies)) == (5, [], 2)
    assert job.status == "SUCCESS"
    arrived = instances_in(tmp_path / "arrivals")
    assert len(arrived) == 5
    assert set(hashes(head).values()) <= set(arrived.values())


def test_a_mass_transfer_finds_its_studies(adit: AditClient, way: Way, tmp_path: Path):
    day = date(2024, 1, 2)
    search = {"first_day": day, "last_day": day, "include": {"modalities": ["CT"]}}

    job = adit.mass_transfer(search, **way).wait(timeout=120)

    assert job.status == "SUCCESS"
    assert len(instances_in(tmp_path / "arrivals")) == 5


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


def test_waiting_ends_with_the_token(stack: RunningStack, way: Way):
    made = create_token(
        stack.db, stack.user, name="short", scopes=frozenset(TokenScope), lifetime=timedelta(seconds=4)
    )
    stack.stop("worker")
    try:
        with AditClient(stack.stack.web_url, made.token) as adit:
            job = adit.transfer(adit.find_studies(way["source"]), **way)
            with pytest.raises(Exception, match="expired"):
                job.wait(timeout=60)
    finally:
        stack.start("worker")
