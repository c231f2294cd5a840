"""The form that says what a mass transfer looks for."""

from collections.abc import Iterator
from datetime import date
from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from adit_core.db import MassTransferOptions, Partition
from adit_core.db.mass import SeriesFilter
from adit_core.services.submit_mass import mass_options
from ui.components.sentences import verbatim
from ui.views.transfer_options import MODALITIES

_PATTERN = (
    "Text with the wildcards * and ?, which the whole value has to fit, such as *thorax*; or a regular "
    "expression between slashes, such as /thorax|chest/. Case does not matter."
)
_FIELDS = {
    "modalities": ("Modality", "The code, such as CT."),
    "institutions": ("Institution", _PATTERN),
    "study_descriptions": ("Study description", _PATTERN),
    "series_descriptions": ("Series description", _PATTERN),
    "series_numbers": ("Series number", "A whole number."),
}
_SIDES = {"include": "Only", "exclude": "Without"}
_BOUNDS = {"age": "Age in years", "images": "Images of a series"}
_WORDS = {
    "first_day": "First day",
    "last_day": "Last day",
    "time_zone": "Time zone",
    "partition": "Partitions",
    "find_limit": "Limit of the archive",
    **{f"{end}_{name}": label for name, label in _BOUNDS.items() for end in ("min", "max")},
}
_EARLIEST = date(1900, 1, 1)


def choose_search() -> MassTransferOptions | None:
    """Show the form, and return what is looked for; None as long as there is no range of days.

    Raises:
        InvalidInput: With all that is wrong, by field.
    """
    st.header("Days", anchor=False)
    values = _choose_days()
    st.header("Filters", anchor=False, help="A series has to fulfil all of them. Empty ones do not matter.")
    for side, column in zip(_SIDES, st.columns(2, gap="medium"), strict=True):
        with column:
            values[side] = _choose_filter(side)
    values.update(_choose_bounds())
    if values["first_day"] is None or values["last_day"] is None:
        st.caption("Choose the first and the last day to go on.")
        return None
    return mass_options(values)


def search_in_words(search: MassTransferOptions) -> list[str]:
    """Return what is looked for as lines of Markdown."""
    days = f"Studies from {search.first_day} to {search.last_day} ({verbatim(search.time_zone)})"
    return [
        days,
        *_filter_in_words("Only", search.include),
        *_filter_in_words("Without", search.exclude),
        *_bounds_in_words("Age in years", search.min_age, search.max_age),
        *_bounds_in_words("Images of a series", search.min_images, search.max_images),
    ]


def field_in_words(field: str) -> str:
    """Return what the form calls a field, such as ``include.series_numbers.0``."""
    side, _, rest = field.partition(".")
    if side in _SIDES and rest:
        name = rest.split(".")[0]
        return f"{_SIDES[side]}, {_FIELDS[name][0] if name in _FIELDS else name}"
    return _WORDS.get(field, field)


def _choose_days() -> dict[str, Any]:
    first, last, partition, zone = st.columns(4, gap="small")
    with first:
        first_day = _choose_day("First day", "first")
    with last:
        last_day = _choose_day("Last day", "last")
    with partition:
        chosen = st.segmented_control(
            "Partitions",
            tuple(Partition),
            default=Partition.DAILY,
            required=True,
            format_func=lambda each: each.value.capitalize(),
            key="partition",
            help="What is searched at once, and searched again if that fails.",
        )
    with zone:
        zones = sorted(available_timezones())
        known = st.context.timezone
        time_zone = st.selectbox(
            "Time zone",
            zones,
            index=zones.index(known if known in zones else "UTC"),
            key="zone",
            help="Of the archive: in it, days begin, and dates of studies are understood.",
        )
    return {"first_day": first_day, "last_day": last_day, "partition": chosen, "time_zone": time_zone}


def _choose_day(label: str, key: str) -> date | None:
    return st.date_input(
        label,
        value=None,
        min_value=_EARLIEST,
        max_value="today",
        format="YYYY-MM-DD",
        key=key,
        bind="query-params",
    )


def _choose_filter(side: str) -> dict[str, list[str]]:
    """Show the criteria of one side; any of the values of a criterion will do."""
    st.markdown(f"**{_SIDES[side]}**")
    return {
        name: st.multiselect(
            label,
            MODALITIES if name == "modalities" else (),
            key=f"{side}-{name}",
            accept_new_options=True,
            placeholder="Any" if side == "include" else "None",
            help=f"{help_text} Several: any of them fits.",
        )
        for name, (label, help_text) in _FIELDS.items()
    }


def _choose_bounds() -> dict[str, int | None]:
    columns = iter(st.columns(4, gap="small"))
    bounds: dict[str, int | None] = {}
    for name, label in _BOUNDS.items():
        for end, word in (("min", "from"), ("max", "to")):
            with next(columns):
                bounds[f"{end}_{name}"] = st.number_input(
                    f"{label}, {word}",
                    min_value=0,
                    value=None,
                    step=1,
                    key=f"{end}-{name}",
                    placeholder="Any",
                )
    return bounds


def _filter_in_words(word: str, series: SeriesFilter) -> Iterator[str]:
    for name, (label, _) in _FIELDS.items():
        values = getattr(series, name)
        if values:
            yield f"{word} {label.lower()} {' or '.join(verbatim(str(value)) for value in values)}"


def _bounds_in_words(label: str, least: int | None, most: int | None) -> Iterator[str]:
    if least is not None or most is not None:
        from_least = "" if least is None else f" from {least}"
        yield f"{label}{from_least}{'' if most is None else f' to {most}'}"
