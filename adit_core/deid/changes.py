"""What de-identification does to each attribute, for people: the dry run."""

from dataclasses import dataclass, field

from adit_core.deid.charsets import decode
from adit_core.deid.dummies import DUMMY_TEXTS
from adit_core.deid.opened import Element, raw_value
from adit_core.deid.walk import Step

_TEXTS = DUMMY_TEXTS.keys() | {"UI"}
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One attribute, before and after; ``after`` is None if it was removed.

    ``before`` is patient data: it may be shown to who may see the study, and belongs in no log.
    ``path`` is made of keywords and item numbers, such as ``RequestAttributesSequence[0].StudyID``.
    """

    path: str
    tag: int
    keyword: str
    before: str = field(repr=False)
    after: str | None
    rule: str


def change(step: Step) -> AttributeChange:
    """Return what was done to one element as people read it."""
    after = None if step.result is None else _shown(step.result, step)
    return AttributeChange(
        step.path, step.tag, step.rule.keyword, _shown(step.element, step), after, step.rule.reason
    )


def _shown(element: Element, step: Step) -> str:
    vr = step.rule.vr if element.VR in {None, "UN"} else str(element.VR)
    if vr == "SQ":
        return "items"
    value = raw_value(element, step.encodings)
    text = decode(value, step.encodings) if vr in _TEXTS else None
    if text is None:
        return f"{len(value)} bytes"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
