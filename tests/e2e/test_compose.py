"""The services of compose.yaml, as processes: they come up, move a study, and stop."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import psycopg
import pytest

from adit_core.client import AditClient
from deployments.demo.studies import write_study
from tests import servers
from tests.compose import ROOT
from tests.compose_services import ComposeServices, compose_services, ended_in_order
from tests.factories import ct_study
from tests.servers import OrthancServer, PostgresCluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

STUDY = ct_study(3, rows=16, key="compose")
LOGGING = ("web", "prefect", "receiver", "worker", "urgent-worker", "default-worker", "reconciler")


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with servers.postgres(superuser="postgres", wants_passwords=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, OrthancServer]]:
    """Those of the profile `dev`, of which one holds a study, with folders and ports of this machine."""
    folder = tmp_path_factory.mktemp("orthanc")
    with ExitStack() as stack:
        started = {}
        for name in ("orthanc1", "orthanc2"):
            given = json.loads((ROOT / f"deployments/orthanc/{name}.json").read_text())
            own = ("StorageDirectory", "IndexDirectory", "HttpPort", "DicomPort")
            settings = {key: value for key, value in given.items() if key not in own}
            started[name] = stack.enter_context(
                servers.orthanc(folder / name, name.upper(), settings=settings)
            )
        started["orthanc1"].archive.load(write_study(STUDY, folder / "study"))
        yield started


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, cluster: PostgresCluster) -> Iterator[ComposeServices]:
    with compose_services(tmp_path_factory.mktemp("compose"), cluster) as running:
        yield running


def test_all_services_come_up_move_a_study_and_stop_in_time(
    services: ComposeServices, archives: Mapping[str, OrthancServer]
) -> None:
    adit = ("python", "-m", "adit_core.cli")
    services.execute("web", *adit, "users", "add", "admin", "--staff", ADIT_PASSWORD="a long password")
    token = services.execute("web", *adit, "tokens", "create", "t", "--scope", "jobs", "--scope", "read")
    for name, archive in archives.items():
        add = ("nodes", "add", "server", name.upper(), "--ae-title", name.upper(), "--host", "127.0.0.1")
        by_move = ("--port", str(archive.archive.server.port), "--no-get", "--move")
        services.execute("web", *adit, *add, *by_move)
    # Through the receiver: the archives do not know each other on this machine.
    archives["orthanc1"].know("ADIT", services.ports["receiver"])

    row = {"PatientID": STUDY.patient_id, "StudyInstanceUID": STUDY.study_instance_uid}
    with AditClient(services.web_url, token.strip()) as client:
        job = client.transfer([row], source="ORTHANC1", destination="ORTHANC2", direct_move=False)
        job.wait(timeout=400)

    assert archives["orthanc2"].contents() == archives["orthanc1"].contents()
    assert len(archives["orthanc2"].contents()) == 3
    statuses = services.stop_all()
    assert statuses.keys() == services.services.keys()
    assert ended_in_order(statuses), statuses
    _check_logs(services, job.id)
    _check_secrets(services)


def _check_logs(services: ComposeServices, job_id: int) -> None:
    lines = []
    for name in LOGGING:
        for line in services.log(name).splitlines():
            lines.append(json.loads(line))
    (end,) = (line for line in lines if line["event"] == "task ends")
    assert (end["job"], end["status"], end["delivered"]) == (job_id, "SUCCESS", 3)
    assert end["task"]


def _check_secrets(services: ComposeServices) -> None:
    secrets = [path.read_text().strip() for path in services.secrets.iterdir()]
    for name in services.services:
        log = services.log(name)
        environment = services.environment(name).values()
        assert not any(secret in text for secret in secrets for text in (log, *environment))


def test_each_user_of_the_database_reaches_only_one(
    services: ComposeServices, cluster: PostgresCluster
) -> None:
    def connect(user: str, database: str, password: str) -> None:
        psycopg.connect(
            host="127.0.0.1", port=cluster.port, user=user, dbname=database, password=password
        ).close()

    adit = (services.secrets / "adit_database_password").read_text().strip()
    prefect = (services.secrets / "prefect_server_database_password").read_text().strip()
    connect("adit", "adit", adit)
    connect("prefect", "prefect", prefect)
    for wrong in (("adit", "adit", "guessed"), ("adit", "prefect", adit), ("prefect", "adit", prefect)):
        with pytest.raises(psycopg.OperationalError, match=r"password|permission denied"):
            connect(*wrong)
