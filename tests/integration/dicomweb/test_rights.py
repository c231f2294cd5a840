"""Who may use which archive for what; everything else is refused, and every attempt is audited."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from adit_core.db import Permission, TokenScope
from adit_core.db.audit import AuditAction
from adit_core.services.node_policies import change_policy
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import Proxy, parts_of
from tests.fault_proxy import FaultProxy

CT = factories.ct_study(1, key="rights")
STUDY = f"wadors/studies/{CT.study_instance_uid}"
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


def test_closed_node_says_when_it_opens(proxy: Proxy, holding, policy):
    holding(CT)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%a")
    policy(windows=[f"{tomorrow} 00:00-23:00"], time_zone="UTC")
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


def test_connections_of_a_node_are_not_exceeded(proxy: Proxy, orthanc_source, holding):
    several = factories.ct_study(6, rows=256, key="places")
    holding(several)
    with (
        FaultProxy(orthanc_source.archive.server.port) as network,
        proxy.node_behind(network.port, "SOURCE", max_associations=1) as name,
        proxy.http(name) as client,
        ThreadPoolExecutor(3) as executor,
    ):
        network.throttle(1_000_000)
        path = f"wadors/studies/{several.study_instance_uid}"
        started = time.monotonic()
        answers = list(executor.map(lambda _: client.get(path), range(3)))
        # One after the other, each takes 0.8 s for 0.8 MB.
        assert time.monotonic() - started > 2
    assert [len(parts_of(answer)) for answer in answers] == [6] * 3
