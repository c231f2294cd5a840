"""A synthetic answer key in the manner of MIDI-B: instances, and what must become of each attribute.

It is no MIDI-B score: instances, texts and weights are our own. What is required of an attribute follows
from the table of PS3.15, from the options of ADIT's default profile (Clean Descriptors, modified dates,
patient characteristics) and from what was planted.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from itertools import cycle, islice
from random import Random

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from tests.bench.deid import texts
from tests.bench.deid.images import BANNER_ROWS
from tests.bench.deid.objects import KINDS, build
from tests.bench.deid.part10 import is_in_bytes, searchable, written
from tests.bench.deid.paths import ElementPath
from tests.bench.deid.people import Person, people, staff
from tests.bench.deid.place import Place, Referenced


class Action(StrEnum):
    """What is required, in the words of MIDI-B."""

    TAG_KEPT = "tag kept"
    TEXT_KEPT = "text kept"
    TEXT_REMOVED = "text removed"
    TEXT_NOT_NULL = "text not null"
    UID_CHANGED = "uid changed"
    UID_CONSISTENT = "uid consistent"
    DATE_SHIFTED = "date shifted consistently"
    PATIENT_ID_CONSISTENT = "patient id consistent"
    PIXELS_KEPT = "pixels kept"
    PIXELS_HIDDEN = "pixels hidden"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One action that is required of the element at a path.

    `original` is what the element had, as text (of pixels: their hash, or the rows of a banner).
    `tokens` are what may not survive, and `removable` says that the element may be missing in the result.
    """

    action: Action
    path: ElementPath
    original: str = ""
    tokens: tuple[str, ...] = ()
    removable: bool = False


@dataclass(frozen=True, slots=True)
class KeyInstance:
    """An instance with all that is required of it."""

    kind: str
    dataset: Dataset
    person: Person
    requirements: tuple[Requirement, ...]


def answer_key(instances: int = 550, seed: int = 20) -> tuple[KeyInstance, ...]:
    """Return this many instances of all kinds; the same seed gives the same bytes."""
    random = Random(seed)
    plants = cycle(random.sample(texts.PLANTABLE, len(texts.PLANTABLE)))
    dates = cycle(texts.SHIFTED)
    return tuple(
        _instance(random, kind, place, list(islice(plants, _PLANTS)), list(islice(dates, _DATES)))
        for kind, place in islice(places(random), instances)
    )


_PLANTS = 14
_DATES = 3
_HARMLESS = 6
_FIRST_DAY = datetime(2019, 3, 13)  # noqa: DTZ001 - DA and TM have no zone
_INSTANCES = 3
"""Instances in a series."""


def places(random: Random) -> Iterator[tuple[str, Place]]:
    """Yield places with kinds: each patient in turn gets another study, of four series of other kinds."""
    kinds = cycle(KINDS)
    for person in cycle(people(random)):
        taken = _FIRST_DAY + timedelta(days=random.randrange(1500), seconds=random.randrange(86400))
        yield from _study(random, person, taken, kinds)


def _study(
    random: Random, person: Person, taken: datetime, kinds: Iterator[str]
) -> Iterator[tuple[str, Place]]:
    study_instance_uid, frame_of_reference_uid = _uid(random), _uid(random)
    accession_number = f"ACC{random.randrange(10**8, 10**9)}"
    found = [Referenced(KINDS["CT"].sop_class_uid, _uid(random), _uid(random), study_instance_uid)]
    for series_number, kind in enumerate(islice(kinds, 4), start=1):
        series_instance_uid = _uid(random)
        for instance_number in range(1, _INSTANCES + 1):
            place = Place(
                person=person,
                staff=staff(),
                study_instance_uid=study_instance_uid,
                series_instance_uid=series_instance_uid,
                sop_instance_uid=_uid(random),
                frame_of_reference_uid=frame_of_reference_uid,
                series_number=series_number,
                instance_number=instance_number,
                accession_number=accession_number,
                taken=taken + timedelta(seconds=20 * instance_number),
                referenced=tuple(found[-2:]),
            )
            yield kind, place
            found.append(
                Referenced(
                    KINDS[kind].sop_class_uid, place.sop_instance_uid, series_instance_uid, study_instance_uid
                )
            )


def _uid(random: Random) -> str:
    """Return a UID under one of the roots that devices use."""
    root = random.choice(["1.2.826.0.1.3680043.9.9999", "1.3.12.2.1107.5.1.4", "2.25"])
    return f"{root}.{random.randrange(10**20, 10**24)}"


def _instance(
    random: Random, kind: str, place: Place, plants: Iterable[str], dates: Iterable[str]
) -> KeyInstance:
    made = build(kind, place)
    _write_texts(made, random, place, plants)
    for keyword in dates:
        if keyword not in made:
            setattr(made, keyword, texts.date_value(random, keyword, place))
    texts.add_nested(made, random, place)
    texts.add_private(made, random, place)
    encoded = written(made)
    made = dcmread(BytesIO(encoded))
    required = _required(made, searchable(made, encoded), place)
    return KeyInstance(kind, made, place.person, tuple(required))


def _write_texts(made: Dataset, random: Random, place: Place, plants: Iterable[str]) -> None:
    for keyword in plants:
        setattr(made, keyword, texts.plant(random, keyword, place))
    for offered in (texts.HARMLESS, texts.KEPT_OUTSIDE_THE_TABLE):
        for keyword in random.sample(sorted(offered), _HARMLESS):
            if keyword not in made:
                setattr(made, keyword, random.choice(offered[keyword]))


def _required(made: Dataset, searched: bytes, place: Place) -> Iterator[Requirement]:
    tokens = _tokens(place)
    for token in _nowhere(place):
        if is_in_bytes(token, searched, place.person.character_set):
            yield Requirement(Action.TEXT_REMOVED, (), tokens=(token,))
    for path, element, sheltered in _leaves(made):
        if element.keyword == "PixelData":
            yield _required_of_pixels(made, path)
            continue
        yield from _required_of(path, element, sheltered, tokens)


def _tokens(place: Place) -> tuple[str, ...]:
    """Return all that must not survive in a text."""
    found = {token for spelled in texts.spellings(place) for token in spelled.tokens}
    return tuple(sorted({*found, *_nowhere(place)}))


def _nowhere(place: Place) -> tuple[str, ...]:
    """Return what must not survive anywhere in the bytes of an instance."""
    colleagues = (name for colleague in place.staff for name in (colleague.family, colleague.given))
    where = ("Niederwurzelbach", "ROOMQUITTE", "5550199")
    return (*place.person.tokens(), *colleagues, *where, place.accession_number, place.date)


def _leaves(
    made: Dataset, above: ElementPath = (), sheltered: bool = True
) -> Iterator[tuple[ElementPath, DataElement, bool]]:
    """Yield each element that is no sequence, and whether no sequence above it is confidential or private."""
    for element in made:
        if element.VR == "SQ":
            below = sheltered and not _is_confidential(element.tag)
            for index, nested in enumerate(element.value):
                yield from _leaves(nested, (*above, (int(element.tag), index)), below)
        else:
            yield (*above, (int(element.tag), 0)), element, sheltered


def _is_confidential(tag: BaseTag) -> bool:
    return tag.is_private or int(tag) in texts.CONFIDENTIAL


def _required_of(
    path: ElementPath, element: DataElement, sheltered: bool, tokens: tuple[str, ...]
) -> Iterator[Requirement]:
    """Yield what is required of one element.

    | element | required |
    |---|---|
    | holds what identifies | that goes; a value stays where the IOD demands one |
    | Patient ID | also the same for all instances of a patient, another for others |
    | UID of an instance, a series, … | another, everywhere the same |
    | date of the table | shifted, all of a patient by the same interval |
    | date in a sequence of the table | another |
    | in no row of the table, a clean descriptor, or a patient characteristic | the same |
    """
    text = text_of(element)
    keyword = element.keyword
    found = _found(text, tokens) if text and _is_text(element) else ()
    if element.VR == "UI":
        yield from _required_of_uid(path, element, sheltered)
    elif keyword in texts.SHIFTED:
        if text:
            yield _required_of_date(path, text, sheltered)
    elif found or keyword == "PatientBirthDate":
        yield Requirement(Action.TEXT_REMOVED, path, tokens=found or (text,))
        if keyword in _NOT_NULL and sheltered:
            yield Requirement(Action.TEXT_NOT_NULL, path)
        if keyword == "PatientID":
            yield Requirement(Action.PATIENT_ID_CONSISTENT, path, text)
    elif sheltered and keyword in texts.HARMLESS:
        yield Requirement(Action.TEXT_KEPT, path, text)
    elif sheltered and (keyword in _CHARACTERISTICS or not _is_confidential(element.tag)):
        yield Requirement(Action.TAG_KEPT, path, text)


_NOT_NULL = frozenset(
    {"PatientID", "PatientName", "StudyID", "StructureSetLabel", "RTPlanLabel", "ContainerIdentifier"}
)
"""What the IOD demands to have a value, or what archives stumble over without."""

_CHARACTERISTICS = frozenset({"PatientSex", "PatientAge", "PatientSize", "PatientWeight"})


def _required_of_date(path: ElementPath, text: str, sheltered: bool) -> Requirement:
    """Return that a date is shifted; what is in a confidential sequence may become a dummy instead."""
    if sheltered:
        return Requirement(Action.DATE_SHIFTED, path, text)
    return Requirement(Action.TEXT_REMOVED, path, tokens=(text[:8],))


def _required_of_pixels(made: Dataset, path: ElementPath) -> Requirement:
    if made.ManufacturerModelName == "Phantom US wide":
        return Requirement(Action.PIXELS_HIDDEN, path, str(BANNER_ROWS))
    return Requirement(Action.PIXELS_KEPT, path, hash_of(made.PixelData))


def _required_of_uid(path: ElementPath, element: DataElement, sheltered: bool) -> Iterator[Requirement]:
    uid = text_of(element)
    if UID(uid).name != uid or uid.startswith("1.2.840.10008."):
        if sheltered:
            yield Requirement(Action.TAG_KEPT, path, uid)
        return
    yield Requirement(Action.UID_CHANGED, path, uid, removable=not sheltered)
    yield Requirement(Action.UID_CONSISTENT, path, uid, removable=not sheltered)


def _found(text: str, tokens: tuple[str, ...]) -> tuple[str, ...]:
    searched = plain(text)
    return tuple(token for token in tokens if plain(token) in searched)


def _is_text(element: DataElement) -> bool:
    return element.VR not in {"UI", "DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "OW", "AT"}


def text_of(element: DataElement) -> str:
    """Return a value as text, in which values are compared."""
    if element.value is None:
        return ""
    if isinstance(element.value, bytes):
        return element.value.decode("latin-1")
    if element.VM > 1:
        return "\\".join(str(value) for value in element.value)
    return str(element.value)


def contains(text: str, token: str) -> bool:
    """Tell whether a text has a token, whatever its case and what separates its parts."""
    return plain(token) in plain(text)


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Return only letters and digits, in one case."""
    return "".join(character for character in text.casefold() if character.isalnum())


def hash_of(value: bytes) -> str:
    """Return the hash of pixel data."""
    return hashlib.blake2b(value, digest_size=16).hexdigest()
