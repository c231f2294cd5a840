"""Messages are cut into full PDUs, whatever the granularity of their fragments."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import P_DATA_TF

from adit_core.dicom.pdata import message_batches

COMMAND = bytes(range(100))


def pdus(fragments: list[bytes], max_length: int, command: bytes = COMMAND) -> list[bytes]:
    """Return the PDUs of a message, cut where their own lengths say."""
    stream = b"".join(
        piece for batch in message_batches(5, command, fragments, max_length) for piece in batch
    )
    found = []
    while stream:
        _, length = struct.unpack_from(">BxL", stream)
        assert len(stream) >= 6 + length
        found.append(stream[: 6 + length])
        stream = stream[6 + length :]
    return found


def values(encoded: list[bytes]) -> list[tuple[int, bytes]]:
    """Decode PDUs by pynetdicom: control header and bytes of each value."""
    found = []
    for pdu in encoded:
        decoded = P_DATA_TF()
        decoded.decode(pdu)
        for item in decoded.presentation_data_value_items:
            assert item.presentation_context_id == 5
            data = item.presentation_data_value
            assert data is not None
            found.append((data[0], data[1:]))
    return found


@given(st.lists(st.binary(max_size=700), max_size=12), st.integers(128, 1500))
def test_data_set_is_carried_unchanged_in_full_pdus(fragments: list[bytes], max_length: int):
    encoded = pdus(fragments, max_length)
    assert all(len(pdu) - 6 <= max_length for pdu in encoded)
    found = values(encoded)
    commands = [(control, data) for control, data in found if control & 1]
    data = [(control, data) for control, data in found if not control & 1]
    assert found == commands + data
    assert b"".join(part for _, part in commands) == COMMAND
    assert b"".join(part for _, part in data) == b"".join(fragments)
    assert [control for control, _ in commands] == [3]
    assert [control for control, _ in data] == ([0] * (len(data) - 1) + [2] if data else [])
    assert all(len(part) == max_length - 6 for _, part in data[:-1])


def test_long_command_set_is_cut():
    found = values(pdus([], 128, command=bytes(300)))
    assert [(control, len(data)) for control, data in found] == [(1, 122), (1, 122), (3, 56)]


def test_data_set_that_fills_its_pdus_exactly_ends_with_a_full_one():
    found = values(pdus([bytes(122)] * 3, 128))
    assert [(control, len(data)) for control, data in found[1:]] == [(0, 122), (0, 122), (2, 122)]


@pytest.mark.parametrize("max_length", [0, 0xFFFFFFFF])
def test_pdus_are_bounded_even_if_the_peer_sets_no_limit(max_length: int):
    encoded = pdus([bytes(1 << 20)] * 3, max_length)
    assert max(map(len, encoded)) <= (1 << 18) + 6


def test_large_data_set_is_sent_before_all_of_it_is_there():
    asked = 0

    def fragments():
        nonlocal asked
        for asked in range(100):  # noqa: B007 - looked at from outside
            yield bytes(100_000)

    next(message_batches(1, COMMAND, fragments(), 16384))
    assert asked < 5


def test_fragments_are_not_copied():
    fragment = bytes(50_000)
    pieces = [piece for batch in message_batches(1, COMMAND, [fragment], 16384) for piece in batch]
    views = [piece for piece in pieces if isinstance(piece, memoryview)]
    assert sum(map(len, views)) == 50_000
    assert all(view.obj is fragment for view in views)
