"""One's own tokens, by which programs use the API. A token is shown once, when it is made."""

from datetime import timedelta

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import Permission, TokenScope
from adit_core.services.rights import has_permission
from adit_core.services.sessions import Principal
from adit_core.services.tokens import TokenState, TokenView, create_token, list_tokens, revoke_token
from ui.components.forms import problems_by_label
from ui.components.question import ask, asked, show_question
from ui.components.sentences import verbatim
from ui.components.times import moment
from ui.session import address, signed_in

_LABELS = {"name": "What it is for", "scopes": "What it may be used for", "lifetime": "Days"}
_REVOKE = "revoke token"
_DAYS = {30: "30 days", 90: "90 days", 365: "1 year", 1095: "3 years", 0: "Until it is revoked"}


def show_tokens(principal: Principal) -> None:
    """Show the form that makes a token, the token that was just made, and all tokens of the user."""
    if has_permission(connected().database, principal.user, Permission.USE_API):
        _offer_new(principal)
    else:
        st.info(
            "Your group may not use the API, so you can make no tokens, and those that you have are refused. "
            "An administrator can change that.",
            icon=":material/lock:",
        )
    tokens = list_tokens(connected().database, principal.user)
    if not tokens:
        st.caption("You have no tokens yet. Programs and notebooks need one to use the API in your name.")
    for token in tokens:
        _show_one(token)
    match asked():
        case (asked_for, int(token_id)) if asked_for == _REVOKE:
            _ask_about_revoking(token_id)
        case _:
            pass


def _offer_new(principal: Principal) -> None:
    scopes = [scope for scope in TokenScope if principal.user.is_staff or scope is not TokenScope.ADMIN]
    with st.form("token"):
        name = st.text_input("What it is for", placeholder="Notebook on my workstation", max_chars=150)
        chosen = st.pills(
            "What it may be used for",
            scopes,
            selection_mode="multi",
            default=[TokenScope.READ],
            help="A token never allows more than you may do yourself.",
            wrap=True,
        )
        days = st.selectbox("For how long", list(_DAYS), 1, format_func=lambda each: _DAYS[each])
        sent = st.form_submit_button("Make token", type="primary")
    if sent:
        with problems_by_label(_LABELS):
            made = create_token(
                connected().database,
                principal.user,
                name=name,
                scopes=chosen,
                lifetime=timedelta(days=days) if days else None,
                address=address(),
            )
            st.success("Copy the token now: it is not shown again.", icon=":material/key:")
            st.code(made.token, language=None)


def _show_one(token: TokenView) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        until = moment(token.expires_at) if token.expires_at else "until it is revoked"
        used = f"last used {moment(token.last_used_at)}" if token.last_used_at else "never used"
        origin = f" from {verbatim(token.last_used_from)}" if token.last_used_at else ""
        st.markdown(
            f"**{verbatim(token.name)}** `{token.prefix}…`  \n"
            f"{', '.join(token.scopes)} · made {moment(token.created_at)} · valid {until} · {used}{origin}",
            width="stretch",
        )
        if token.state is TokenState.VALID:
            st.button(
                "Revoke",
                key=f"revoke-{token.id}",
                icon=":material/block:",
                on_click=ask,
                args=[(_REVOKE, token.id)],
            )
        else:
            st.badge(token.state.value.capitalize(), color="gray")


def _ask_about_revoking(token_id: int) -> None:
    def act() -> None:
        revoke_token(connected().database, signed_in().user, token_id, address=address())

    show_question(
        "Revoke this token?", "Programs that use it are refused from now on, for good.", "Revoke", act
    )
