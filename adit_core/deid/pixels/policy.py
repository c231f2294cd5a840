"""What may happen to the pixels of an instance: pass, be blanked, or be held back.

============================  ===============================================================
the first that applies        decision
============================  ===============================================================
a rule says hold              held back
a rule says blank             every region of every such rule is blanked; held back if a rule
                              finds none of its places in the image
a rule says pass              passes
`burned_in_suspicion`         held back
none of these                 passes
============================  ===============================================================

So the default is safe: what is likely to carry text leaves only if a rule knows where the text is,
if a rule of the project says that such images are clean, or if a reviewer who saw it lets it go.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from adit_core.deid.pixels.blank import blank, declare_text_cleared
from adit_core.deid.pixels.regions import Rectangle
from adit_core.deid.pixels.rules import Action, Looks, Rule, RuleSet, builtin_rule_set
from adit_core.deid.pixels.suspicion import burned_in_suspicion

DEFAULT_RULE_SETS = ("known-devices",)
"""The places that others found for named devices; trusting ultrasound regions is opt-in."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The pixels leave as they are."""


@dataclass(frozen=True, slots=True)
class Blank:
    """These regions of every frame are blanked; `rule` names the rules that say so."""

    regions: tuple[Rectangle, ...]
    rule: str
    clears_all_text: bool = False


@dataclass(frozen=True, slots=True)
class HoldBack:
    """The instance does not leave unless a reviewer lets it go; `reason` holds no patient data."""

    reason: str


Decision = Pass | Blank | HoldBack
Suspicion = Callable[[Dataset], str]
"""Returns why identifying text is likely in the pixels, or nothing."""


def default_rule_sets() -> tuple[RuleSet, ...]:
    """Return the rule sets that are on unless a project says otherwise."""
    return tuple(builtin_rule_set(name) for name in DEFAULT_RULE_SETS)


def decide(
    dataset: Dataset,
    rule_sets: Sequence[RuleSet] | None = None,
    *,
    suspicion: Suspicion = burned_in_suspicion,
) -> Decision:
    """Return what may happen to the pixels, from the header of the original instance.

    The header has to be the original one: de-identification removes what rules go by. Pixel data
    need not be there. `rule_sets` are the default ones if not given.
    """
    chosen = default_rule_sets() if rule_sets is None else rule_sets
    looks = Looks.of(dataset)
    fitting = [rule for rule_set in chosen for rule in rule_set.rules if rule.when.fits(looks)]
    if held := _named(fitting, Action.HOLD):
        return HoldBack(f"rule {held}")
    if blanking := [rule for rule in fitting if rule.action is Action.BLANK]:
        return _blanked(blanking, dataset)
    if _named(fitting, Action.PASS):
        return Pass()
    reason = suspicion(dataset)
    return HoldBack(reason) if reason else Pass()


def unsuspecting(_: Dataset) -> str:
    """Suspect nothing: for projects, or reviewers of an instance, who let go what no rule knows."""
    return ""


def apply(decision: Blank, dataset: Dataset) -> Dataset:
    """Return the data set with the pixels blanked, and what that changes in its attributes.

    `dataset` is the de-identified instance with its pixel data; it is not changed.

    Raises:
        DeidentificationFailed: The pixels could not be blanked completely.
    """
    blanked = blank(dataset, decision.regions)
    return declare_text_cleared(blanked) if decision.clears_all_text else blanked


def _blanked(rules: Sequence[Rule], dataset: Dataset) -> Blank | HoldBack:
    places = {rule.name: rule.blank.regions(dataset) for rule in rules if rule.blank}
    misfits = [name for name, regions in places.items() if not regions]
    if misfits:
        return HoldBack(f"rule {'; '.join(misfits)} finds nothing to blank in an image of this size")
    return Blank(
        regions=tuple(dict.fromkeys(region for regions in places.values() for region in regions)),
        rule="; ".join(places),
        clears_all_text=any(rule.clears_all_text for rule in rules),
    )


def _named(rules: Iterable[Rule], action: Action) -> str:
    return "; ".join(rule.name for rule in rules if rule.action is action)
