"""Accounts: adding and changing them."""

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.services.groups import list_groups
from adit_core.services.rights import require_staff
from adit_core.services.sessions import Principal
from adit_core.services.users import UserChanges, change_user, create_user, get_user, list_users, set_password
from ui.components.forms import back_button, open_part, problems_by_label, say_done
from ui.components.sentences import verbatim
from ui.components.table import Badge, Column, Grid, Link, Row, Text, Tone, table
from ui.components.times import moment
from ui.views.user_links import offer_links

_LABELS = {
    "username": "User name",
    "password": "Password",
    "full_name": "Full name",
    "email": "E-mail address",
    "is_active": "May sign in",
    "is_staff": "Staff",
}
_STAFF_HELP = "Staff see and act on everybody's jobs, may use all nodes, and administer."
_APPROVAL_HELP = "A member of staff has to approve each job of this user before it starts."
_CHOOSE_HELP = "The user can do nothing before choosing a password that nobody else knows."


def show(principal: Principal) -> None:
    """Show all accounts, or the one that the address names."""
    require_staff(principal.user)
    db = connected().database
    username = st.query_params.get("user", "")
    if username:
        _show_user(db, principal.user, get_user(db, username))
    else:
        _show_all(db, principal.user)


def _show_all(db: Database, actor: User) -> None:
    st.title("Users", anchor=False)
    st.caption("What users may do is said by the groups that they are members of; staff may do everything.")
    with st.expander("Add a user", icon=":material/person_add:"):
        _offer_new(db, actor)
    wanted = st.text_input(
        "Search", key="search", placeholder="Part of a name or e-mail address", bind="query-params"
    )
    users = [user for user in list_users(db) if wanted.lower() in _searchable(user)]
    if not users:
        st.markdown("**No user is called like that.** Search for less, or add the user above.")
        return
    picked = table(_grid(db, users), key="users")
    if picked is not None:
        open_part(user=picked)


def _searchable(user: User) -> str:
    return f"{user.username} {user.full_name} {user.email}".lower()


def _grid(db: Database, users: list[User]) -> Grid:
    groups: dict[str, list[str]] = {}
    for group in list_groups(db):
        for member in group.members:
            groups.setdefault(member, []).append(group.name)
    columns = (
        Column("User", width="11rem"),
        Column("Role", width="7rem"),
        Column("Name"),
        Column("Groups"),
        Column("Added", width="11.5rem"),
    )
    return Grid("Users by name", columns, tuple(_row(user, groups.get(user.username, [])) for user in users))


def _row(user: User, groups: list[str]) -> Row:
    notes = [
        *(["has to choose a password"] if user.must_change_password else []),
        *(["jobs need approval"] if user.needs_approval else []),
    ]
    return Row(
        user.username,
        (
            Link(user.username, f"/users?user={user.username}", tuple(notes)),
            _role(user),
            Text(user.full_name, (user.email,) if user.email else ()),
            Text(", ".join(groups)),
            Text(moment(user.created_at)),
        ),
    )


def _role(user: User) -> Badge:
    if not user.is_active:
        return Badge("Closed", Tone.BAD)
    return Badge("Staff", Tone.ACTIVE) if user.is_staff else Badge("User", Tone.NEUTRAL)


def _offer_new(db: Database, actor: User) -> None:
    with st.form("new-user", border=False):
        left, right = st.columns(2)
        username = left.text_input(
            "User name", help="Letters from a to z, digits and . _ @ + -", max_chars=150
        )
        password = right.text_input(
            "Password", type="password", help=_password_help(), autocomplete="new-password"
        )
        full_name = left.text_input("Full name", max_chars=150)
        email = right.text_input("E-mail address", max_chars=254)
        staff = left.checkbox("Staff", help=_STAFF_HELP)
        needs_approval = right.checkbox("Jobs need approval", help=_APPROVAL_HELP)
        must_change = left.checkbox("Has to choose another password", value=True, help=_CHOOSE_HELP)
        sent = st.form_submit_button("Add user", type="primary")
    if sent:
        with problems_by_label(_LABELS):
            user = create_user(
                db,
                username=username,
                password=password or (None if connected().settings.oidc_issuer else ""),
                full_name=full_name,
                email=email,
                staff=staff,
                needs_approval=needs_approval,
                must_change_password=must_change,
                actor=actor,
            )
            say_done(f"Added the user {user.username}. Make them a member of a group next.")


def _password_help() -> str:
    name = connected().settings.oidc_name if connected().settings.oidc_issuer else ""
    without = f" Leave it empty for a user who signs in with {name} only." if name else ""
    return f"At least 10 characters.{without}"


def _show_user(db: Database, actor: User, user: User) -> None:
    back_button("All users")
    st.title(verbatim(user.username), anchor=False)
    groups = [group.name for group in list_groups(db) if user.username in group.members]
    membership = f"member of {', '.join(groups)}" if groups else "member of no group: add one under Groups"
    st.caption(verbatim(f"Added {moment(user.created_at)} · {membership}"))
    with st.form("user"):
        full_name = st.text_input("Full name", user.full_name, max_chars=150)
        email = st.text_input("E-mail address", user.email, max_chars=254)
        is_active = st.checkbox(
            "May sign in",
            user.is_active,
            help="Without it the account is closed: its sessions end at once, and its tokens open nothing.",
        )
        is_staff = st.checkbox("Staff", user.is_staff, help=_STAFF_HELP)
        needs_approval = st.checkbox("Jobs need approval", user.needs_approval, help=_APPROVAL_HELP)
        notify = st.checkbox("E-mail at the end of each job", user.notify_by_email)
        saved = st.form_submit_button("Save", type="primary")
    if saved:
        changes = UserChanges(
            full_name=full_name,
            email=email,
            is_active=is_active,
            is_staff=is_staff,
            needs_approval=needs_approval,
            notify_by_email=notify,
        )
        with problems_by_label(_LABELS):
            change_user(db, user.username, changes, actor=actor)
            say_done(f"Changed the user {user.username}.")
    offer_links(db, actor, user)
    _offer_password(db, actor, user)


def _offer_password(db: Database, actor: User, user: User) -> None:
    st.header("Password", anchor=False)
    if user.password_hash is None:
        st.caption("This user signs in elsewhere. With a password, signing in here is possible, too.")
    with st.form("password", clear_on_submit=True):
        password = st.text_input(
            "New password", type="password", help="At least 10 characters.", autocomplete="new-password"
        )
        must_change = st.checkbox("Has to choose another password", value=True, help=_CHOOSE_HELP)
        sent = st.form_submit_button("Set password")
    if sent:
        with problems_by_label({"password": "New password"}):
            set_password(db, user.username, password, must_change=must_change, actor=actor)
            say_done(f"{user.username} has a new password, and is signed out everywhere.")
