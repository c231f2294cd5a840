"""Who may use which archive for what; everything else is refused, and every attempt is audited."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from io import BytesIO
from itertools import chain

import httpx
import pytest
from pydicom import Dataset, dcmread

from adit_core.db import OutsideWindow, Permission, TokenScope
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.services.node_health import record_busy
from adit_core.services.node_policies import change_policy
from adit_core.services.nodes import list_nodes
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import Proxy, parts_of
from tests.fault_proxy import FaultProxy

CT = factories.ct_study(1, key="rights")
STUDY = f"wadors/studies/{CT.study_instance_uid}"
ALWAYS = "Mon-Sun 00:00-00:00"
PART_HEAD = b"Content-Type: application/dicom\r\n\r\n"
_BOUNDARY = 'multipart/related; type="application/dicom"; boundary=b'


def query(client):
    return client.get("qidors/studies")


def retrieve(client):
    return client.get(STUDY)


def store(client, content):
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--\r\n"
    return client.post("stowrs/studies", content=body, headers={"Content-Type": _BOUNDARY})


PERMISSIONS = (Permission.DICOMWEB_QUERY, Permission.DICOMWEB_RETRIEVE, Permission.DICOMWEB_STORE)


@pytest.mark.parametrize("permission", [None, *PERMISSIONS])
@pytest.mark.parametrize("roles", [(), ("source",), ("destination",), ("source", "destination")])
def test_each_use_takes_its_own_right(proxy: Proxy, holding, tmp_path, permission, roles):
    source, destination = (role in roles for role in ("source", "destination"))
    holding(CT)
    content = write_study(CT, tmp_path / "stored")[0].read_bytes()
    user = proxy.user(
        *([permission] if permission else []),
        sources="SOURCE" if source else "",
        destinations="SOURCE" if destination else "",
    )
    with proxy.http("SOURCE", user) as client:
        statuses = (query(client), retrieve(client), store(client, content))
    expected = (
        permission is Permission.DICOMWEB_QUERY and source,
        permission is Permission.DICOMWEB_RETRIEVE and source,
        permission is Permission.DICOMWEB_STORE and destination,
    )
    assert [each.status_code for each in statuses] == [200 if allowed else 403 for allowed in expected]
    for answer in statuses:
        if answer.status_code == 403:
            assert "administrator" in answer.json()["detail"]


def test_every_access_is_audited(proxy: Proxy, holding):
    holding(CT)
    user = proxy.user(*PERMISSIONS, sources="SOURCE")
    nobody = proxy.user()
    with proxy.http("SOURCE", user) as client:
        query(client)
        retrieve(client)
    with proxy.http("SOURCE", nobody) as client:
        query(client)
    (queried,) = proxy.events(user, AuditAction.QUERIED)
    (refused,) = proxy.events(nobody, AuditAction.QUERIED)
    (retrieved,) = proxy.events(user, AuditAction.RETRIEVED)
    assert (queried.actor_id, queried.succeeded, queried.details["results"]) == (user.id, True, 1)
    assert (refused.actor_id, refused.succeeded) == (nobody.id, False)
    assert (retrieved.actor_id, retrieved.object_id) == (user.id, CT.study_instance_uid)
    assert retrieved.details["instances"] == 1
    assert retrieved.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("header", "status"), [(None, 401), ("Token adit_wrong", 401), ("Basic YTpi", 401), ("Bearer", 401)]
)
def test_nobody_is_let_in_without_a_token(proxy: Proxy, header, status):
    with proxy.http("SOURCE") as client:
        del client.headers["Authorization"]
        if header:
            client.headers["Authorization"] = header
        for answer in (query(client), retrieve(client), store(client, b"")):
            assert answer.status_code == status
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_token_needs_the_scope(proxy: Proxy):
    user = proxy.user(*PERMISSIONS, sources="SOURCE")
    with proxy.http("SOURCE", user) as client:
        client.headers["Authorization"] = f"Token {proxy.token(user, (TokenScope.READ,))}"
        assert query(client).status_code == 403
        assert "scope" in query(client).json()["detail"]


@pytest.fixture
def policy(proxy: Proxy) -> Iterator[Callable[..., object]]:
    """Change the policy of SOURCE, for this test only."""
    yield partial(change_policy, proxy.web.db, "archive SOURCE")
    change_policy(proxy.web.db, "archive SOURCE", windows=[], instances_per_second=0)


@pytest.fixture
def policy_of_destination(proxy: Proxy) -> Iterator[Callable[..., object]]:
    """Change the policy of DESTINATION, for this test only."""
    yield partial(change_policy, proxy.web.db, "archive DESTINATION")
    change_policy(proxy.web.db, "archive DESTINATION", windows=[], outside=OutsideWindow.FINISH)


def closed_now() -> str:
    """Return a window of tomorrow."""
    return f"{utc_now() + timedelta(days=1):%a} 00:00-23:00"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_closed_node_says_when_it_opens(proxy: Proxy, holding, policy):
    holding(CT)
    policy(windows=[closed_now()], time_zone="UTC")
    with proxy.http("SOURCE") as client:
        for answer in (query(client), retrieve(client)):
            assert answer.status_code == 503, answer.text
            assert "next opening" in answer.json()["detail"]
            assert "retry-after" in answer.headers


def test_pace_of_a_node_is_kept(proxy: Proxy, holding, policy):
    several = factories.ct_study(12, key="pace")
    holding(several)
    policy(instances_per_second=6)
    started = time.monotonic()
    with proxy.http("SOURCE") as client:
        assert client.get(f"wadors/studies/{several.study_instance_uid}").status_code == 200
    assert time.monotonic() - started > 1.5


def test_a_store_stops_between_instances_when_the_window_ends(
    proxy: Proxy, orthanc_destination, tmp_path, policy_of_destination
):
    several = factories.ct_study(4, key="stopped store")
    files = [path.read_bytes() for path in write_study(several, tmp_path)]
    uids = [dcmread(BytesIO(file)).SOPInstanceUID for file in files]
    policy_of_destination(windows=[ALWAYS], time_zone="UTC", outside=OutsideWindow.STOP)

    def body() -> Iterator[bytes]:
        for number, file in enumerate(files):
            if number == 2:
                wait_until(lambda: orthanc_destination.contents().keys() == set(uids[:2]))
                policy_of_destination(windows=[closed_now()])
            # With the boundary behind it, so that it is known to be whole at once.
            yield PART_HEAD + file + (b"\r\n--b--\r\n" if number == 3 else b"\r\n--b\r\n")

    with proxy.http("DESTINATION") as client:
        answer = client.post(
            "stowrs/studies", content=chain([b"--b\r\n"], body()), headers={"Content-Type": _BOUNDARY}
        )
    assert answer.status_code == 202
    assert "next opening" in answer.headers["warning"]
    receipt = Dataset.from_json(answer.json())
    assert [item.ReferencedSOPInstanceUID for item in receipt.ReferencedSOPSequence] == uids[:2]
    assert [item.ReferencedSOPInstanceUID for item in receipt.FailedSOPSequence] == uids[2:]
    assert orthanc_destination.contents().keys() == set(uids[:2])


SEVERAL = factories.ct_study(6, rows=256, key="places")
RETRIEVED = f"wadors/studies/{SEVERAL.study_instance_uid}"


@pytest.fixture
def network(orthanc_source, holding) -> Iterator[FaultProxy]:
    """A slow network to an archive with several instances, which take 0.8 s for 0.8 MB."""
    holding(SEVERAL)
    with FaultProxy(orthanc_source.archive.server.port) as network:
        network.throttle(1_000_000)
        yield network


def make_busy(proxy: Proxy, name: str) -> None:
    """Have a node say that it is busy, in two attempts one after the other."""
    (node,) = (node for node in list_nodes(proxy.web.db) if node.name == name)
    for _ in range(2):
        record_busy(proxy.web.db, node, began=utc_now(), now=utc_now())


@pytest.mark.parametrize("is_busy", [False, True], ids=["one is allowed", "busy, so one of four is"])
def test_connections_of_a_node_are_not_exceeded(proxy: Proxy, network: FaultProxy, is_busy):
    with (
        proxy.node_behind(network.port, "SOURCE", max_associations=4 if is_busy else 1) as name,
        proxy.http(name) as client,
        ThreadPoolExecutor(3) as executor,
    ):
        if is_busy:
            make_busy(proxy, name)
        started = time.monotonic()
        answers = list(executor.map(lambda _: client.get(RETRIEVED), range(3)))
        # One after the other.
        assert time.monotonic() - started > 2
    assert [len(parts_of(answer)) for answer in answers] == [6] * 3


def test_a_search_waits_for_its_place_at_a_node_and_leaves_it(proxy: Proxy, network: FaultProxy):
    with (
        proxy.node_behind(network.port, "SOURCE", max_associations=1) as name,
        proxy.http(name) as client,
        ThreadPoolExecutor(1) as executor,
    ):
        with client.stream("GET", RETRIEVED) as response:
            searching = executor.submit(query, client)
            time.sleep(0.3)
            assert not searching.done()
            size = sum(map(len, response.iter_raw()))
        assert size > 6 * 2 * 256 * 256
        assert searching.result().status_code == 200
        assert query(client).status_code == 200


def test_a_search_that_nobody_waits_for_leaves_the_queue(proxy: Proxy, network: FaultProxy):
    user = proxy.staff()
    with (
        proxy.node_behind(network.port, "SOURCE", max_associations=1) as name,
        proxy.http(name, user) as client,
    ):
        network.stall()
        with ThreadPoolExecutor(1) as executor, suppress(httpx.ReadTimeout):
            retrieving = executor.submit(client.get, RETRIEVED, timeout=4)
            time.sleep(0.5)
            with pytest.raises(httpx.ReadTimeout):
                client.get("qidors/studies", timeout=0.5)
            (stopped,) = proxy.events(user, AuditAction.QUERIED)
            assert not stopped.succeeded
            retrieving.result()
        network.heal()
        assert query(client).status_code == 200
