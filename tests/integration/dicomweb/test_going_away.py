"""Clients that go away, and archives that do: nobody is kept waiting, and no part passes for the whole."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from adit_core.db import User
from adit_core.db.audit import AuditAction
from tests import factories
from tests.dicomweb_proxy import Proxy, parts_of, running_proxy
from tests.fault_proxy import FaultProxy

CT = factories.ct_study(20, rows=256, key="going away")
STUDY = f"wadors/studies/{CT.study_instance_uid}"
_SOON = 5.0


@pytest.fixture
def network(orthanc_source, holding) -> Iterator[FaultProxy]:
    """The network between the proxy and an archive that has the study."""
    holding(CT)
    with FaultProxy(orthanc_source.archive.server.port) as network:
        yield network


@pytest.fixture
def client(proxy: Proxy, network: FaultProxy, user: User) -> Iterator[httpx.Client]:
    """A client of the archive behind that network."""
    with (
        proxy.node_behind(network.port, "SOURCE", max_associations=10) as name,
        proxy.http(name, user) as client,
    ):
        yield client


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes that the test starts have their temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def connections(proxy: Proxy, network: FaultProxy) -> int:
    """Return how many connections the web process has to the archive."""
    process = psutil.Process(proxy.web.server.process.pid)
    return sum(
        bool(each.raddr) and each.raddr.port == network.port and each.status == psutil.CONN_ESTABLISHED
        for each in process.net_connections("tcp")
    )


def wait_for(condition, seconds: float = _SOON) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.mark.parametrize("trouble", ["slow", "silent"])
def test_retrieval_ends_when_its_client_goes_away(proxy, network, client, user, trouble):
    network.throttle(1_000_000)
    with client.stream("GET", STUDY) as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        next(pieces)
        assert connections(proxy, network)
        if trouble == "silent":
            network.stall()
            time.sleep(0.5)
    wait_for(lambda: not connections(proxy, network))
    (event,) = proxy.events(user, AuditAction.RETRIEVED)
    assert not event.succeeded


@pytest.mark.parametrize("path", [STUDY, f"{STUDY}/metadata", "qidors/studies"])
def test_waiting_for_a_silent_archive_ends_when_the_client_goes_away(proxy, network, client, path):
    network.stall()
    with pytest.raises(httpx.ReadTimeout):
        client.get(path, timeout=1.5)
    wait_for(lambda: not connections(proxy, network))


@pytest.mark.parametrize("what", ["", "/metadata"])
def test_what_breaks_off_is_not_taken_for_the_whole(proxy, network, client, user, what):
    network.cut_after(1_500_000)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"{STUDY}{what}")
    (event,) = proxy.events(user, AuditAction.RETRIEVED)
    assert not event.succeeded
    assert 0 < event.details["instances"] < 20


def test_dead_archive_is_told_by_a_status(network, client):
    network.refuse()
    for path in (STUDY, "qidors/studies"):
        answer = client.get(path)
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/problem+json"
        assert f"SOURCE behind {network.port}" in answer.json()["detail"]


def test_first_instance_comes_long_before_the_last(network, client):
    network.throttle(1_500_000)
    started = time.monotonic()
    with client.stream("GET", STUDY) as response:
        size = 0
        first = None
        for piece in response.iter_raw():
            size += len(piece)
            if first is None and size > 256 * 256 * 2:
                first = time.monotonic() - started
    whole = time.monotonic() - started
    assert first is not None
    assert first < whole / 3


def test_images_of_a_process_that_was_killed_are_gone_when_it_is_started_again(network, temporary, tmp_path):
    network.throttle(500_000)
    with (
        running_proxy(tmp_path) as proxy,
        proxy.node_behind(network.port, "SOURCE") as name,
        proxy.http(name) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        answer = thread.submit(client.get, f"{STUDY}/nifti")
        wait_for(lambda: _bytes_in(temporary) > 256 * 256, seconds=20)
        proxy.web.server.kill()
        assert isinstance(answer.exception(), httpx.TransportError)
    assert _bytes_in(temporary)

    again = tmp_path / "again"
    again.mkdir()
    with running_proxy(again):
        assert not list(temporary.iterdir())


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_ten_clients_at_once_get_all_of_it(network, client):
    def retrieve(_: int) -> int:
        return len(parts_of(client.get(STUDY)))

    with ThreadPoolExecutor(10) as executor:
        assert list(executor.map(retrieve, range(10))) == [20] * 10
