"""Patients who are easily found again: improbable words, and every form in which they may be written.

A word is looked for in any case and in the encodings that could hide it from a plain search. Several words
of a value are looked for one by one, so it does not matter what stands between them.
"""

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from urllib.parse import quote, quote_plus

import numpy as np
from pydicom import Dataset

_TRIPLE = 3
"""Bytes that become four characters of base64; a word may begin at each of them."""
_BEGINNING = 8
"""Bytes of each form that are looked for first; none is shorter."""


@dataclass(frozen=True)
class Person:
    """A patient, and those who look after her. No word is part of another, or of anything else."""

    family_name: str
    given_name: str
    patient_id: str
    birth_date: date
    accession_number: str
    study_description: str
    series_description: str
    physician: str
    address: str

    @property
    def patient_name(self) -> str:
        """The value of Patient's Name."""
        return f"{self.family_name}^{self.given_name}"

    def words(self) -> frozenset[str]:
        """Return all by which the patient could be known."""
        texts = {
            *(self.family_name, self.given_name, self.patient_id, self.accession_number),
            *(self.study_description, self.series_description, self.physician, self.address),
        }
        return frozenset(texts | _ways_to_write(self.birth_date))


HELD = Person(
    family_name="Zyxquörn",
    given_name="Wilfrimba",
    patient_id="PQX7731904",
    birth_date=date(1933, 11, 9),
    accession_number="ACQZ55107",
    study_description="Brumbolexstudy",
    series_description="Kwexilaxial",
    physician="Vondrelmast",
    address="Glorbenstrasse",
)
"""Is in archives and files only: nobody types it into what is wrong."""
TYPED = Person(
    family_name="Trelvöbaugh",
    given_name="Osquindra",
    patient_id="TYQ8850213",
    birth_date=date(1944, 12, 8),
    accession_number="ACTW90318",
    study_description="Slomperstudy",
    series_description="Vexigoaxial",
    physician="Quandlemast",
    address="Frimbelstrasse",
)
"""Is what people write into things that are refused: they may be told so, but nobody else."""
CONTROL = "Xylocontrolphone"
"""Is put everywhere, and has to be found there: else nothing is proved by not finding the others."""


def identify(instance: Dataset, person: Person) -> None:
    """Write into an instance what `StudySpec` has no words for."""
    instance.ReferringPhysicianName = f"{person.physician}^Otto"
    instance.PerformingPhysicianName = instance.OperatorsName = f"{person.physician}^Ottilie"
    instance.PatientAddress = f"{person.address} 17"
    instance.OtherPatientIDs = f"{person.patient_id}-2"
    instance.PatientComments = f"Sister of {person.patient_name}"


def found(words: Iterable[str], content: bytes) -> set[str]:
    """Return which words are written in `content`, in whatever form."""
    lowered = content.lower()
    forms = [(form, word) for word in words for form in _forms(word)]
    beginnings = _beginnings_in(lowered, {form[:_BEGINNING] for form, _ in forms})
    return {word for form, word in forms if form[:_BEGINNING] in beginnings and form in lowered}


def found_in(words: Iterable[str], places: Mapping[str, bytes]) -> dict[str, set[str]]:
    """Return which words are written where; places without any are left out."""
    chosen = tuple(words)
    return {name: which for name, content in places.items() if (which := found(chosen, content))}


def _ways_to_write(day: date) -> set[str]:
    return {
        *(day.strftime(form) for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")),
        f"date({day.year}, {day.month}, {day.day})",
    }


def _beginnings_in(content: bytes, wanted: set[bytes]) -> set[bytes]:
    """Return which of these 8 bytes are in `content`: once through it, since there may be hundreds."""
    numbers = np.array([int.from_bytes(each, "little") for each in wanted], dtype="<u8")
    is_likely = np.zeros(1 << 16, dtype=bool)
    is_likely[numbers & 0xFFFF] = True
    met: set[int] = set()
    for offset in range(_BEGINNING):
        count = (len(content) - offset) // _BEGINNING
        if count > 0:
            windows = np.frombuffer(content, "<u8", count, offset)
            likely = windows[is_likely[windows & 0xFFFF]]
            met.update(likely[np.isin(likely, numbers)].tolist())
    return {number.to_bytes(_BEGINNING, "little") for number in met}


@cache
def _forms(word: str) -> frozenset[bytes]:
    """Return all forms of a word, in lower case."""
    return frozenset(
        form.lower() for variant in (word, word.lower(), word.upper()) for form in _written(variant)
    )


def _written(word: str) -> Iterator[bytes]:
    for encoded in (word.encode(), word.encode("latin-1"), _inner_utf_16(word)):
        yield encoded
        yield encoded.hex().encode()
        yield from _in_base64(encoded)
    escaped = json.dumps(word)[1:-1]
    percent = quote(word, safe="")
    texts = (
        *(percent, quote(percent, safe=""), quote_plus(word), quote(word, safe="", encoding="latin-1")),
        *(escaped, json.dumps(escaped)[1:-1], ascii(word)[1:-1]),
        *(repr(word.encode())[2:-1], repr(word.encode("latin-1"))[2:-1]),
        *(html.escape(word), word.encode("ascii", "xmlcharrefreplace").decode()),
    )
    yield from (text.encode() for text in texts)


def _inner_utf_16(word: str) -> bytes:
    """Return what UTF-16 makes of a word in either order of bytes, but for one at an end."""
    return word.encode("utf-16-le")[:-1]


def _in_base64(data: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of `data` wherever it stands, without the characters that neighbours share."""
    for before in range(_TRIPLE):
        encoded = base64.b64encode(b"\0" * before + data)
        first = 4 if before else 0
        last = 4 if (before + len(data)) % _TRIPLE else 0
        inner = encoded[first : len(encoded) - last]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))
