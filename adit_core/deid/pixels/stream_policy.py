"""The decision about pixels in the form in which `StreamDeidentifier` asks for it."""

from collections.abc import Sequence
from functools import partial

from pydicom.dataset import Dataset

from adit_core.deid.pixels.policy import HoldBack, Pass, Suspicion, apply, decide, unsuspecting
from adit_core.deid.pixels.rules import RuleSet
from adit_core.deid.pixels.suspicion import burned_in_suspicion
from adit_core.deid.profile import BurnedInText
from adit_core.deid.stream import Blanking, BurnedInPolicy, Held


def suspicion_of(burned_in_text: BurnedInText) -> Suspicion:
    """Return what a profile suspects of burned-in text."""
    return unsuspecting if burned_in_text is BurnedInText.RELEASE else burned_in_suspicion


def burned_in_policy(
    burned_in_text: BurnedInText = BurnedInText.HOLD_BACK, rule_sets: Sequence[RuleSet] | None = None
) -> BurnedInPolicy:
    """Return the policy of a profile that follows these rule sets, or the default ones.

    Where a profile releases what may carry text, rules still blank and hold what they know.
    """
    suspicion = suspicion_of(burned_in_text)

    def policy(header: Dataset) -> Held | Blanking | None:
        decision = decide(header, rule_sets, suspicion=suspicion)
        if isinstance(decision, HoldBack):
            return Held(f"possible burned-in text: {decision.reason}")
        return None if isinstance(decision, Pass) else partial(apply, decision)

    return policy
