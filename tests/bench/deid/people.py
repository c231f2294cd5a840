"""Fictional people, and how what identifies them is spelled in texts.

Names are made up so that they are no words of radiology: what of them is found in a result has survived.
"""

from dataclasses import dataclass
from datetime import date
from random import Random


@dataclass(frozen=True, slots=True)
class Plant:
    """A spelling of something that identifies, and the parts of it that may not survive."""

    text: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """A patient. `character_set` is the Specific Character Set that can write the name."""

    family: str
    given: str
    full_name: str
    """As a PN value, with all its component groups."""
    character_set: tuple[str, ...]
    patient_id: str
    other_id: str
    birth_date: date
    sex: str
    phone: str
    street: str
    city: str
    native: tuple[str, ...] = ()
    """The parts of the name in other component groups."""

    @property
    def mail(self) -> str:
        """An electronic mail address."""
        return f"{_ascii(self.given)}.{_ascii(self.family)}@post.example".lower()

    @property
    def birth(self) -> str:
        """The birth date as a DA value."""
        return f"{self.birth_date:%Y%m%d}"

    def tokens(self) -> tuple[str, ...]:
        """Return what may be nowhere in a de-identified instance."""
        names = (self.family, self.given, *self.native)
        numbers = (self.patient_id, self.other_id, self.phone[-7:], self.birth)
        return (*names, *numbers, self.street.split()[0], self.mail)

    def name_spellings(self) -> tuple[Plant, ...]:
        """Return the name in all orders, cases and abbreviations that people write."""
        family, given = self.family, self.given
        both, last = (family, given), (family,)
        spellings = (
            Plant(f"{family}^{given}", both),
            Plant(f"{given} {family}", both),
            Plant(f"{family}, {given}", both),
            Plant(f"{family} {given}".upper(), both),
            Plant(f"{given} {family}".lower(), both),
            Plant(f"{given[0]}. {family}", last),
            Plant(f"{family}, {given[0]}.", last),
            Plant(f"{family.upper()}_{given.upper()}", both),
            Plant(f"Mrs {family}", last),
            Plant(f"{given}'s", (given,)),
        )
        without_accents = _without_accents(family)
        others = (*self.native, *((without_accents,) if without_accents else ()))
        return (*spellings, *(Plant(part, (part,)) for part in others))

    def number_spellings(self) -> tuple[Plant, ...]:
        """Return numbers and addresses as people write them."""
        birth, phone = self.birth_date, self.phone
        return (
            Plant(f"ID {self.patient_id}", (self.patient_id,)),
            Plant(f"MRN:{self.patient_id}", (self.patient_id,)),
            Plant(f"#{self.other_id}", (self.other_id,)),
            Plant(f"*{birth:%d.%m.%Y}", (f"{birth:%d.%m.%Y}",)),
            Plant(f"DOB {birth:%m/%d/%Y}", (f"{birth:%m/%d/%Y}",)),
            Plant(f"born {birth:%Y-%m-%d}", (f"{birth:%Y-%m-%d}",)),
            Plant(f"{birth:%d} {birth:%b} {birth:%Y}", (f"{birth:%d %b %Y}",)),
            Plant(self.birth, (self.birth,)),
            Plant(f"Tel {phone}", (phone[-7:],)),
            Plant(f"({phone[:5]}) {phone[5:8]}-{phone[8:]}", (phone[-7:],)),
            Plant(self.mail, (self.mail,)),
            Plant(f"{self.street}, {self.city}", (self.street.split()[0],)),
        )


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody who works where the images come from, as a PN value."""

    family: str
    given: str

    @property
    def full_name(self) -> str:
        """The PN value."""
        return f"{self.family}^{self.given}^^Dr."

    def name_spellings(self) -> tuple[Plant, ...]:
        """Return how texts name a colleague."""
        return (
            Plant(f"Dr. {self.family}", (self.family,)),
            Plant(f"{self.given} {self.family}", (self.given, self.family)),
            Plant(f"Dr {self.family.upper()}", (self.family,)),
        )


_LATIN_1 = ("ISO_IR 100",)
_UTF_8 = ("ISO_IR 192",)


def people(random: Random) -> tuple[Person, ...]:
    """Return all patients; their numbers depend on the random generator."""
    return tuple(_person(random, index, name) for index, name in enumerate(_NAMES))


def staff() -> tuple[Staff, ...]:
    """Return who refers, operates and reads."""
    names = (
        "Grimbelwood Ottolina",
        "Pfotenhauer-Wirsching Kunibert",
        "Snodgrassle Wilfredo",
        "Ckonrathy Ulfmund",
    )
    return tuple(Staff(*name.split()) for name in names)


@dataclass(frozen=True, slots=True)
class _Name:
    family: str
    given: str
    character_set: tuple[str, ...]
    native: tuple[str, ...] = ()
    more_groups: str = ""


_NAMES = (
    _Name("Quabbelstein", "Trudbert", ("",)),
    _Name("Müffelding", "Jörgine", _LATIN_1),
    _Name("Zyrkowska", "Bogumilla", _UTF_8),
    _Name("Yamakuro", "Tarouta", ("", "ISO 2022 IR 87"), ("山黒", "太郎太"), "=山黒^太郎太"),
    _Name("Hongsik", "Gildongi", ("", "ISO 2022 IR 149"), ("홍식", "길동이"), "=홍식^길동이"),
    _Name("Wangxiu", "Xiaodongh", ("GB18030",), ("王秀", "小东海"), "=王秀^小东海"),
    _Name("Βλαχοπουλίδης", "Ξενοφώντας", ("ISO_IR 126",)),
    _Name("Люксембургова", "Мариетта", ("ISO_IR 144",)),
    _Name("Brennecœurté", "Zoéline", _UTF_8),
    _Name("O'Threlkeldy", "Persimmonia", ("",)),
    _Name("Vandergrift-Hjälmqvist", "Torbjörna", _LATIN_1),
    _Name(
        "Shimazumori", "Hanakoto", ("ISO_IR 100", "ISO 2022 IR 87"), ("島津森", "花子戸"), "=島津森^花子戸"
    ),
)


def _person(random: Random, index: int, name: _Name) -> Person:
    return Person(
        family=name.family,
        given=name.given,
        full_name=f"{name.family}^{name.given}{name.more_groups}",
        character_set=name.character_set,
        patient_id=_patient_id(random, index),
        other_id=f"X{random.randrange(10**7, 10**8)}",
        birth_date=date(random.randrange(1938, 2011), random.randrange(1, 13), random.randrange(13, 29)),
        sex="FMO"[index % 3],
        phone=f"+4962{random.randrange(10**7, 10**8)}",
        street=f"{_STREETS[index % len(_STREETS)]} {random.randrange(1, 99)}",
        city=f"{random.randrange(10**4, 10**5)} Niederwurzelbach",
        native=name.native,
    )


_STREETS = ("Schlehdornpfad", "Kuckucksheimer Weg", "Applethwaite Lane", "Quittengasse")


def _patient_id(random: Random, index: int) -> str:
    number = random.randrange(10**7, 10**8)
    return (f"{number}", f"PID{number}", f"{number // 1000}-{number % 1000:03}")[index % 3]


def _without_accents(name: str) -> str:
    """Return a name as keyboards without its letters write it: Müller as Mueller."""
    spelled = name.translate(str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "œ": "oe", "é": "e"}))
    return "" if spelled == name else spelled


def _ascii(text: str) -> str:
    kept = "".join(character for character in text if character.isascii() and character.isalnum())
    return kept or f"nn{len(text)}"
