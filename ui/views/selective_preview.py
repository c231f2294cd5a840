"""What a transfer would do, asked of both nodes before it is submitted."""

from collections.abc import Sequence

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.services.preview import MOST_STUDIES, StudyPreview, TransferPreview, preview_studies
from adit_core.services.submit_selective import PickedStudy, merged_picks, picked_problems, picked_wishes
from adit_core.services.transfer_request import TransferRequest
from ui.components.amounts import data_size, number
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.times import duration
from ui.session import note_activity

_PREVIEW = "selective-preview"
"""In the state of the browser's session: the digest of an order, and what would become of it."""
_MOST_CONFLICTS = 20


def offer_preview(request: TransferRequest, studies: Sequence[PickedStudy], digest: str) -> None:
    """Offer to look ahead at an order, told from others by `digest`, and show what came of it."""
    asked = st.button(
        "Estimate and check for conflicts",
        icon=":material/visibility:",
        key="preview",
        on_click=_note,
        help=f"Asks both nodes about at most {MOST_STUDIES} studies. Nothing is transferred.",
    )
    if asked:
        with errors_as_sentences(), st.spinner("Asking both nodes …"):
            preview = preview_studies(
                connected().database,
                request,
                merged_picks(studies),
                *picked_problems(studies),
                wishes=picked_wishes(studies),
            )
            st.session_state[_PREVIEW] = (digest, preview)
    of, preview = st.session_state.get(_PREVIEW, ("", None))
    if preview is not None and of == digest:
        _show(preview)


def _note() -> None:
    note_activity()


def _show(preview: TransferPreview) -> None:
    with st.container(border=True):
        st.markdown(_amounts(preview))
        if preview.sample:
            st.caption(f"This is only a part: {preview.sample}")
        for reason, series in preview.filtered.items():
            st.markdown(f":material/filter_alt: {number(series)} series filtered: {verbatim(reason)}.")
        for note in preview.notes:
            st.markdown(f":material/info: {verbatim(note)}")
        troubled = [study for study in preview.studies if study.conflicts]
        for study in troubled[:_MOST_CONFLICTS]:
            st.markdown(_conflict(study))
        if len(troubled) > _MOST_CONFLICTS:
            st.markdown(f"… and {number(len(troubled) - _MOST_CONFLICTS)} more studies with conflicts.")
        if not troubled:
            st.markdown(":material/check: There are no conflicts.")


def _amounts(preview: TransferPreview) -> str:
    parts = [f"Would transfer {number(preview.series)} series with {number(preview.instances)} instances"]
    if preview.held:
        parts.append(f"{number(preview.held)} of them are at the destination already")
    if preview.bytes is None:
        parts.append("size and time are not known, since nothing went this way before")
    else:
        time = f" in about {duration(preview.seconds)}" if preview.seconds is not None else ""
        parts.append(f"about {data_size(preview.bytes)} to send{time}")
    return "; ".join(parts) + "."


def _conflict(study: StudyPreview) -> str:
    of = f"Study of {study.study_date or 'an unknown day'} of patient {study.patient_id}"
    return f":material/warning: {verbatim(of)}: {verbatim(' '.join(study.conflicts))}"
