"""Studies that one page hands to another: in the state of the browser's session, never in an address."""

from dataclasses import dataclass

import streamlit as st

_HANDED_OVER = "handed over"


@dataclass(frozen=True, slots=True)
class HandedStudy:
    """A study, or some series of it; without series, all are meant."""

    patient_id: str
    study_instance_uid: str
    series_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What was chosen to be transferred, and the name of the node that has it."""

    source: str
    studies: tuple[HandedStudy, ...]


def hand_over(chosen: HandedOver) -> None:
    """Keep `chosen` for the page that is opened next."""
    st.session_state[_HANDED_OVER] = chosen


def take_over() -> HandedOver | None:
    """Return what was handed over, once."""
    return st.session_state.pop(_HANDED_OVER, None)
