"""What a project wants of de-identification: PS3.15's options, and what it does otherwise."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapSerializer,
    model_validator,
)

from adit_core.errors import InputProblem, InvalidInput


class ProfileOption(StrEnum):
    """The options of the Basic Application Level Confidentiality Profile (PS3.15 E.3)."""

    RETAIN_UIDS = "retain UIDs"
    RETAIN_SAFE_PRIVATE = "retain safe private"
    RETAIN_DEVICE_IDENTITY = "retain device identity"
    RETAIN_INSTITUTION_IDENTITY = "retain institution identity"
    RETAIN_PATIENT_CHARACTERISTICS = "retain patient characteristics"
    RETAIN_FULL_DATES = "retain full dates"
    RETAIN_MODIFIED_DATES = "retain modified dates"
    CLEAN_DESCRIPTORS = "clean descriptors"
    CLEAN_STRUCTURED_CONTENT = "clean structured content"
    CLEAN_GRAPHICS = "clean graphics"
    CLEAN_PIXEL_DATA = "clean pixel data"


class Mode(StrEnum):
    """What happens to attributes that nobody decided on."""

    TABLE = "table"
    """Table E.1-1 decides; what it does not list is kept as far as it is found clean."""
    ALLOW_LIST = "allow-list"
    """Only attributes that the profile allows are kept, as far as the table and cleaning let them."""


class BurnedInText(StrEnum):
    """What happens to instances that may carry burned-in text and that no rule knows how to blank."""

    HOLD_BACK = "hold back"
    RELEASE = "release"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _known_keyword(value: object) -> object:
    # The database holds profiles, and starts sooner without the dictionary.
    from pydicom.datadict import tag_for_keyword  # noqa: PLC0415

    if isinstance(value, str) and tag_for_keyword(value) is None:
        raise ValueError(f"{value!r} is no keyword of the DICOM dictionary")
    return value


Keyword = Annotated[str, BeforeValidator(_known_keyword)]
"""The keyword of a standard attribute, such as ``StationName`` (PS3.6)."""


class Override(_Strict):
    """What a project decides for one attribute, wherever it stands, instead of table E.1-1.

    ``keep`` keeps the value as it is, neither cleaned nor looked at by the checker. ``replace`` writes
    ``value``, which must be fit for the attribute.
    """

    attribute: Keyword
    action: Literal["keep", "remove", "empty", "replace"]
    value: str = Field(default="", max_length=64)

    @model_validator(mode="after")
    def _has_value_to_replace_with(self) -> Self:
        if (self.action == "replace") != bool(self.value):
            raise ValueError("a value is for the action replace, which needs one")
        if not self.value.isascii() or "\\" in self.value:
            raise ValueError("the value must be ASCII, without backslash")
        return self


IN_ORDER = WrapSerializer(lambda value, told: sorted(told(value)), when_used="json")
"""Of a set: it is told in the same order whenever it is told."""


class SafePrivate(_Strict):
    """Private attributes that the project knows to be safe, beyond those of PS3.15 table E.3.10-1."""

    creator: str = Field(min_length=1, max_length=64)
    group: int = Field(ge=9, le=0xFFFF)
    elements: Annotated[frozenset[Annotated[int, Field(ge=0, le=0xFF)]], IN_ORDER]

    @model_validator(mode="after")
    def _group_is_private(self) -> Self:
        if self.group % 2 == 0:
            raise ValueError("the group of private attributes is odd")
        return self


class DeidProfile(_Strict):
    """A named version of what is done to data before they leave (PS3.15 Annex E)."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
    version: int = Field(default=1, ge=1)
    options: Annotated[frozenset[ProfileOption], IN_ORDER] = frozenset()
    mode: Mode = Mode.TABLE
    allowed: Annotated[frozenset[Keyword], IN_ORDER] = frozenset()
    """In allow-list mode, the attributes that may stay."""
    overrides: tuple[Override, ...] = ()
    safe_private: tuple[SafePrivate, ...] = ()
    excluded_modalities: Annotated[frozenset[str], IN_ORDER] = frozenset({"SR", "PR"})
    burned_in_text: BurnedInText = BurnedInText.HOLD_BACK

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        both = {ProfileOption.RETAIN_FULL_DATES, ProfileOption.RETAIN_MODIFIED_DATES}
        if both <= self.options:
            raise ValueError("dates are either retained in full or modified")
        if self.allowed and self.mode is not Mode.ALLOW_LIST:
            raise ValueError(f"allowed attributes are for the mode {Mode.ALLOW_LIST}")
        attributes = [override.attribute for override in self.overrides]
        if len(attributes) != len(set(attributes)):
            raise ValueError("an attribute has more than one override")
        return self


@cache
def builtin_profiles() -> Mapping[str, DeidProfile]:
    """Return the profiles that ADIT brings by their names: research, the default, and others."""
    texts = (entry.read_text("utf-8") for entry in files("adit_core.deid").joinpath("profiles").iterdir())
    profiles = [read_profile(text) for text in texts]
    return {profile.name: profile for profile in sorted(profiles, key=lambda profile: profile.name)}


def read_profile(text: str) -> DeidProfile:
    """Return the profile that YAML (or JSON, which is YAML) describes.

    Raises:
        InvalidInput: It is no profile; the problems name the fields.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise InvalidInput(InputProblem(f"this is no YAML{where}")) from error
    if not isinstance(content, Mapping):
        raise InvalidInput(InputProblem("a profile is a mapping of its fields, such as name and options"))
    try:
        return DeidProfile.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(*(_problem(detail) for detail in error.errors())) from error


def _problem(detail: Mapping[str, Any]) -> InputProblem:
    field = ".".join(str(part) for part in detail["loc"])
    return InputProblem(str(detail["msg"]).removeprefix("Value error, "), field=field or None)
