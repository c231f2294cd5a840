"""Studies that are retrieved before anybody knows their instances, from archives that do wrong."""

from collections.abc import Iterator

import httpx
import pytest

from adit_core.db import User
from adit_core.db.audit import AuditAction
from adit_core.dicom.node import Service
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import Proxy, hashes_of, parts_of
from tests.fakes.faulty import FaultyArchive, faulty_archive

CT = factories.ct_study(3, rows=64, key="ahead")
STUDY = f"wadors/studies/{CT.study_instance_uid}"
SERIES = f"{STUDY}/series/{CT.series_instance_uid(0)}"
ALL = {CT.sop_instance_uid(0, number) for number in range(3)}
FIRST = CT.sop_instance_uid(0, 0)
UNABLE = 0xC000


@pytest.fixture
def archive(tmp_path) -> Iterator[FaultyArchive]:
    with faulty_archive(write_study(CT, tmp_path)) as archive:
        yield archive


@pytest.fixture
def client(running: Proxy, archive: FaultyArchive, user: User) -> Iterator[httpx.Client]:
    node = archive.node()
    services = (Service.FIND, Service.GET)
    with (
        running.node_behind(node.port, node.ae_title, services=services) as name,
        running.http(name, user) as client,
    ):
        yield client


def retrieved(client: httpx.Client, path: str = STUDY) -> dict[str, str]:
    return hashes_of(content for _, content in parts_of(client.get(path).raise_for_status()))


def test_study_is_asked_for_once(client, archive):
    assert retrieved(client) == archive.contents()
    assert archive.asked == [ALL]


def test_what_an_archive_leaves_out_is_asked_for_by_its_list(client, archive):
    archive.withheld, archive.times = {FIRST}, 1
    assert retrieved(client) == archive.contents()
    assert archive.asked == [ALL, {FIRST}]


def test_study_of_which_nothing_can_be_sent_at_once_is_asked_for_by_its_list(client, archive):
    archive.withheld, archive.status, archive.times = ALL, UNABLE, 1
    assert retrieved(client) == archive.contents()
    assert archive.asked == [ALL, ALL]


def test_study_that_has_more_instances_than_it_was_said_is_passed_on_whole(client, archive):
    archive.overlooked = 1
    assert retrieved(client) == archive.contents()
    assert archive.asked == [ALL]


def test_instance_that_comes_twice_is_passed_on_once(client, archive):
    archive.sends_twice = True
    assert retrieved(client) == archive.contents()


def test_series_of_an_archive_that_does_not_count_them_is_asked_for_by_its_list(client, archive):
    assert retrieved(client, SERIES) == archive.contents()
    assert archive.asked == [ALL]


def test_part_of_a_study_does_not_pass_for_the_whole(running, client, archive, user):
    archive.withheld = {FIRST}
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(STUDY)
    (event,) = running.events(user, AuditAction.RETRIEVED)
    assert (event.succeeded, event.details["instances"]) == (False, 2)


def test_archive_that_can_send_nothing_is_told_by_a_status(client, archive):
    archive.withheld, archive.status = ALL, UNABLE
    answer = client.get(STUDY)
    assert answer.status_code == 502
    assert "C000" in answer.json()["detail"]
