"""Rules that say what to do with the pixels of a kind of image, and the YAML they are written in.

::

    name: our-devices
    version: 1
    rules:
      - name: Philips iU22
        when: {modality: US, manufacturer: Philips, model: iU22, rows: 768}
        blank: {top: 75}
        clears_all_text: true
      - name: Exports of our 3D workstation, looked at by the data protection officer
        when: {modality: CT, model: Workstation 7, image_type: REFORMATTED}
        action: pass

What a rule says under `when` must all be so; where it lists several values, one of them. Texts
match when the attribute contains them, in whatever case; modality and sizes match exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from adit_core.deid.pixels.regions import Rectangle, clipped, outside_ultrasound_regions
from adit_core.errors import InputProblem, InvalidInput

BUILTIN_RULE_SETS = ("known-devices", "ultrasound-regions")
"""Those that come with ADIT; only the first is on by default."""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_listed)]
Numbers = Annotated[tuple[Annotated[int, Field(gt=0)], ...], BeforeValidator(_listed)]


class Action(StrEnum):
    """What happens to the instances that a rule fits."""

    BLANK = "blank"
    PASS = "pass"  # noqa: S105 - a word for letting through
    HOLD = "hold"


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Looks:
    """What rules go by, of one instance: read once, for there are many rules. Texts are case-folded."""

    modality: str
    burned_in_annotation: str
    rows: int | None
    columns: int | None
    manufacturer: str
    model: str
    software: str
    image_type: str
    series_description: str

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Read them from a header; the values of an attribute stand on lines of their own."""
        return cls(
            modality=str(dataset.get("Modality") or ""),
            burned_in_annotation=str(dataset.get("BurnedInAnnotation") or ""),
            rows=dataset.get("Rows"),
            columns=dataset.get("Columns"),
            manufacturer=_folded(dataset.get("Manufacturer")),
            model=_folded(dataset.get("ManufacturerModelName")),
            software=_folded(dataset.get("SoftwareVersions")),
            image_type=_folded(dataset.get("ImageType")),
            series_description=_folded(dataset.get("SeriesDescription")),
        )


class Appearance(_Written):
    """By what a rule knows its images; an empty criterion fits everything."""

    modality: Words = ()
    manufacturer: Words = ()
    model: Words = ()
    software: Words = ()
    image_type: Words = ()
    series_description: Words = ()
    burned_in_annotation: Literal["YES", "NO"] | None = None
    rows: Numbers = ()
    columns: Numbers = ()

    def fits(self, looks: Looks) -> bool:
        """Tell whether every criterion fits; a missing attribute fits no criterion."""
        return (
            _is_one(looks.modality, self.modality)
            and _is_one(looks.rows, self.rows)
            and _is_one(looks.columns, self.columns)
            and self.burned_in_annotation in {None, looks.burned_in_annotation}
            and self._names(looks)
        )

    def _names(self, looks: Looks) -> bool:
        return (
            _contains_one(looks.manufacturer, self.manufacturer)
            and _contains_one(looks.model, self.model)
            and _contains_one(looks.software, self.software)
            and _contains_one(looks.image_type, self.image_type)
            and _contains_one(looks.series_description, self.series_description)
        )

    @property
    def says_what(self) -> bool:
        """Whether it says more than a size."""
        return bool(self.manufacturer or self.model or self.software or self.series_description)


class Area(_Written):
    """The parts of a frame that a rule blanks.

    `top`, `bottom`, `left` and `right` are bands along the whole edge, so many pixels deep;
    `rectangles` are written as `[left, top, width, height]`.
    """

    top: NonNegativeInt = 0
    bottom: NonNegativeInt = 0
    left: NonNegativeInt = 0
    right: NonNegativeInt = 0
    rectangles: tuple[Rectangle, ...] = ()
    outside_ultrasound_regions: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether it names places, which differ with the size of the image."""
        return bool(self.top or self.bottom or self.left or self.right or self.rectangles)

    def regions(self, dataset: Dataset) -> tuple[Rectangle, ...]:
        """Return the places in this image; empty if none of them lies within it."""
        rows, columns = dataset.get("Rows") or 0, dataset.get("Columns") or 0
        bands = (
            (0, 0, columns, self.top),
            (0, rows - self.bottom, columns, self.bottom),
            (0, 0, self.left, rows),
            (columns - self.right, 0, self.right, rows),
        )
        fixed = clipped((*(Rectangle(*band) for band in bands), *self.rectangles), rows=rows, columns=columns)
        return (*fixed, *outside_ultrasound_regions(dataset)) if self.outside_ultrasound_regions else fixed


class Rule(_Written):
    """What to do with the images that look like `when`.

    `clears_all_text` says that somebody looked: nothing is left to read after blanking, so that
    Burned In Annotation may become NO. `source` names one of the rule set's sources.
    """

    name: Word
    when: Appearance
    action: Action = Action.BLANK
    blank: Area | None = None
    clears_all_text: bool = False
    source: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.when.model_fields_set:
            raise ValueError("say under `when` which images are meant")
        if (self.blank is not None) != (self.action is Action.BLANK):
            raise ValueError("say under `blank` what to blank, or give another `action`, not both")
        if self.blank is not None:
            _refuse_vague_blanking(self.when, self.blank)
        return self


class Source(_Written):
    """Where the facts of a rule come from."""

    title: Word
    url: str = ""
    licence: Word


class RuleSet(_Written):
    """Rules that are maintained together."""

    name: Word
    version: Annotated[int, Field(gt=0)]
    description: str = ""
    sources: dict[str, Source] = {}
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _refers_to_known_sources(self) -> Self:
        unknown = sorted({rule.source for rule in self.rules if rule.source} - self.sources.keys())
        if unknown:
            raise ValueError(f"these sources are not listed under `sources`: {', '.join(unknown)}")
        return self


def read_rule_set(text: str) -> RuleSet:
    """Return the rule set that `text` (YAML or JSON) says.

    Raises:
        InvalidInput: It is not YAML or says what is not allowed; the field is the path of the place.
    """
    try:
        return RuleSet.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark else ""
        raise InvalidInput(InputProblem(f"this is not YAML{place}")) from error
    except ValidationError as error:
        raise InvalidInput(*_problems(error)) from error


@cache
def builtin_rule_set(name: str) -> RuleSet:
    """Return one of BUILTIN_RULE_SETS.

    Raises:
        InvalidInput: There is none of that name.
    """
    if name not in BUILTIN_RULE_SETS:
        known = ", ".join(BUILTIN_RULE_SETS)
        raise InvalidInput(InputProblem(f"no such set of rules; there are {known}", field="rule set"))
    file = resources.files("adit_core.deid.pixels") / "rules" / f"{name}.yaml"
    return read_rule_set(file.read_text(encoding="utf-8"))


def _refuse_vague_blanking(when: Appearance, area: Area) -> None:
    if area.is_fixed and not (when.says_what and (when.rows or when.columns)):
        raise ValueError(
            "places in the image differ from device to device and with its size: "
            "name a manufacturer, model, software or series description, and rows or columns"
        )
    if not area.is_fixed and not area.outside_ultrasound_regions:
        raise ValueError("nothing is named under `blank`")


def _problems(error: ValidationError) -> list[InputProblem]:
    return [
        InputProblem(
            each["msg"].removeprefix("Value error, "),
            field=".".join(str(part) for part in each["loc"]) or None,
        )
        for each in error.errors(include_input=False, include_url=False)
    ]


def _is_one(value: Any, wanted: Sequence[Any]) -> bool:
    return not wanted or value in wanted


def _contains_one(text: str, wanted: Sequence[str]) -> bool:
    return not wanted or any(word.casefold() in text for word in wanted)


def _folded(value: Any) -> str:
    values = value if isinstance(value, MultiValue) else [value or ""]
    return "\n".join(str(each) for each in values).casefold()
