"""A spreadsheet that a page works on: dropped by the user, or handed over by another page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import streamlit as st

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.sheet_corrections import Place
from adit_core.services.sheet_rows import open_sheet
from adit_core.services.spreadsheet import MAX_BYTES, Spreadsheet
from adit_core.services.text_sheet import SheetFormat, encode_sheet
from ui.components.sentences import verbatim
from ui.components.submitting import fingerprint

MEDIA_TYPES = {
    SheetFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    SheetFormat.CSV: "text/csv",
}
"""Of the files that can be downloaded."""
_SUFFIXES = ("csv", "txt", "tsv", "xlsx", "xls")
"""Old workbooks are refused by the reader, which says what to do about it."""
_SHEET = "sheet"
"""In the state of the browser's session: the `Draft` that is worked on."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What a sheet says, or all that is wrong with it."""

    content: T | None
    problems: tuple[InputProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Edits:
    """What was changed in the tables that show what is wrong."""

    texts: Mapping[Place, str]
    left_out: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything was changed."""
        return bool(self.texts or self.left_out)


_NO_EDITS = Edits({})


@dataclass(slots=True)
class Draft:
    """A sheet as it is after the corrections so far.

    The tables show `base` with the problems that it had, and stay as they are while the user corrects one
    thing after the other; what is read meanwhile is `sheet`.
    """

    origin: str
    """The file, or the job, that it is from."""
    name: str
    sheet: Spreadsheet
    base: Spreadsheet = field(init=False)
    shown: tuple[InputProblem, ...] = ()
    """The problems that the tables show."""
    edits: Edits = _NO_EDITS
    """What makes `sheet` of `base`."""
    version: int = 0
    """How often the tables began anew."""
    _readings: dict[Callable[[Spreadsheet], object], Reading[object]] = field(default_factory=dict)
    _mark: str = ""

    def __post_init__(self) -> None:
        """Begin with what was read."""
        self.base = self.sheet

    def read(self, reader: Callable[[Spreadsheet], T]) -> Reading[T]:
        """Return what `reader` makes of it; it is asked once for each state of the sheet."""
        if reader not in self._readings:
            try:
                self._readings[reader] = Reading(reader(self.sheet))
            except InvalidInput as error:
                self._readings[reader] = Reading(None, error.problems)
        return self._readings[reader]  # type: ignore[return-value]

    def correct(self, edits: Edits, sheet: Spreadsheet) -> None:
        """Go on with the sheet that the edits make of the one that is shown."""
        self.edits = edits
        self.sheet = sheet
        self._readings.clear()
        self._mark = ""

    def begin_anew(self, problems: tuple[InputProblem, ...] = ()) -> None:
        """Have the tables show the sheet as it is now, and what is wrong with it."""
        self.base = self.sheet
        self.shown = problems
        self.edits = _NO_EDITS
        self.version += 1

    @property
    def mark(self) -> str:
        """What differs where the sheets do."""
        if not self._mark:
            rows = "\n".join("\t".join((str(number), *row)) for number, row in self.sheet.rows.items())
            self._mark = fingerprint(self.origin, self.sheet.header, rows.encode())
        return self._mark


def dropped_sheet(explanation: str) -> Draft | None:
    """Ask for a file, and return the draft of it; the explanation is there as long as there is none.

    Raises:
        InvalidInput: It cannot be read.
    """
    file = st.file_uploader(
        "Spreadsheet",
        _SUFFIXES,
        key="file",
        max_upload_size=MAX_BYTES >> 20,
        help=explanation,
    )
    if file is None:
        st.caption(explanation)
        return None
    return _draft(
        file.file_id, lambda: Draft(file.file_id, file.name, open_sheet(file.getvalue(), file.name))
    )


def handed_sheet(origin: str, name: str, load: Callable[[], Spreadsheet]) -> Draft:
    """Return the draft of a sheet that does not come from a file; it is loaded once."""
    return _draft(origin, lambda: Draft(origin, name, load()))


def forget_sheet() -> None:
    """Let go of the sheet, which has done its work."""
    st.session_state.pop(_SHEET, None)


def offer_template(filename: str, header: tuple[str, ...], example: tuple[str, ...]) -> None:
    """Show buttons that download a spreadsheet to fill in; its cells are marked as text."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("A template to fill in:", width="content")
        for form, media_type in MEDIA_TYPES.items():
            st.download_button(
                f"{filename}.{form}",
                lambda form=form: encode_sheet(header, [example], form),
                file_name=f"{filename}.{form}",
                mime=media_type,
                icon=":material/download:",
                key=f"template-{form}",
                type="tertiary",
                on_click="ignore",
            )


def say_what_it_holds(draft: Draft, amount: str) -> None:
    """Say that nothing is wrong with a sheet, and how much of what is in it."""
    st.success(f"In {verbatim(draft.name)}: {amount}.", icon=":material/check_circle:")


def show_sheet(draft: Draft) -> None:
    """Show the rows of a sheet as they were read, with their numbers."""
    with st.expander(f"Rows of {verbatim(draft.name)}", icon=":material/table:"):
        import pandas as pd  # noqa: PLC0415 - takes 70 MB, which a server without spreadsheets saves

        sheet = draft.sheet
        rows = pd.Index(list(sheet.rows), name="Row")
        frame = pd.DataFrame(
            list(sheet.rows.values()), index=rows, columns=_unique(sheet.header), dtype="str"
        )
        st.dataframe(frame, height="auto", alt=f"The rows of {draft.name}", placeholder="")


def _unique(header: tuple[str, ...]) -> list[str]:
    """Return titles that differ, as tables need them."""
    return [
        title if title and header.count(title) == 1 else f"{title or 'Column'} ({index + 1})"
        for index, title in enumerate(header)
    ]


def _draft(origin: str, make: Callable[[], Draft]) -> Draft:
    known = st.session_state.get(_SHEET)
    if isinstance(known, Draft) and known.origin == origin:
        return known
    forget_sheet()
    draft = make()
    st.session_state[_SHEET] = draft
    return draft
