"""The conformance table: what each built-in profile does to each attribute, as a page of the documentation.

``python -m adit_core.deid.conformance docs/deidentification.md`` writes the page anew.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template

from adit_core.deid.profile import DeidProfile, Mode, builtin_profiles
from adit_core.deid.rules import Place, RuleBook
from adit_core.deid.standard import confidential_attributes

_ANYWHERE = Place(iod="")
"""Where types of attributes are those of most IODs."""

_PAGE = Template("""\
# De-identification

This page is written by `python -m adit_core.deid.conformance`; a test says that it is up to date.

ADIT de-identifies by PS3.15 Annex E, the Basic Application Level Confidentiality Profile with its options.
It fails closed: an instance that cannot be de-identified completely does not leave, and after the
transformation a checker that shares no code with it looks for everything that identified the original.

## Profiles

A project names one of these, or brings its own as YAML or JSON.

$profiles

## What happens to what

Decided for each attribute at every depth, by the first line that applies:

| attribute | what happens |
|---|---|
| has an override in the profile | the override |
| Specific Character Set | stays, because the other texts are read by it |
| private, safe by table E.3.10-1 or the profile, with *retain safe private* | is cleaned |
| private | goes with its creator |
| not in the data dictionary | goes |
| in allow-list mode, not allowed | goes |
| in table E.1-1 | an option of the profile that has an action for it, else the basic profile |
| not in table E.1-1 | is cleaned: it stays if nothing in it identifies |

**Combined actions** (X/Z, X/Z/D, …) follow the type of the attribute in its IOD: what must have a value
gets a dummy, what may be empty is emptied, the rest is removed. The same holds for plain X and Z where
the IOD needs more, so that no object becomes invalid.

**Cleaned texts** stay when each word is of the vocabulary of radiology that comes with ADIT, none is a known
value of the patient or of staff, and nothing looks like a date, an address or a long number. What cannot be
proved clean goes.

**UIDs** are replaced by keyed ones (HMAC-SHA256 of the project's secret, under `2.25.`), the same everywhere.
**Dates** with *retain modified dates* move by one interval for each patient and project, in whole days.
**Pixels** are told of in [burned-in text](burned-in-text.md), and how well all this works in
[how it scores](deidentification-score.md).

## Table

X remove, Z empty, D dummy, K keep, C clean (dates: shift), U replace the UID. *Basic* is the column of
table E.1-1; the columns of profiles say what happens in most IODs.

| attribute | tag | basic | $names |
|---|---|---|$rule|
$rows
""")


def conformance_page() -> str:
    """Return the page as Markdown."""
    profiles = list(builtin_profiles().values())
    return _PAGE.substitute(
        profiles="\n".join(_profile(profile) for profile in profiles),
        names=" | ".join(profile.name for profile in profiles),
        rule="|".join("---" for _ in profiles),
        rows="\n".join(_rows(profiles)),
    )


def _profile(profile: DeidProfile) -> str:
    options = ", ".join(sorted(profile.options)) or "none"
    excluded = ", ".join(sorted(profile.excluded_modalities)) or "none"
    allowed = f" Allowed: {len(profile.allowed)} attributes." if profile.mode is Mode.ALLOW_LIST else ""
    return (
        f"- **{profile.name}**, version {profile.version}: basic profile with the options {options}."
        f" Modalities left out: {excluded}. Possible burned-in text: {profile.burned_in_text}.{allowed}"
    )


def _rows(profiles: list[DeidProfile]) -> Iterator[str]:
    books = [RuleBook(profile) for profile in profiles]
    for tag, attribute in sorted(confidential_attributes().items()):
        actions = [str(book.rule(tag, _ANYWHERE).action) for book in books]
        number = f"({attribute.tag[:4]},{attribute.tag[4:]})"
        yield f"| {' | '.join([attribute.keyword, number, attribute.basic, *actions])} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(conformance_page(), encoding="utf-8")
