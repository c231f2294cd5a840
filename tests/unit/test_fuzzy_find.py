"""Names that sound alike: asked for by SOP class extended negotiation, and found where the archive agrees."""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from adit_core.dicom.dicom_json import uids_of
from adit_core.dicom.find import DimseSearcher
from adit_core.dicom.fuzzy_find import DimseFuzzySearcher
from adit_core.dicom.node import QueryRoot
from adit_core.dicom.query import AttributeQuery, Level
from adit_core.errors import AssociationRejected, ProtocolError
from tests.fakes.peer import Conversation, FakePeer
from tests.fakes.provider import FIND, finding_meyer, provider
from tests.fakes.recorder import pdus_of, recording

PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
MEIER = AttributeQuery(Level.STUDY, {"PatientName": "Meier", "StudyInstanceUID": ""}, is_fuzzy=True)


def sub_item(sop_class_uid: str, information: bytes) -> bytes:
    """Return a SOP Class Extended Negotiation Sub-item (PS3.7 table D.3-11)."""
    uid = sop_class_uid.encode()
    return struct.pack(">BxHH", 0x56, 2 + len(uid) + len(information), len(uid)) + uid + information


def found(searcher: DimseSearcher) -> list[str]:
    return [uids_of(answer)[0] for answer in searcher.find_data_sets(MEIER)]


def test_an_archive_that_agrees_finds_names_that_sound_alike():
    with (
        provider(finding_meyer(b"\0\0\1\0")) as node,
        recording(node.port) as kept,
        DimseFuzzySearcher(replace(node, port=kept.port)) as searcher,
    ):
        assert found(searcher) == ["1.2.1"]
        assert not searcher.has_matched_literally

    assert sub_item(FIND, b"\0\0\1") in pdus_of(kept.said)[0], "names, and nothing else, are asked for"
    assert sub_item(FIND, b"\0\0\1\0") in pdus_of(kept.answered)[0]


@pytest.mark.parametrize("answer", [None, b"", b"\1", b"\0\0", b"\1\1\0\1", b"\0\0\2", b"\0\0\xff"])
def test_an_archive_that_does_not_agree_matches_literally(answer: bytes | None):
    with provider(finding_meyer(answer)) as node, DimseFuzzySearcher(node) as searcher:
        assert found(searcher) == []
        assert searcher.has_matched_literally


def test_ordinary_queries_ask_for_nothing():
    with (
        provider(finding_meyer(b"\0\0\1")) as node,
        recording(node.port) as kept,
        DimseSearcher(replace(node, port=kept.port)) as searcher,
    ):
        assert found(searcher) == []

    assert b"\x56\x00" not in pdus_of(kept.said)[0]
    assert b"\x56\x00" not in pdus_of(kept.answered)[0]


def test_it_is_negotiated_for_the_query_root_of_the_archive():
    def script(peer: Conversation) -> None:
        request = peer.accept()
        assert request.user_information is not None
        assert [str(item.uid) for item in request.user_information.ext_neg] == [PATIENT_FIND]
        peer.respond(peer.receive(), 0)
        peer.release()

    with FakePeer(script) as fake, DimseFuzzySearcher(fake.node(query_root=QueryRoot.PATIENT)) as searcher:
        assert found(searcher) == []


def with_sub_items(pdu: bytes, *items: bytes) -> bytes:
    """Return an A-ASSOCIATE-AC PDU with these among its user information, which is its last item."""
    position = 74
    while pdu[position] != 0x50:
        position += 4 + int.from_bytes(pdu[position + 2 : position + 4], "big")
    information = pdu[position + 4 :] + b"".join(items)
    body = pdu[6:position] + struct.pack(">BxH", 0x50, len(information)) + information
    return struct.pack(">BxL", 2, len(body)) + body


AGREED = sub_item(FIND, b"\0\0\1")


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([AGREED, AGREED], id="twice"),
        pytest.param([sub_item(PATIENT_FIND, b"\0\0\1")], id="of another class"),
        pytest.param([sub_item("", b"\0\0\1")], id="of no class"),
        pytest.param([AGREED[:4] + b"\xff\xff" + AGREED[6:]], id="class longer than the item"),
        pytest.param([AGREED[:4] + b"\0\3" + AGREED[6:]], id="class cut off"),
        pytest.param([b"\x56\0\0\1\0"], id="no class at all"),
        pytest.param([b"\x56\0\0\0"], id="empty"),
        pytest.param([AGREED[:2] + b"\xff\xff" + AGREED[4:]], id="longer than the message"),
        pytest.param([AGREED[:6] + b"\xff" * len(FIND) + b"\0\0\1"], id="class of garbage"),
    ],
)
def test_a_malformed_answer_is_told_and_the_association_aborted(items: list[bytes]):
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(with_sub_items(peer.accept_pdu(), *items))
        peer.expect_abort()

    with (
        FakePeer(script) as fake,
        DimseFuzzySearcher(fake.node()) as searcher,
        pytest.raises(ProtocolError, match="fake"),
    ):
        found(searcher)


def test_who_was_not_asked_may_answer_nevertheless():
    def script(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(with_sub_items(peer.accept_pdu(), sub_item(PATIENT_FIND, b"\1")))
        peer.respond(peer.receive(), 0)
        peer.release()

    with FakePeer(script) as fake, DimseSearcher(fake.node()) as searcher:
        assert found(searcher) == []


def test_what_one_association_agrees_to_says_nothing_of_the_next():
    def agreeing(peer: Conversation) -> None:
        peer.read_request()
        peer.send_raw(with_sub_items(peer.accept_pdu(), AGREED))
        peer.respond(peer.receive(), 0)

    def ignoring(peer: Conversation) -> None:
        peer.accept()
        peer.respond(peer.receive(), 0)
        peer.release()

    with FakePeer(agreeing, ignoring) as fake, DimseFuzzySearcher(fake.node()) as searcher:
        found(searcher)
        assert not searcher.has_matched_literally
        found(searcher)
        assert searcher.has_matched_literally


def rejecting(peer: Conversation) -> None:
    peer.reject(result=1, source=1, reason=3)


def aborting(peer: Conversation) -> None:
    peer.read_request()
    peer.abort()


@pytest.mark.parametrize("refusing", [rejecting, aborting])
def test_an_archive_that_refuses_such_an_association_is_asked_without_it(
    refusing: Callable[[Conversation], None],
) -> None:
    def ordinary(peer: Conversation) -> None:
        request = peer.accept()
        assert request.user_information is not None
        assert not request.user_information.ext_neg
        peer.respond(peer.receive(), 0)
        peer.release()

    with FakePeer(refusing, ordinary) as fake, DimseFuzzySearcher(fake.node()) as searcher:
        assert found(searcher) == []
        assert searcher.has_matched_literally


def test_who_is_rejected_in_any_case_is_told_why() -> None:
    with (
        FakePeer(rejecting, rejecting) as fake,
        DimseFuzzySearcher(fake.node()) as searcher,
        pytest.raises(AssociationRejected, match="calling AE title"),
    ):
        found(searcher)
