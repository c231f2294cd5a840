"""By whom a user is known to OpenID providers, for administrators and for the user."""

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.services.external_sign_in import ExternalRules
from adit_core.services.identities import IdentityView, link_identity, list_identities, unlink_identity
from ui.components.forms import problems_by_label, say_done
from ui.components.sentences import verbatim
from ui.components.times import moment

_LABELS = {"subject": "Subject", "issuer": "Provider"}


def offer_links(db: Database, actor: User, user: User) -> None:
    """Show the links of an account, and offer to add and to take them away; nothing without a provider."""
    settings = connected().settings
    links = list_identities(db, user)
    if not (settings.oidc_issuer or links):
        return
    st.subheader(verbatim(f"Signing in with {settings.oidc_name}"), anchor=False)
    for link in links:
        _show_link(db, actor, user, link)
    if not links:
        st.caption("The provider knows nobody who is this user.")
    if settings.oidc_issuer:
        _offer_link(db, actor, user, settings.oidc_issuer)


def tell_where_managed(db: Database, user: User) -> None:
    """Tell users who can sign in by a provider what of their account is decided on there."""
    settings = connected().settings
    if not any(link.issuer == settings.oidc_issuer for link in list_identities(db, user)):
        return
    rules = ExternalRules.of(settings)
    decided = [
        "your name",
        *(["whether you are staff"] if rules.staff_groups else []),
        *([f"membership of {', '.join(sorted(rules.managed))}"] if rules.managed else []),
    ]
    provider = f"{settings.oidc_name} ({settings.oidc_issuer})"
    words = f"You sign in with {provider}. Managed there: {'; '.join(decided)}."
    st.info(verbatim(words), icon=":material/badge:")


def _show_link(db: Database, actor: User, user: User, link: IdentityView) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        used = f"last used {moment(link.last_used_at)}" if link.last_used_at else "not used yet"
        facts = f"linked by {verbatim(link.linked_by)} {moment(link.linked_at)} · {used}"
        st.markdown(f"**{verbatim(link.subject)}** of {verbatim(link.issuer)}  \n{facts}", width="stretch")
        if st.button("Unlink", key=f"unlink-{link.issuer}-{link.subject}", icon=":material/link_off:"):
            with problems_by_label(_LABELS):
                unlink_identity(db, user.username, issuer=link.issuer, subject=link.subject, actor=actor)
                say_done("Unlinked. The sessions that the provider had opened have ended.")


def _offer_link(db: Database, actor: User, user: User, issuer: str) -> None:
    with st.form("link", clear_on_submit=True):
        subject = st.text_input(
            "Subject",
            max_chars=255,
            help="What the provider calls the user for ever (sub). The audit trail shows it with the sign-in "
            "that was refused.",
        )
        sent = st.form_submit_button("Link")
    if sent:
        with problems_by_label(_LABELS):
            link_identity(db, user.username, issuer=issuer, subject=subject, actor=actor)
            say_done(f"{subject.strip()} signs in as {user.username} from now on.")
