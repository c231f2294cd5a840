"""A button that submits a job once, however often it is clicked.

A second click may reach the server while the first one is being answered; Streamlit then begins the page
anew. The job is written under a key that stays the same until the page is shown without a click, so that
the second click finds the job of the first.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from uuid import uuid4

import streamlit as st
from pydantic_core import to_json

from adit_core.db.engine import Database
from adit_core.services.once import OnceKey, submit_once
from ui.session import note_activity

_FORM = "form"
"""In the state of the browser's session: the name of what is being filled in."""
_SUBMITTED = "submitted"
_KEY = secrets.token_bytes(32)
"""Of the fingerprints, which live no longer than the sessions of browsers, and so than this process."""


def fingerprint(*parts: object) -> str:
    """Return what differs where the parts do, also in the passwords that they do not show.

    It is kept with the job. Without the key, nobody finds out a password by trying.
    """
    return hmac.new(_KEY, to_json(parts, bytes_mode="base64"), hashlib.sha256).hexdigest()


def offer_submission(
    label: str,
    db: Database,
    owner_id: int,
    order: str,
    submit: Callable[[OnceKey], int],
    *,
    disabled: bool = False,
) -> int | None:
    """Show the button; return the id of the job that was just submitted.

    Args:
        label: What the button says.
        db: Where jobs are kept.
        owner_id: Whose job it is.
        order: The `fingerprint` of all that is asked for.
        submit: Submits it under a key, and returns the id of the job.
        disabled: Whether the button cannot be clicked.

    Raises:
        AditError: What `submit` raises.
    """
    clicked = st.button(label, type="primary", key="submit", icon=":material/send:", disabled=disabled)
    if not clicked:
        if st.session_state.pop(_SUBMITTED, False):
            st.session_state.pop(_FORM, None)
        return None
    note_activity()
    form = st.session_state.setdefault(_FORM, uuid4().hex)
    once = OnceKey(f"dashboard {form} {order[:32]}", order)
    submitted = submit_once(db, owner_id, once, lambda: submit(once))
    st.session_state[_SUBMITTED] = True
    return submitted.job_id
