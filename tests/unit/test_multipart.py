"""Multipart bodies are split the same, wherever the network cuts them and whatever the parts hold."""

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from email import message_from_bytes
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adit_core.dicom.multipart import (
    MalformedBody,
    MediaType,
    MultipartReader,
    TruncatedBody,
    encode_parts,
    encoded_length,
)

BOUNDARY = "=_b.1"
DELIMITER = f"\r\n--{BOUNDARY}".encode()
LIKE_DELIMITERS = (
    DELIMITER + b"x",
    DELIMITER + b" x\r\n",
    DELIMITER[:-1],
    DELIMITER[2:],
    DELIMITER + b"\r",
    DELIMITER + b"\n",
    DELIMITER + b"-",
    DELIMITER + b" " * 300 + b"\r\n",
    b"\r\n",
    b"\r",
    b"\r\n--",
    b"\r\n\r\n",
)


def chunks(body: bytes, sizes: Sequence[int]) -> Callable[[], bytes]:
    """Return a `read` that hands out `body` in chunks of these sizes, again and again."""

    def pieces() -> Iterator[bytes]:
        position = 0
        while position < len(body):
            for size in sizes:
                yield body[position : position + size]
                position += size

    source = (piece for piece in pieces() if piece)
    return lambda: next(source, b"")


def read_all(body: bytes, sizes: Sequence[int] = (1 << 20,)) -> list[tuple[dict[str, str], bytes]]:
    reader = MultipartReader(chunks(body, sizes), BOUNDARY)
    return [(dict(part.headers), b"".join(part.content)) for part in reader.parts()]


def contents(body: bytes, sizes: Sequence[int] = (1 << 20,)) -> list[bytes]:
    return [content for _, content in read_all(body, sizes)]


def made_by_hand(parts: Sequence[bytes], *, with_length: bool, padding: bytes = b"") -> bytes:
    body = b""
    for part in parts:
        body += DELIMITER + padding + b"\r\nContent-Type: application/dicom\r\n"
        body += b"Content-Length: %d\r\n" % len(part) if with_length else b""
        body += b"\r\n" + part
    return body + DELIMITER + b"--\r\n"


def is_free_of_delimiters(content: bytes) -> bool:
    """Tell whether RFC 2046 allows the content in a part, together with the delimiter that follows it."""
    body = b"\r\n" + content + DELIMITER + b"\r\n"
    found, position = [], body.find(DELIMITER)
    while position >= 0:
        rest = body[position + len(DELIMITER) :]
        if rest.startswith(b"--") or rest.lstrip(b" \t").startswith(b"\r\n"):
            found.append(position)
        position = body.find(DELIMITER, position + 1)
    return found == [len(content) + 2]


pieces_of_content = st.one_of(st.binary(max_size=40), st.sampled_from(LIKE_DELIMITERS))
some_content = st.lists(pieces_of_content, max_size=8).map(b"".join)
allowed_content = some_content.filter(is_free_of_delimiters)
chunk_sizes = st.lists(st.integers(1, 70), min_size=1, max_size=8)


@given(parts=st.lists(allowed_content, min_size=1, max_size=5), sizes=chunk_sizes)
def test_parts_are_found_by_their_boundary_wherever_chunks_end(parts: list[bytes], sizes: list[int]):
    assert contents(made_by_hand(parts, with_length=False), sizes) == parts


@given(parts=st.lists(some_content, min_size=1, max_size=5), sizes=chunk_sizes)
def test_parts_of_known_length_may_hold_anything(parts: list[bytes], sizes: list[int]):
    assert contents(made_by_hand(parts, with_length=True), sizes) == parts


@given(parts=st.lists(allowed_content, min_size=1, max_size=5), sizes=chunk_sizes)
def test_what_we_write_is_what_we_read(parts: list[bytes], sizes: list[int]):
    body = b"".join(encode_parts(BOUNDARY, "application/dicom", ([part] for part in parts)))
    assert len(body) == encoded_length(BOUNDARY, "application/dicom", map(len, parts))
    head = {"content-type": "application/dicom"}
    assert read_all(body, sizes) == [(head | {"content-length": str(len(part))}, part) for part in parts]
    body = b"".join(encode_parts(BOUNDARY, "application/dicom", (iter([part]) for part in parts)))
    assert read_all(body, sizes) == [(head, part) for part in parts]


def test_small_pieces_are_joined_but_not_without_limit():
    pieces = [b"a" * 100] * 10_000 + [b"b" * 100_000]
    written = list(encode_parts(BOUNDARY, "application/dicom", [iter(pieces)]))
    assert b"".join(pieces) in b"".join(written)
    assert len(written) < 40
    assert max(map(len, written)) <= 100_000


@given(parts=st.lists(allowed_content, min_size=1, max_size=3), with_length=st.booleans(), data=st.data())
def test_body_that_ends_early_is_noticed(parts: list[bytes], with_length: bool, data: st.DataObject):
    body = made_by_hand(parts, with_length=with_length)
    cut = data.draw(st.integers(0, len(body) - len(b"--\r\n")))
    with pytest.raises(TruncatedBody):
        contents(body[:cut])


@given(body=st.binary(max_size=300) | some_content, sizes=chunk_sizes)
def test_nonsense_ends_in_an_error_or_in_parts(body: bytes, sizes: list[int]):
    with suppress(TruncatedBody, MalformedBody):
        contents(body, sizes)


def test_what_we_write_is_read_by_the_standard_library():
    body = b"".join(encode_parts(BOUNDARY, "application/dicom", [[b"one ", b"part"], [b"another"]]))
    head = f'Content-Type: multipart/related; boundary="{BOUNDARY}"\r\n\r\n'.encode()
    message = message_from_bytes(head + body, policy=HTTP)
    assert [part.get_payload(decode=True) for part in message.iter_parts()] == [b"one part", b"another"]


def test_body_without_parts_has_none():
    assert contents(f"--{BOUNDARY}--\r\n".encode()) == []


def test_preamble_and_epilogue_are_skipped():
    body = b"Read on." + made_by_hand([b"content"], with_length=False) + b"The end."
    assert contents(body) == [b"content"]


def test_delimiters_may_be_followed_by_spaces():
    assert contents(made_by_hand([b"1", b"2"], with_length=False, padding=b" \t "), [1]) == [b"1", b"2"]


def test_names_of_headers_are_not_sensitive_to_case():
    body = DELIMITER + b"\r\ncontent-LENGTH : 3\r\nX-Other:a:b\r\n\r\nabc" + DELIMITER + b"--"
    assert read_all(body) == [({"content-length": "3", "x-other": "a:b"}, b"abc")]


def test_part_without_headers_is_read():
    assert read_all(DELIMITER + b"\r\n\r\ncontent" + DELIMITER + b"--") == [({}, b"content")]


def test_content_length_that_is_no_number_is_ignored():
    body = DELIMITER + b"\r\nContent-Length: -3\r\n\r\nabc" + DELIMITER + b"--"
    assert contents(body) == [b"abc"]


@pytest.mark.parametrize("length", [2, 4], ids=["too short", "too long"])
def test_wrong_content_length_is_noticed(length: int):
    body = DELIMITER + b"\r\nContent-Length: %d\r\n\r\nabc" % length + DELIMITER + b"--\r\n"
    with pytest.raises((MalformedBody, TruncatedBody)):
        contents(body + b"." * 100)


def test_content_that_nobody_reads_is_skipped():
    body = made_by_hand([b"one" * 100, b"two", b"three"], with_length=False)
    parts = MultipartReader(chunks(body, [7]), BOUNDARY).parts()
    taken = [next(iter(part.content)) for part in parts]
    assert len(taken) == 3


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(bytes(1 << 20), id="preamble"),
        pytest.param(DELIMITER + b"\r\nX: " + b"x" * (1 << 20), id="headers"),
    ],
)
def test_what_does_not_end_is_not_kept(body: bytes):
    with pytest.raises(MalformedBody):
        contents(body, [1 << 12])


def test_large_part_is_not_held_in_memory():
    megabyte = bytes(1 << 20)
    head = made_by_hand([], with_length=False)[:-4] + b"\r\n\r\n"
    body = iter([head, *[megabyte] * 500, DELIMITER + b"--\r\n"])
    tracemalloc.start()
    try:
        for part in MultipartReader(lambda: next(body, b""), BOUNDARY).parts():
            assert sum(map(len, part.content)) == 500 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("header", "name", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', "multipart/related", "abc"),
        ('Multipart/Related;boundary="a b:c"', "multipart/related", "a b:c"),
        ("application/dicom", "application/dicom", ""),
        ("multipart/related", "multipart/related", ""),
        ("", "text/plain", ""),
        ("nonsense", "text/plain", ""),
    ],
)
def test_media_types_are_understood(header: str, name: str, boundary: str):
    assert MediaType.parse(header) == MediaType(name, boundary)
