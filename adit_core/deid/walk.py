"""One way through one data set, element by element and item by item, that makes its clean likeness."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pydicom.datadict import private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from adit_core.deid.charsets import decode
from adit_core.deid.dummies import dummy, padded
from adit_core.deid.opened import Element, Opened, raw_value
from adit_core.deid.rules import Place, Rule, RuleBook
from adit_core.deid.standard import Action
from adit_core.deid.values import Context, ValueCleaner

SafePrivateElements = dict[tuple[str, int], frozenset[int]]
"""The last bytes of element numbers, by private creator and group."""

_TEXTS = frozenset(["LO", "LT", "SH", "ST", "UC", "UT"])
_DECIMALS = frozenset(["DS", "IS"])
_BYTES = frozenset(["OB", "OD", "OF", "OL", "OV", "OW"])
_NUMBERS = frozenset(["FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"])
_FAMILIES = (_TEXTS, _DECIMALS, _BYTES, _NUMBERS)
"""VRs that stand for one another in what devices write."""
_PASSING = _BYTES | _NUMBERS | {"AT"}
"""VRs whose values are not looked at here, for they hold no text. The checker looks all the same."""
_CHECKED = frozenset(["AS", "CS", "DS", "IS"])
"""VRs whose values are looked at even where an option says keep, for it is cheap to prove them."""
_UNSURE = frozenset({None, "UN"})
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PRIVATE_GROUP = 0x10000
_FIRST_CREATOR, _LAST_CREATOR = 0x10, 0xFF
_PRIVATE = Rule(Action.REMOVE, Action.REMOVE, "private", "", "")


@dataclass(frozen=True, slots=True)
class Step:
    """What was done to one element."""

    path: str
    tag: int
    rule: Rule
    element: Element
    result: Element | None
    encodings: tuple[str, ...]


Record = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a walk is: the place, what values are cleaned against, and the path for `record`.

    `record`, if there is one, is told of every element, nested ones before their sequence.
    """

    place: Place
    context: Context
    record: Record | None = None
    path: str = ""

    def of_item(self, rule: Rule, number: int, item: Opened) -> Self:
        """Return the visit of an item of a sequence that has this rule here."""
        context = self.context
        if item.encodings != context.encodings:
            context = Context(context.known, item.encodings)
        path = f"{self.path}{rule.keyword}[{number}]." if self.record else ""
        return type(self)(self.place.inside(rule), context, self.record, path)


class Walk:
    """Goes through data sets by the rules of one profile; remembers the rules that it has asked for."""

    def __init__(self, book: RuleBook, cleaner: ValueCleaner, safe_private: SafePrivateElements) -> None:
        self._book = book
        self._cleaner = cleaner
        self._safe_private = safe_private
        self._rules: dict[Place, dict[int, Rule]] = {}

    def elements(self, data: Opened, visit: Visit) -> dict[BaseTag, Element]:
        """Return the clean elements of a data set; what was not changed is the same object."""
        rules = self._rules.setdefault(visit.place, {})
        private = self._private_rules(data)
        found: dict[BaseTag, Element] = {}
        for tag, element in data.dataset.items():
            if tag & _PRIVATE_GROUP:
                rule = private.get(tag, _PRIVATE)
            else:
                rule = rules.get(tag) or rules.setdefault(tag, self._book.rule(tag, visit.place))
            if rule.action is Action.REMOVE:
                result = None
            elif tag in data.sequences:
                result = self._sequence(element, rule, data.sequences[tag], visit)
            else:
                result = self._single(element, rule, visit.context)
            if result is not None:
                found[tag] = result
            if visit.record is not None:
                path = f"{visit.path}{rule.keyword or tag}"
                visit.record(Step(path, tag, rule, element, result, data.encodings))
        return found

    def _single(self, element: Element, rule: Rule, context: Context) -> Element | None:
        """Return what becomes of an element that is no sequence."""
        vr = rule.vr.partition(" or ")[0] if element.VR in _UNSURE else str(element.VR)
        action = rule.action if _agree(vr, rule.vr) else rule.otherwise
        if (action is Action.KEEP and vr not in _CHECKED) or (action is Action.CLEAN and vr in _PASSING):
            return element
        value = raw_value(element, context.encodings)
        if not value and Action.DUMMY not in {action, rule.otherwise}:
            return element if action is not Action.REMOVE else None
        if action in {Action.CLEAN, Action.KEEP}:
            cleaned = self._cleaner.cleaned(int(element.tag), vr, value, context)
            if cleaned is not None:
                return _changed(element, vr, value, cleaned)
            action = rule.otherwise
        return _changed(element, vr, value, self._replacement(action, rule, vr, value))

    def _replacement(self, action: Action, rule: Rule, vr: str, value: bytes) -> bytes | None:
        if rule.replacement:
            return padded(rule.replacement.encode("ascii"))
        if action is Action.REPLACE_UID and vr == "UI":
            return self._cleaner.mapped_uids(value)
        if action is Action.DUMMY:
            return dummy(vr, value)
        return b"" if action is Action.EMPTY else None

    def _sequence(self, element: Element, rule: Rule, items: list[Opened], visit: Visit) -> Element | None:
        """Return what becomes of a sequence: its items, each gone through."""
        if rule.replacement or rule.action is Action.EMPTY:
            return DataElement(element.tag, "SQ", Sequence())
        cleaned = [
            self.elements(item, visit.of_item(rule, number, item)) for number, item in enumerate(items)
        ]
        if items and not any(cleaned):
            is_needed = rule.otherwise is not Action.REMOVE
            return DataElement(element.tag, "SQ", Sequence()) if is_needed else None
        if all(map(_is_same, items, cleaned)):
            return element
        result = DataElement(element.tag, "SQ", Sequence(map(likeness, items, cleaned)))
        result.is_undefined_length = _has_undefined_length(element)
        return result

    def _private_rules(self, data: Opened) -> dict[int, Rule]:
        """Return the rules of the private attributes that may stay, and of their creators (PS3.15 E.3.10)."""
        if not self._safe_private:
            return {}
        rules: dict[int, Rule] = {}
        creators = _creators(data)
        for tag, element in data.dataset.items():
            creator_tag = tag & 0xFFFF0000 | tag >> 8 & 0xFF
            creator = creators.get(creator_tag)
            if creator is None:
                continue
            if tag & 0xFF in self._safe_private.get((creator, tag >> 16), frozenset()):
                vr = _private_vr(tag, creator, element)
                rules[tag] = Rule(
                    Action.CLEAN, Action.REMOVE, f"safe private of {creator}", _name(tag, creator), vr
                )
                rules[creator_tag] = Rule(Action.KEEP, Action.REMOVE, "private creator", "", "LO")
        return rules


def likeness(data: Opened, elements: dict[BaseTag, Element]) -> Dataset:
    """Return a data set of other elements that is encoded like `data`."""
    source = data.dataset
    made = Dataset(elements, parent_encoding=list(data.encodings))
    made.set_original_encoding(*source.original_encoding, list(data.encodings))
    made.is_undefined_length_sequence_item = source.is_undefined_length_sequence_item
    return made


def _is_same(data: Opened, elements: dict[BaseTag, Element]) -> bool:
    return len(elements) == len(data.dataset) and all(
        elements.get(tag) is element for tag, element in data.dataset.items()
    )


def _has_undefined_length(element: Element) -> bool:
    if isinstance(element, RawDataElement):
        return element.length == _UNDEFINED_LENGTH
    return element.is_undefined_length


def _changed(element: Element, vr: str, old: bytes, new: bytes | None) -> Element | None:
    if new is None:
        return None
    if new == old:
        return element
    if isinstance(element, RawDataElement):
        return element._replace(value=new, length=len(new))
    return RawDataElement(element.tag, vr, len(new), new, 0, is_implicit_VR=False, is_little_endian=True)


def _agree(vr: str, expected: str) -> bool:
    """Tell whether a value may have this VR where the dictionary says `expected`, such as ``US or SS``."""
    return vr in expected.split(" or ") or any(
        vr in family and not family.isdisjoint(expected.split(" or ")) for family in _FAMILIES
    )


def _creators(data: Opened) -> dict[int, str]:
    creators: dict[int, str] = {}
    for tag, element in data.dataset.items():
        if tag & _PRIVATE_GROUP and _FIRST_CREATOR <= tag & 0xFFFF <= _LAST_CREATOR:
            creators[tag] = decode(raw_value(element, data.encodings), data.encodings) or ""
    return creators


def _name(tag: int, creator: str) -> str:
    return f"({tag >> 16:04X},{creator},{tag & 0xFF:02X})"


def _private_vr(tag: int, creator: str, element: Element) -> str:
    """Return the VR of a private attribute: what it says, else what the dictionary says of it."""
    if element.VR not in _UNSURE:
        return str(element.VR)
    try:
        return private_dictionary_VR(tag, creator)
    except KeyError:
        return "UN"
