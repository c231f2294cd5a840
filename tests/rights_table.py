"""Who may do what by the API and the DICOMweb proxy: a table that a test tries out, line by line.

It is in ``rights_table.txt``. Each line names a request, the scope that a token needs for it, who may send
it, and what is answered to those who may. What is in no line is denied: by a test that reads the OpenAPI
document.

=========================== ========================================================================
who                         is answered otherwise by
=========================== ========================================================================
everybody
signed in                   401
staff                       403
owner                       404, as if there were none; staff may, too
a permission                403; its short form is in `SHORT`
source, destination         403: the node may be used as such by a group of the user
node                        403: the node may be used as one of the two
project                     403: the project may be used by a group of the user
reviewer                    404, as if there were none: the same for what a project holds back
uploader                    404, as if there were none, even for staff
=========================== ========================================================================

Staff have all permissions, nodes and projects. ``python -m tests.rights_table`` writes docs/rights.md anew.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adit_core.db import Permission, TokenScope

PAGE = Path(__file__).parents[1] / "docs" / "rights.md"

SHORT: Mapping[str, Permission] = {
    "selected": Permission.TRANSFER_SELECTED,
    "batch": Permission.TRANSFER_BATCHES,
    "mass": Permission.TRANSFER_MASSES,
    "upload": Permission.UPLOAD,
    "nifti": Permission.CONVERT_TO_NIFTI,
    "archive": Permission.MAKE_ARCHIVES,
    "as they are": Permission.TRANSFER_UNPSEUDONYMIZED,
    "query": Permission.QUERY,
    "urgent": Permission.PROCESS_URGENTLY,
    "links": Permission.VIEW_LINK_TABLE,
    "review": Permission.REVIEW_HELD_INSTANCES,
    "qido": Permission.DICOMWEB_QUERY,
    "wado": Permission.DICOMWEB_RETRIEVE,
    "stow": Permission.DICOMWEB_STORE,
    "api": Permission.USE_API,
}
OPEN, ANY = "-", "any"
"""Scopes: nobody has to sign in; whatever scopes a token has."""
EVERYBODY, SIGNED_IN, STAFF, OWNER = "everybody", "signed in", "staff", "owner"
SOURCE, DESTINATION, NODE, PROJECT = "source", "destination", "node", "project"
REVIEWER, UPLOADER = "reviewer", "uploader"

_TABLE = Path(__file__).with_suffix(".txt")


@dataclass(frozen=True, slots=True)
class Line:
    """A request, and who may send it."""

    chapter: str
    method: str
    path: str
    scope: str
    who: frozenset[str]
    """All of these are needed."""
    answer: int
    """The status for those who may, in the world of the tests, whose archive does not answer."""

    @property
    def name(self) -> str:
        """The request."""
        return f"{self.method} {self.path}"

    @property
    def needs_scope(self) -> TokenScope | None:
        """The scope that is needed, if it is a certain one."""
        return None if self.scope in (OPEN, ANY) else TokenScope(self.scope)


def lines() -> Iterator[Line]:
    """Yield the lines of the table."""
    chapter = ""
    for text in filter(None, _TABLE.read_text(encoding="utf-8").splitlines()):
        if text.startswith("#"):
            chapter = text.removeprefix("#").strip()
            continue
        request, scope, who, answer = (part.strip() for part in text.split("|"))
        method, path = request.split()
        yield Line(chapter, method, path, scope, frozenset(who.split(" + ")), int(answer))


def rendered() -> str:
    """Return the part of docs/rights.md that is made of the table."""
    text, chapter = [], ""
    for line in lines():
        if line.chapter != chapter:
            chapter = line.chapter
            text += ["", f"## {chapter}", "", "| request | scope of a token | who |", "|---|---|---|"]
        path = re.sub(r"\{(\w+)\}", r"{\1}", line.path)
        text.append(f"| `{line.method} {path}` | {_scope_in_words(line.scope)} | {_who_in_words(line.who)} |")
    return "\n".join([*text, ""])


_BEGIN = "<!-- made of tests/rights_table.py -->\n"


def page_with(table: str) -> str:
    """Return docs/rights.md with another table in it."""
    return PAGE.read_text(encoding="utf-8").partition(_BEGIN)[0] + _BEGIN + table


def _scope_in_words(scope: str) -> str:
    return {OPEN: "none", ANY: "any"}.get(scope, scope)


def _who_in_words(who: frozenset[str]) -> str:
    if who <= {EVERYBODY, SIGNED_IN}:
        return "everybody" if EVERYBODY in who else "whoever is signed in"
    if STAFF in who:
        return "staff"
    words = {
        OWNER: "whose it is",
        SOURCE: "the node as a source",
        DESTINATION: "the node as a destination",
        PROJECT: "the project",
        NODE: "the node as either",
        REVIEWER: "the project",
        UPLOADER: "who uploaded it",
    }
    rights = [f"*{SHORT[each].value}*" for each in SHORT if each in who]
    return ", ".join([*rights, *(text for each, text in words.items() if each in who)])


if __name__ == "__main__":
    PAGE.write_text(page_with(rendered()), encoding="utf-8")
