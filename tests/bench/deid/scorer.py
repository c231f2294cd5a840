"""The score of a de-identifier: which of the actions that the key requires it has taken."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from io import BytesIO
from typing import Self

from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.bench.deid.key import Action, KeyInstance, Requirement, contains, hash_of, text_of
from tests.bench.deid.part10 import is_in_bytes, searchable
from tests.bench.deid.paths import element_at, name_of

_TOLERANCE = 1
"""Days by which shifts may differ: who shifts by hours moves some dates a day further than others."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A required action that was not taken. Tells no value, so that it can be printed."""

    action: Action
    kind: str
    path: str


@dataclass(slots=True)
class Score:
    """How many actions were required and taken, of each kind."""

    required: Counter[Action] = field(default_factory=Counter)
    taken: Counter[Action] = field(default_factory=Counter)
    misses: list[Miss] = field(default_factory=list)
    withheld: int = 0
    """Instances that did not leave: nothing of them survives, and nothing of them is kept."""

    def percent(self, *actions: Action) -> float:
        """Return the share that was taken, of these actions or of all, in percent."""
        chosen = actions or tuple(self.required)
        return 100 * sum(self.taken[action] for action in chosen) / sum(self.required[a] for a in chosen)


@dataclass(frozen=True, slots=True)
class _Pair:
    original: KeyInstance
    result: Dataset
    searched: bytes
    """The encoded result, as it is searched for what survived."""

    @classmethod
    def of(cls, original: KeyInstance, encoded: bytes) -> Self:
        """Read a Part 10 file."""
        result = dcmread(BytesIO(encoded))
        return cls(original, result, searchable(result, encoded))


def score(key: Sequence[KeyInstance], results: Mapping[str, bytes]) -> Score:
    """Compare what a de-identifier made of the key; `results` are Part 10 files by the original UID."""
    found = Score()
    pairs = [
        _Pair.of(instance, encoded)
        for instance in key
        if (encoded := results.get(instance.dataset.SOPInstanceUID))
    ]
    found.withheld = len(key) - len(pairs)
    majority = _Majority(pairs)
    present = {pair.original.dataset.SOPInstanceUID: pair for pair in pairs}
    for instance in key:
        pair = present.get(instance.dataset.SOPInstanceUID)
        for requirement in instance.requirements:
            found.required[requirement.action] += 1
            if _is_taken(requirement, pair, majority):
                found.taken[requirement.action] += 1
            else:
                found.misses.append(Miss(requirement.action, instance.kind, name_of(requirement.path)))
    return found


class _Majority:
    """What most occurrences of a value became: what is consistent is measured against it."""

    def __init__(self, pairs: Iterable[_Pair]) -> None:
        uids: dict[str, Counter[str]] = defaultdict(Counter)
        shifts: dict[str, Counter[int]] = defaultdict(Counter)
        pseudonyms: dict[str, Counter[str]] = defaultdict(Counter)
        for pair in pairs:
            for requirement in pair.original.requirements:
                new = _text_at(pair.result, requirement)
                match requirement.action:
                    case Action.UID_CONSISTENT if new:
                        uids[requirement.original][new] += 1
                    case Action.PATIENT_ID_CONSISTENT if new:
                        pseudonyms[requirement.original][new] += 1
                    case Action.DATE_SHIFTED if new and (days := _days(requirement.original, new)):
                        shifts[pair.original.person.patient_id][days] += 1
        self.uids = _most_common(uids)
        self.shifts = {patient: counted.most_common(1)[0][0] for patient, counted in shifts.items()}
        self.pseudonyms = _most_common(pseudonyms)
        self.claims = Counter([*self.uids.values(), *self.pseudonyms.values()])
        """How many originals became each value; two must not become one."""


def _most_common(counted: Mapping[str, Counter[str]]) -> dict[str, str]:
    return {original: values.most_common(1)[0][0] for original, values in counted.items()}


def _is_taken(requirement: Requirement, pair: _Pair | None, majority: _Majority) -> bool:
    """Tell whether an action was taken; of an instance that does not leave, nothing survives."""
    if pair is None:
        return requirement.action is Action.TEXT_REMOVED
    if requirement.action is Action.TEXT_REMOVED:
        return _is_removed(requirement, pair)
    if requirement.action is Action.PIXELS_HIDDEN:
        return _is_hidden(requirement, pair)
    new = _text_at(pair.result, requirement)
    return requirement.removable if new is None else _is_right(requirement, pair, new, majority)


def _is_right(requirement: Requirement, pair: _Pair, new: str, majority: _Majority) -> bool:
    original = requirement.original
    match requirement.action:
        case Action.TEXT_NOT_NULL:
            return new.strip("^ ") != ""
        case Action.UID_CHANGED:
            return new not in {"", original}
        case Action.UID_CONSISTENT:
            return new == majority.uids.get(original) and majority.claims[new] == 1
        case Action.PATIENT_ID_CONSISTENT:
            return new == majority.pseudonyms.get(original) and majority.claims[new] == 1
        case Action.DATE_SHIFTED:
            return _is_shifted(requirement, pair, new, majority)
        case Action.PIXELS_KEPT:
            return hash_of(pair.result.PixelData) == original
        case _:
            return new == original


def _text_at(result: Dataset, requirement: Requirement) -> str | None:
    element = element_at(result, requirement.path) if requirement.path else None
    return None if element is None else text_of(element)


def _is_removed(requirement: Requirement, pair: _Pair) -> bool:
    if not requirement.path:
        sets = pair.original.person.character_set
        return not any(is_in_bytes(token, pair.searched, sets) for token in requirement.tokens)
    element = element_at(pair.result, requirement.path)
    if element is None or element.VR == "SQ":
        return element is None
    text = text_of(element)
    return not any(contains(text, token) for token in requirement.tokens)


def _is_shifted(requirement: Requirement, pair: _Pair, new: str, majority: _Majority) -> bool:
    days = _days(requirement.original, new)
    wanted = majority.shifts.get(pair.original.person.patient_id)
    return bool(days) and wanted is not None and abs(days - wanted) <= _TOLERANCE


def _days(original: str, new: str) -> int | None:
    """Return by how many days a date was moved, nothing if it is no date now."""
    try:
        return (_date(new) - _date(original)).days
    except ValueError:
        return None


def _date(value: str) -> date:
    return datetime.strptime(value[:8], "%Y%m%d").date()  # noqa: DTZ007 (DA has no zone)


def _is_hidden(requirement: Requirement, pair: _Pair) -> bool:
    """Tell whether the banner, which is the top rows, shows nothing, and all below is as it was."""
    if "PixelData" not in pair.result:
        return False
    rows = int(requirement.original)
    before, after = pair.original.dataset.pixel_array, pair.result.pixel_array
    if before.shape != after.shape:
        return False
    above, below = (
        (..., slice(None, rows), slice(None), slice(None)),
        (..., slice(rows, None), slice(None), slice(None)),
    )
    return bool((after[above] == after[above].flat[0]).all() and (after[below] == before[below]).all())
