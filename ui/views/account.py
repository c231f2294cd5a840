"""One's own account: password, tokens, the active group, notifications, time zone and sessions."""

from zoneinfo import available_timezones

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.services.active_group import active_group_of, choose_active_group, groups_of_user
from adit_core.services.own_account import SessionView, end_other_sessions, end_session, list_sessions
from adit_core.services.sessions import Principal, SessionLimits
from adit_core.services.users import UserChanges, change_user
from ui.components.forms import problems_by_label, say_done
from ui.components.sentences import verbatim
from ui.components.times import moment
from ui.session import address
from ui.views.account_password import offer_password
from ui.views.account_tokens import show_tokens
from ui.views.user_links import tell_where_managed

_LABELS = {"email": "E-mail address", "time_zone": "Time zone"}


def show(principal: Principal) -> None:
    """Show what users can change about their own account."""
    user = principal.user
    st.title("Profile", anchor=False)
    role = "staff" if user.is_staff else "user"
    st.caption(verbatim(" · ".join(filter(None, (user.username, user.full_name, role)))))
    tell_where_managed(connected().database, user)
    password, tokens, group, notifications, time_zone, sessions = st.tabs(
        ["Password", "Tokens", "Group", "Notifications", "Time zone", "Sessions"]
    )
    with password:
        offer_password(principal)
    with tokens:
        show_tokens(principal)
    with group:
        _offer_group(principal)
    with notifications:
        _offer_notifications(principal)
    with time_zone:
        _offer_time_zone(principal)
    with sessions:
        _show_sessions(principal)


def _offer_group(principal: Principal) -> None:
    db, user = connected().database, principal.user
    groups = groups_of_user(db, user)
    if not groups:
        st.caption("You are in no group. Administrators can add you to one.")
        return
    names = ["", *groups]
    with st.form("group", border=False):
        chosen = st.selectbox(
            "Work for",
            names,
            names.index(active_group_of(db, user)),
            format_func=lambda name: name or "All my groups together",
            help="Only what this group may do, with its nodes and projects, is yours then; here and by your "
            "tokens. Your jobs tell which group they are for."
            + (" As staff you may do everything all the same." if user.is_staff else ""),
        )
        saved = st.form_submit_button("Save group", type="primary")
    if saved:
        with problems_by_label(_LABELS):
            choose_active_group(db, user, chosen, address=address())
            say_done(f"You work for {chosen or 'all your groups together'} from now on.")


def _offer_notifications(principal: Principal) -> None:
    user = principal.user
    if not connected().settings.smtp_host:
        st.info("No mail server is set up, so no e-mails are sent. Administrators can change that.")
    with st.form("notifications", border=False):
        email = st.text_input("E-mail address", user.email, max_chars=254, autocomplete="email")
        wanted = st.checkbox(
            "Send an e-mail at the end of each of my jobs",
            user.notify_by_email,
            help="It tells number, kind, status and counts of the job, and nothing of patients.",
        )
        saved = st.form_submit_button("Save notifications", type="primary")
    if saved:
        changes = UserChanges(email=email, notify_by_email=wanted)
        with problems_by_label(_LABELS):
            change_user(connected().database, user.username, changes, actor=user)
            say_done("Changed your notifications.")


def _offer_time_zone(principal: Principal) -> None:
    user = principal.user
    browser = st.context.timezone or "UTC"
    zones = ["", *sorted(available_timezones() | ({user.time_zone} - {""}))]
    with st.form("time-zone", border=False):
        chosen = st.selectbox(
            "Time zone",
            zones,
            zones.index(user.time_zone),
            format_func=lambda name: name or f"That of the browser ({browser})",
            help="In which moments are shown to you.",
        )
        saved = st.form_submit_button("Save time zone", type="primary")
    if saved:
        with problems_by_label(_LABELS):
            change_user(connected().database, user.username, UserChanges(time_zone=chosen), actor=user)
            say_done("Moments are shown in this zone from now on.")


def _show_sessions(principal: Principal) -> None:
    wiring = connected()
    sessions = list_sessions(wiring.database, principal, SessionLimits.of(wiring.settings))
    st.markdown("You are signed in here. End what you do not know, and change your password then.")
    for session in sessions:
        _show_session(principal, session)
    if len(sessions) > 1 and st.button("End all but this one", icon=":material/logout:"):
        number = end_other_sessions(wiring.database, principal, address=address())
        say_done(f"Ended {number} session{'s' if number != 1 else ''}.")


def _show_session(principal: Principal, session: SessionView) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        name = f"From {verbatim(session.address or 'an unknown address')}"
        facts = (
            f"since {moment(session.created_at)} · last seen {moment(session.last_seen_at)} · "
            f"ends {moment(session.expires_at)} at the latest"
        )
        st.markdown(f"**{name}**  \n{facts}", width="stretch")
        if session.is_this:
            st.badge("This session", color="green")
        elif st.button("End", key=f"end-{session.id[:12]}", icon=":material/logout:"):
            with problems_by_label({}):
                end_session(connected().database, principal.user, session.id, address=address())
                say_done("Ended the session.")
