"""Storing through the proxy: what the archive says of instances is passed on, and no more comes than may."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import CTImageStorage, MRImageStorage

from adit_core.client import AditClient
from adit_core.services.nodes import add_server, add_web_server
from deployments.demo.studies import write_study
from tests.dicomweb_proxy import Proxy, running_proxy
from tests.factories import ct_study
from tests.fakes.faulty import FaultyArchive, faulty_archive
from tests.fakes.web_peer import Exchange, FakeWebPeer

CT = ct_study(6, key="proxy stores", rows=256)
UIDS = [CT.sop_instance_uid(0, number) for number in range(6)]
DICOM_PARTS = 'multipart/related; type="application/dicom"; boundary=b'
REMARKS = {UIDS[1]: 0xB000, UIDS[2]: 0xB007}
REFUSALS = {UIDS[3]: 0xA700, UIDS[4]: 0x0122, UIDS[5]: 0xC123}
_numbers = count(1)


def node_of(proxy: Proxy, archive: FaultyArchive) -> str:
    name, node = f"faulty {next(_numbers)}", archive.node()
    add_server(proxy.web.db, name, ae_title=node.ae_title, host=node.host, port=node.port)
    return name


def body_of(files: list[Path]) -> bytes:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + path.read_bytes() + b"\r\n" for path in files) + b"--b--\r\n"


def post(proxy: Proxy, node: str, body: Any) -> httpx.Response:
    with proxy.http(node) as client:
        return client.post("stowrs/studies", content=body, headers={"Content-Type": DICOM_PARTS})


def codes(answer: httpx.Response, sequence: str, reason: str) -> dict[str, int]:
    """Return the reasons in a receipt by SOP Instance UID, 0 where there is none."""
    items = answer.json().get(sequence, {}).get("Value", ())
    return {item["00081155"]["Value"][0]: item.get(reason, {"Value": [0]})["Value"][0] for item in items}


def warnings(answer: httpx.Response) -> dict[str, int]:
    return codes(answer, "00081199", "00081196")


def failures(answer: httpx.Response) -> dict[str, int]:
    return codes(answer, "00081198", "00081197")


def test_what_an_archive_says_of_each_instance_is_passed_on(proxy: Proxy, tmp_path: Path):
    with faulty_archive() as archive:
        archive.says = REMARKS | REFUSALS

        answer = post(proxy, node_of(proxy, archive), body_of(write_study(CT, tmp_path)))

        assert archive.contents().keys() == set(UIDS[:3])
    assert answer.status_code == 202
    assert warnings(answer) == {UIDS[0]: 0} | REMARKS
    assert failures(answer) == REFUSALS
    assert "0xA700 (out of resources)" in answer.headers["warning"]


def test_remarks_alone_are_no_failures(proxy: Proxy, tmp_path: Path):
    with faulty_archive() as archive, AditClient(proxy.web.url, proxy.token()) as client:
        archive.says = dict.fromkeys(UIDS, 0xB000)
        name = node_of(proxy, archive)

        answer = post(proxy, name, body_of(write_study(CT, tmp_path)))
        result = client.archive(name).store(tmp_path.rglob("*.dcm"))

    assert (answer.status_code, failures(answer)) == (202, {})
    assert warnings(answer) == dict.fromkeys(UIDS, 0xB000)
    assert (set(result.stored), result.failed, result.warned) == (set(UIDS), {}, warnings(answer))


def test_what_an_archive_has_no_presentation_context_for_is_not_supported(proxy: Proxy, tmp_path: Path):
    with faulty_archive(storage_classes=[MRImageStorage]) as archive:
        answer = post(proxy, node_of(proxy, archive), body_of(write_study(CT, tmp_path)))

        assert archive.contents() == {}
    assert answer.status_code == 409
    assert failures(answer) == dict.fromkeys(UIDS, 0x0122)


def test_what_a_web_server_says_of_each_instance_is_passed_on(proxy: Proxy, tmp_path: Path):
    def said(uid: str, **reason: int) -> dict[str, Any]:
        told = {"00081150": {"vr": "UI", "Value": [CTImageStorage]}, "00081155": {"vr": "UI", "Value": [uid]}}
        return told | {tag.lstrip("_"): {"vr": "US", "Value": [code]} for tag, code in reason.items()}

    def script(exchange: Exchange) -> None:
        assert exchange.body is not None
        brought = [uid for uid in UIDS if uid.encode() in exchange.body]
        stored = [said(uid, _00081196=REMARKS[uid]) if uid in REMARKS else said(uid) for uid in brought]
        receipt = {
            "00081199": {"vr": "SQ", "Value": [each for each in stored if _uid(each) not in REFUSALS]},
            "00081198": {
                "vr": "SQ",
                "Value": [said(uid, _00081197=REFUSALS[uid]) for uid in brought if uid in REFUSALS],
            },
        }
        exchange.answer_json(receipt, 202)

    with FakeWebPeer(script) as peer:
        name = f"web {next(_numbers)}"
        add_web_server(proxy.web.db, name, base_url=peer.url)
        answer = post(proxy, name, body_of(write_study(CT, tmp_path)))

    assert answer.status_code == 202, answer.text
    assert warnings(answer) == {UIDS[0]: 0} | REMARKS
    assert failures(answer) == REFUSALS


def _uid(item: dict[str, Any]) -> str:
    return item["00081155"]["Value"][0]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that takes 500,000 bytes at once."""
    with running_proxy(tmp_path_factory.mktemp("narrow"), upload_max_bytes="500000") as proxy:
        yield proxy


def test_a_body_that_says_it_is_too_large_is_refused_before_anything_is_stored(narrow: Proxy, tmp_path: Path):
    with faulty_archive() as archive:
        answer = post(narrow, node_of(narrow, archive), body_of(write_study(CT, tmp_path)))

        assert archive.contents() == {}
    assert answer.status_code == 413
    assert "larger than 500000 bytes" in answer.json()["detail"]


def test_a_body_that_turns_out_too_large_leaves_whole_instances_only(narrow: Proxy, tmp_path: Path):
    body = body_of(write_study(CT, tmp_path))
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    with faulty_archive() as archive, closing(pieces):
        answer = post(narrow, node_of(narrow, archive), pieces)

        kept = archive.contents()
    assert answer.status_code == 413
    assert 0 < len(kept) < len(UIDS)
    assert f"{len(kept)} whole instances before that were stored" in answer.json()["detail"]
