"""One image that is held back: the picture, the regions to be blanked, and the decision."""

from collections.abc import Callable

import streamlit as st

from adit_core.api.wiring import Wiring
from adit_core.db import ReviewStatus, User
from adit_core.deid.pixels.regions import Rectangle, clipped
from adit_core.services.held import (
    HeldPicture,
    HeldView,
    foresee_release,
    list_held,
    look_at_held,
    reject_held,
    release_held,
)
from adit_core.services.routes import receiver_address
from ui.components.amounts import many, number
from ui.components.question import ask, asked, show_question
from ui.components.regions import draw_regions
from ui.components.sentences import errors_as_sentences, verbatim
from ui.components.times import moment
from ui.session import address, signed_in

_REGIONS = "review regions"
_PICTURES = "review pictures"
_MOST_PICTURES = 4
_MOST_AT_ONCE = 1000
_ONE, _SERIES = "This image", "All held images of its series"
_RELEASE, _REJECT = "release held", "reject held"


def show_image(wiring: Wiring, user: User, held: HeldView) -> None:
    """Show a frame of the image, in which regions can be drawn, or as it would leave."""
    st.caption(
        f"Image {held.id} of job {held.job_id} · project {verbatim(held.project)} · "
        f"held {moment(held.held_at)} · {verbatim(held.reason)}"
    )
    regions = _regions(held)
    left, right = st.columns([3, 1], gap="medium")
    with right:
        preview = st.toggle(
            "Show it as it would leave",
            key=f"preview-{held.id}",
            disabled=not regions,
            help="With the regions blanked, as they would be in the file.",
        )
        frames = st.session_state.get(f"frames-{held.id}", 1)
        frame = 1 if frames == 1 else st.slider("Frame", 1, frames, key=f"frame-{held.id}")
    with left, errors_as_sentences():
        blanked = tuple(regions) if preview and regions else ()
        picture = _picture(wiring, user, held, blanked, frame)
        _show_picture(held, picture, regions, is_preview=bool(blanked), frame=frame)
        if picture.frames != frames:
            st.session_state[f"frames-{held.id}"] = picture.frames
            st.rerun()
        with right:
            _edit_regions(held, picture, regions)


def show_decision(wiring: Wiring, user: User, held: HeldView, *, go_on: Callable[[], None]) -> None:
    """Offer to release or to reject the image, or all of its series; `go_on` is called when that is done."""
    if held.status is ReviewStatus.RELEASED:
        reviewed = f"It was {held.status.value} {moment(held.reviewed_at)}."
        st.info(reviewed, icon=":material/task_alt:")
        return
    if held.status is ReviewStatus.REJECTED:
        st.info(f"It was rejected {moment(held.reviewed_at)}; it can still be released.")
    regions = _regions(held)
    ids = [held.id]
    siblings = _held_of_series(wiring, user, held)
    if len(siblings) > 1 and held.status is ReviewStatus.HELD:
        scope = st.radio(
            "Decide about",
            (_ONE, _SERIES),
            key=f"scope-{held.id}",
            horizontal=True,
            captions=("", _many(siblings)),
        )
        ids = siblings if scope == _SERIES else ids
    with st.container(horizontal=True):
        blanks = many(len(regions), "region", "regions")
        release = st.button(
            f"Release, {blanks} blanked" if regions else "Release as it is",
            type="primary",
            icon=":material/check:",
            on_click=ask,
            args=[(_RELEASE, held.id)],
        )
        reject = st.button(
            "Reject",
            icon=":material/block:",
            disabled=held.status is not ReviewStatus.HELD,
            on_click=ask,
            args=[(_REJECT, held.id)],
        )
    if release or reject:
        st.rerun()
    _show_question(wiring, held, ids, go_on)


def _show_question(wiring: Wiring, held: HeldView, ids: list[int], go_on: Callable[[], None]) -> None:
    images = "this image" if len(ids) == 1 else f"these {number(len(ids))} images"
    regions = tuple(_regions(held))

    def release() -> None:
        release_held(
            wiring.database, wiring.launcher, signed_in().user, ids, blank=regions, address=address()
        )
        _forget(held)
        go_on()

    def reject() -> None:
        reject_held(wiring.database, signed_in().user, ids, address=address())
        _forget(held)
        go_on()

    blanked = "with what you marked blanked in every frame" if regions else "with all pixels as they are"
    if asked() == (_RELEASE, held.id):
        consequence = (
            f"It goes to the destination of job {held.job_id}, {blanked}. This cannot be taken back."
        )
        show_question(f"Release {images}?", consequence, "Release", release)
    elif asked() == (_REJECT, held.id):
        show_question(f"Reject {images}?", "It does not leave.", "Reject", reject)


def _show_picture(
    held: HeldView, picture: HeldPicture, regions: list[Rectangle], *, is_preview: bool, frame: int
) -> None:
    description = f"Frame {frame} of image {held.id}"
    if is_preview:
        st.image(picture.png, alt=f"{description} as it would leave", width="stretch")
        return
    drawn = draw_regions(
        picture.png,
        regions,
        rows=picture.rows,
        columns=picture.columns,
        description=description,
        key=f"draw-{held.id}",
    )
    if drawn is not None:
        regions.append(drawn)
        st.rerun()


def _edit_regions(held: HeldView, picture: HeldPicture, regions: list[Rectangle]) -> None:
    st.markdown("**Regions to be blanked**")
    if not regions:
        st.caption("Draw rectangles over what must not leave, or enter them. They hold for every frame.")
    for at, one in enumerate(regions):
        label = f"{one.width} by {one.height} at {one.left}, {one.top}"
        st.button(
            label,
            key=f"remove-{held.id}-{at}",
            icon=":material/close:",
            type="tertiary",
            help=f"Remove region {label}",
            on_click=_remove,
            args=[held.id, at],
        )
    with st.expander("Enter a region"), st.form(f"region-{held.id}", border=False, clear_on_submit=True):
        left = st.number_input("Left", 0, picture.columns - 1, 0, key=f"left-{held.id}")
        top = st.number_input("Top", 0, picture.rows - 1, 0, key=f"top-{held.id}")
        width = st.number_input("Width", 1, picture.columns, picture.columns, key=f"width-{held.id}")
        height = st.number_input("Height", 1, picture.rows, picture.rows, key=f"height-{held.id}")
        if st.form_submit_button("Add region"):
            entered = [Rectangle(left, top, width, height)]
            regions.extend(clipped(entered, rows=picture.rows, columns=picture.columns))
            st.rerun()


def _picture(
    wiring: Wiring, user: User, held: HeldView, blank: tuple[Rectangle, ...], frame: int
) -> HeldPicture:
    """Return a picture, fetched from the source unless it is one of those that were looked at last."""
    kept: dict[tuple[object, ...], HeldPicture] = st.session_state.setdefault(_PICTURES, {})
    key = (held.id, blank, frame)
    if key not in kept:
        receiver = receiver_address(wiring.settings)
        with st.spinner("The image is being fetched …"):
            if blank:
                kept[key] = foresee_release(
                    *(wiring.database, user, held.id, blank),
                    receiver=receiver,
                    frame=frame - 1,
                    address=address(),
                )
            else:
                kept[key] = look_at_held(
                    *(wiring.database, user, held.id),
                    receiver=receiver,
                    frame=frame - 1,
                    address=address(),
                )
        while len(kept) > _MOST_PICTURES:
            kept.pop(next(iter(kept)))
    return kept[key]


def _held_of_series(wiring: Wiring, user: User, held: HeldView) -> list[int]:
    waiting = list_held(wiring.database, user, job_id=held.job_id, limit=_MOST_AT_ONCE)
    return [one.id for one in waiting if one.series_instance_uid == held.series_instance_uid]


def _many(ids: list[int]) -> str:
    return f"{number(len(ids))} images; the same regions are blanked in all"


def _regions(held: HeldView) -> list[Rectangle]:
    every: dict[int, list[Rectangle]] = st.session_state.setdefault(_REGIONS, {})
    return every.setdefault(held.id, [])


def _remove(held_id: int, at: int) -> None:
    del st.session_state[_REGIONS][held_id][at]


def _forget(held: HeldView) -> None:
    """Keep neither the regions nor the pictures of an image that was decided about."""
    st.session_state.get(_REGIONS, {}).pop(held.id, None)
    st.session_state.pop(_PICTURES, None)
