"""Choosing another password for oneself."""

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.services.own_account import change_own_password
from adit_core.services.sessions import Principal
from adit_core.services.users import MIN_PASSWORD_LENGTH
from ui.components.forms import problems_by_label, say_done
from ui.session import address

_LABELS = {
    "current password": "Current password",
    "new password": "New password",
    "repeated password": "New password, again",
    "password": "New password",
}


def show_forced_change(principal: Principal) -> None:
    """Show nothing but the form for another password, to those who were given theirs by somebody else."""
    st.title("Choose a password of your own", anchor=False)
    st.markdown(
        "Somebody else chose the password that you signed in with, and may know it. "
        "Choose another one; then you can go on."
    )
    offer_password(principal)


def offer_password(principal: Principal) -> None:
    """Show the form for another password."""
    if principal.user.password_hash is None:
        st.markdown("You sign in elsewhere, and have no password here.")
        return
    with st.form("own-password", border=False, width=420):
        current = st.text_input("Current password", type="password", autocomplete="current-password")
        new = st.text_input(
            "New password",
            type="password",
            autocomplete="new-password",
            help=f"At least {MIN_PASSWORD_LENGTH} characters. Several words are easy to remember.",
        )
        repeated = st.text_input("New password, again", type="password", autocomplete="new-password")
        sent = st.form_submit_button("Change password", type="primary")
    if sent:
        wiring = connected()
        with problems_by_label(_LABELS):
            change_own_password(
                wiring.database,
                wiring.throttle,
                principal,
                current=current,
                new=new,
                repeated=repeated,
                address=address(),
            )
            say_done("Your password is changed. All other sessions of yours have ended.")
