"""Words that must be nowhere are found wherever they are, in whatever form."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tests.markers import CONTROL, HELD, TYPED, found

_SENTENCE = "Study of {}^X, asked for."
_HIDDEN: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "Latin-1": lambda text: text.encode("latin-1"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 from an odd place": lambda text: b"x" + text.encode("utf-16-be"),
    "percent": lambda text: quote(text, safe="").encode(),
    "percent twice": lambda text: quote(quote(text, safe=""), safe="").encode(),
    "a form": lambda text: quote_plus(text).encode(),
    "JSON": lambda text: json.dumps({"detail": text}).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"detail": text})).encode(),
    "repr of text": lambda text: ascii(text).encode(),
    "repr of bytes": lambda text: repr(text.encode()).encode(),
    "HTML": lambda text: html.escape(text).encode(),
    "HTML of ASCII": lambda text: text.encode("ascii", "xmlcharrefreplace"),
    "hex": lambda text: text.encode().hex().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 from another place": lambda text: base64.b64encode(b"?" + text.encode()),
    "base64 from a third place": lambda text: base64.urlsafe_b64encode(b"??" + text.encode()),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")),
}


@pytest.mark.parametrize("hidden", _HIDDEN)
def test_every_word_is_found_however_it_is_written(hidden: str) -> None:
    for word in (*HELD.words(), *TYPED.words(), CONTROL):
        content = b"\0some\n" + _HIDDEN[hidden](_SENTENCE.format(word)) + b" bytes"
        assert word in found({word}, content)


def test_nothing_else_is_found() -> None:
    words = HELD.words() | TYPED.words() | {CONTROL}
    innocent = "Job 1 of Doe^Jane, 1970-01-01: 20240102, ACQ, PQX. The study is of 2024-11-09."
    for write in _HIDDEN.values():
        assert found(words, write(innocent)) == set()
    for word in words:
        assert found(words, word.encode()) == {word}, "no word is part of another"
