"""What is done to an attribute: decided once for each place in a data set, from table and profile.

=======================================  ==========================================================
the attribute                            what decides
=======================================  ==========================================================
has an override in the profile           the override
is not in the data dictionary            it is removed: nobody can tell what it holds
is in table E.1-1                        the options chosen, else the basic profile
is not in the table                      kept as far as its value is found clean
is not allowed, in allow-list mode       it goes
=======================================  ==========================================================

Of options that disagree, moving dates wins over keeping them, and keeping over cleaning. Combined
actions (X/Z/D) and values that are not clean are resolved by the type of the attribute in its IOD: what
must have a value gets a dummy, what may be empty is emptied, the rest is removed. That holds for plain X
and Z as well, so that no object becomes invalid: a dummy says as little as nothing. Characteristics of
patients that are free text (Ethnic Group) are cleaned where the table keeps them: people write names there.
"""

from dataclasses import dataclass
from typing import Self

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR, repeater_has_tag

from adit_core.deid.profile import DeidProfile, Mode, Override, ProfileOption
from adit_core.deid.standard import (
    Action,
    AttributeType,
    ConfidentialAttribute,
    attribute_type,
    confidential_attribute,
)

_LAST_GROUP_OF_OTHERS = 0x0007
"""Groups 0000 to 0007 belong to commands, files and directories, not to data sets (PS3.5 7.1)."""
_SPECIFIC_CHARACTER_SET = 0x00080005
_ORDER = (Action.REMOVE, Action.EMPTY, Action.DUMMY)
_NEEDED = {
    AttributeType.OPTIONAL: Action.REMOVE,
    AttributeType.MAY_BE_EMPTY: Action.EMPTY,
    AttributeType.VALUE: Action.DUMMY,
}
_REPLACED_UIDS = "U*"
_SAY_SOMETHING = frozenset(["AE", "AS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"])
"""VRs whose values are replaced inside of a sequence that is replaced as a whole."""
_FREE_TEXT = frozenset(["LO", "LT", "SH", "ST", "UC", "UT"])


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done to an attribute in one place.

    ``action`` is what the rule wants; a value that it cannot be done to (it is not clean, or has a wrong
    VR) goes as ``otherwise`` says. ``replacement`` is what a project wants instead of the value. ``vr``
    may be a choice, such as ``US or SS``. ``reason`` is for people.
    """

    action: Action
    otherwise: Action
    reason: str
    keyword: str
    vr: str
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an object a data set stands: in which IOD, and in the items of which sequence.

    ``replaced`` is True inside of a sequence that has to be there but may say nothing (action D).
    """

    iod: str
    sequence: str = ""
    replaced: bool = False

    def inside(self, rule: Rule) -> Self:
        """Return the place of the items of a sequence that stands here."""
        return type(self)(self.iod, rule.keyword, self.replaced or rule.action is Action.DUMMY)


class RuleBook:
    """The rules of one profile."""

    def __init__(self, profile: DeidProfile) -> None:
        self._profile = profile
        self._overrides = {override.attribute: override for override in profile.overrides}

    def rule(self, tag: int, place: Place) -> Rule:
        """Return what is done to a standard attribute (of an even group) in a place."""
        if not _belongs_to_data_sets(tag):
            return Rule(Action.REMOVE, Action.REMOVE, "not in the data dictionary", "", "")
        keyword, vr = dictionary_keyword(tag), dictionary_VR(tag)
        needed = _NEEDED[attribute_type(place.iod, place.sequence, keyword)]
        override = self._overrides.get(keyword)
        if override is not None:
            return _overriding(override, needed, vr)
        action, reason = self._decided(tag, keyword, needed)
        if place.replaced and action in {Action.KEEP, Action.CLEAN} and vr in _SAY_SOMETHING:
            action, reason = Action.DUMMY, f"inside of {place.sequence}, which is replaced"
        return Rule(action, needed, reason, keyword, vr)

    def _decided(self, tag: int, keyword: str, needed: Action) -> tuple[Action, str]:
        if tag == _SPECIFIC_CHARACTER_SET:
            return Action.KEEP, "needed to read the others"
        if self._profile.mode is Mode.ALLOW_LIST and keyword not in self._profile.allowed:
            return needed, "not in the allow list"
        row = confidential_attribute(tag)
        if row is None:
            return Action.CLEAN, "not in table E.1-1"
        return self._by_option(tag, row) or (_resolved(row.basic, needed), f"basic profile {row.basic}")

    def _by_option(self, tag: int, row: ConfidentialAttribute) -> tuple[Action, str] | None:
        chosen = {option: act for option, act in row.options.items() if option in self._profile.options}
        if not chosen:
            return None
        if ProfileOption.RETAIN_MODIFIED_DATES in chosen:
            option = ProfileOption.RETAIN_MODIFIED_DATES
        else:
            option = min(chosen, key=lambda option: (chosen[option] is not Action.KEEP, option))
        if option is ProfileOption.RETAIN_PATIENT_CHARACTERISTICS and dictionary_VR(tag) in _FREE_TEXT:
            return Action.CLEAN, f"{option} {chosen[option]}, as far as it is clean"
        return chosen[option], f"{option} {chosen[option]}"


def _belongs_to_data_sets(tag: int) -> bool:
    return (
        tag >> 16 > _LAST_GROUP_OF_OTHERS
        and tag & 0xFFFF != 0  # group lengths, which are retired
        and (dictionary_has_tag(tag) or repeater_has_tag(tag))
    )


def _overriding(override: Override, needed: Action, vr: str) -> Rule:
    actions = {
        "keep": Action.KEEP,
        "remove": Action.REMOVE,
        "empty": Action.EMPTY,
        "replace": Action.DUMMY,
    }
    reason = f"{override.action}, by the profile"
    return Rule(actions[override.action], needed, reason, override.attribute, vr, replacement=override.value)


def _resolved(basic: str, needed: Action) -> Action:
    """Return which of the combined actions of the basic profile applies, or what validity needs."""
    parts = basic.split("/")
    if _REPLACED_UIDS in parts or parts == [Action.REPLACE_UID]:
        # Rather than removing references, which U* allows: they stay consistent and say nothing.
        return Action.REPLACE_UID
    for action in _ORDER[_ORDER.index(needed) :]:
        if action in parts:
            return action
    return needed
