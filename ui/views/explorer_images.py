"""The images of a series, one at a time, and what each says of itself."""

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import User
from adit_core.dicom.frames import Window
from adit_core.dicom.query import InstanceResult, SeriesResult
from adit_core.services.nodes import get_node
from adit_core.services.rights import NodeRole, require_node
from adit_core.services.routes import receiver_address
from adit_core.services.search import MOST_RESULTS
from adit_core.services.sessions import Principal
from adit_core.services.view_instance import MOST_ATTRIBUTES, ViewedInstance, view_instance
from ui.components.amounts import number
from ui.components.sentences import errors_as_sentences
from ui.components.table import Column, Grid, Row, Text, table
from ui.session import address, count_as_activity, live
from ui.views.explorer_answers import known_instances

_VIEWED = "explorer instances"
"""In the state of the browser's session: the instances that were looked at last, whose files are on disk."""
_MOST_VIEWED = 6
_MOST_LISTED = 300
_AS_IT_SAYS, _OWN = "As the image says", "Own window"
_PRESETS = {
    "Abdomen": Window(60, 400),
    "Bone": Window(400, 1800),
    "Brain": Window(40, 80),
    "Lung": Window(-600, 1500),
    "Mediastinum": Window(50, 350),
}
"""Windows of CT in Hounsfield units."""
_COLUMNS = (Column("Attribute", width="50%"), Column("Value"))
_INSIDE = "> "
"""Before the name of an attribute, once for each sequence that it is inside of."""


def show_series(node: str, series: SeriesResult) -> None:
    """Show the instances of a series: a picture of one, and its attributes."""

    @live(seconds=None)
    def show_instances(watcher: Principal) -> None:
        user = watcher.user
        # The page around it, which asks for this as well, is not run again with it.
        db = connected().database
        require_node(db, user, get_node(db, node), NodeRole.SOURCE)
        instances = known_instances(user, node, series.reference, limit=MOST_RESULTS, address=address())
        if not instances:
            st.info("The archive tells of no instance of this series.", icon=":material/search_off:")
            return
        chosen = instances[_scroll(series, instances) - 1]
        viewed = _viewed(user, node, chosen)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _show_picture(series, viewed, chosen)
        with right:
            _show_attributes(viewed)

    show_instances()


def _scroll(series: SeriesResult, instances: list[InstanceResult]) -> int:
    """Let the user choose an instance of the series, counted from 1."""
    if len(instances) == 1:
        return 1
    if len(instances) >= MOST_RESULTS:
        st.caption(f"The first {number(MOST_RESULTS)} instances are shown; there may be more.")
    return st.slider(
        "Instance",
        1,
        len(instances),
        key=f"instance-of-{series.reference.series_instance_uid}",
        on_change=count_as_activity,
        help="The arrow keys go to the next and to the one before.",
    )


def _viewed(user: User, node: str, chosen: InstanceResult) -> ViewedInstance:
    """Return an instance, fetched unless it is one of those that were looked at last."""
    kept: dict[tuple[str, str], ViewedInstance] = st.session_state.setdefault(_VIEWED, {})
    key = (node, chosen.reference.sop_instance_uid)
    if key not in kept:
        wiring = connected()
        with st.spinner("The image is being fetched …"):
            receiver = receiver_address(wiring.settings)
            kept[key] = view_instance(
                wiring.database, user, node, chosen, receiver=receiver, address=address()
            )
        while len(kept) > _MOST_VIEWED:
            kept.pop(next(iter(kept))).file.close()
    return kept[key]


def _show_picture(series: SeriesResult, viewed: ViewedInstance, chosen: InstanceResult) -> None:
    if viewed.frames is None:
        st.info("This instance has no picture; its attributes tell what it is.", icon=":material/hide_image:")
        return
    frame = 1
    if viewed.frames.count > 1:
        uid = chosen.reference.sop_instance_uid
        frame = st.slider("Frame", 1, viewed.frames.count, key=f"frame-of-{uid}", on_change=count_as_activity)
    window = _window(series, viewed) if viewed.has_window else None
    with errors_as_sentences():
        st.image(viewed.picture(frame, window), width="stretch", alt=f"Frame {frame} of the instance")


def _window(series: SeriesResult, viewed: ViewedInstance) -> Window | None:
    """Let the user choose which values are told apart; None is what the image says itself."""
    presets = _PRESETS if series.modality == "CT" else {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Window",
            (_AS_IT_SAYS, *presets, _OWN),
            key="window",
            on_change=count_as_activity,
            help="Which values are told apart: from black to white around a center.",
        )
        if chosen == _OWN:
            usual = viewed.window or Window(128, 256)
            center = st.number_input(
                "Center", value=usual.center, key="window-center", on_change=count_as_activity
            )
            width = st.number_input(
                "Width", value=usual.width, min_value=1.0, key="window-width", on_change=count_as_activity
            )
            return Window(center, width)
    return presets.get(chosen)


def _show_attributes(viewed: ViewedInstance) -> None:
    wanted = st.text_input(
        "Search attributes",
        key="attribute",
        icon=":material/search:",
        help="A part of a tag, of a name or of a value.",
        on_change=count_as_activity,
    )
    attributes = viewed.attributes
    found = [
        one
        for one in attributes
        if wanted.casefold() in " ".join((one.tag, one.keyword, one.name, one.path, one.value)).casefold()
    ]
    if not found:
        st.caption("No attribute has this in it.")
        return
    rows = tuple(
        Row(
            f"{at}",
            (
                Text(
                    _INSIDE * one.depth + one.name,
                    (f"{one.tag} {one.vr}", *([one.path] if wanted and one.depth else [])),
                ),
                Text(one.value),
            ),
        )
        for at, one in enumerate(found[:_MOST_LISTED])
    )
    table(Grid("Attributes of the instance", _COLUMNS, rows, most_height="37rem"), key="attributes")
    if len(found) > _MOST_LISTED or len(attributes) >= MOST_ATTRIBUTES:
        st.caption(f"The first {_MOST_LISTED} of {number(len(found))} are listed: search for the others.")
