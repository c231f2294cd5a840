"""Connection profiles: how servers are spoken to. Their secrets are written, but never shown."""

import streamlit as st

from adit_core.db import ConnectionProfile, CredentialsKind, User
from adit_core.db.engine import Database
from adit_core.dicom import node as values
from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.dicom.tls import TlsSettings
from adit_core.services.pem import expiry
from adit_core.services.profiles import (
    ProfileSecret,
    add_profile,
    get_profile,
    list_profiles,
    open_settings,
    remove_profile,
    revise_profile,
)
from ui.components.forms import empty_state, go_to, open_part, problems_by_label, say_done
from ui.components.question import ask, asked, show_question
from ui.components.sentences import verbatim
from ui.components.table import Column, Grid, Link, Row, Text, table
from ui.components.times import moment
from ui.session import signed_in

_REMOVE = "remove connection profile"
_KEEP, _NONE = "keep", "none"
_KINDS = {
    _NONE: "None",
    CredentialsKind.BASIC: "User name and password",
    CredentialsKind.BEARER: "Bearer token",
    CredentialsKind.HEADER: "Header, such as an API key",
    CredentialsKind.CLIENT: "OAuth client credentials",
}
_LABELS = {
    "name": "Name",
    "connect_timeout": "Time to connect",
    "silence_timeout": "Longest silence",
    "max_pdu_length": "Longest PDU",
    "verify_attempts": "Questions after a transfer",
    "verify_delay": "Time between them",
    "busy_timeout": "Time for a busy server",
    "parallel_uploads": "Uploads at the same time",
    "ca": "Certificates to trust",
    "certificate": "Our certificate",
    "private_key": "Its private key",
    "proxy": "HTTP proxy",
}


def show_profiles(db: Database, actor: User) -> None:
    """Show all connection profiles, or the one that the address names."""
    name = st.query_params.get("profile", "")
    if name:
        _show_profile(db, actor, get_profile(db, name))
        return
    st.caption("A connection profile says how servers are spoken to: timeouts, TLS, credentials, a proxy.")
    with st.expander("Add a connection profile", icon=":material/add:"):
        _offer_new(db, actor)
    profiles = list_profiles(db)
    if not profiles:
        empty_state("There are no connection profiles.", "Servers are spoken to with the usual settings.")
        return
    picked = table(_grid(profiles), key="connection-profiles")
    if picked is not None:
        open_part(part="profiles", profile=picked)


def _grid(profiles: list[ConnectionProfile]) -> Grid:
    columns = (Column("Profile"), Column("TLS"), Column("Credentials"), Column("Certificates expire"))
    return Grid("Connection profiles by name", columns, tuple(map(_row, profiles)))


def _row(profile: ConnectionProfile) -> Row:
    tls = "verified" if profile.tls_verify_host_name else "host name not verified"
    return Row(
        profile.name,
        (
            Link(profile.name, f"/nodes?part=profiles&profile={profile.name}"),
            Text(tls if profile.tls else "no"),
            Text(_KINDS[profile.credentials_kind or _NONE]),
            Text(moment(expiry(profile.tls_ca + profile.tls_certificate))),
        ),
    )


def _offer_new(db: Database, actor: User) -> None:
    name = st.text_input("Name", max_chars=64, key="new-profile-name")
    profile, _ = _fields(values.ConnectionProfile(), None)
    if st.button("Add connection profile", type="primary"):
        with problems_by_label(_LABELS):
            add_profile(db, name, profile, actor=actor)
            say_done(f"Added the connection profile {name.strip()}. Choose it in the settings of a node.")


def _show_profile(db: Database, actor: User, row: ConnectionProfile) -> None:
    st.button(
        "All connection profiles",
        type="tertiary",
        icon=":material/arrow_back:",
        on_click=go_to,
        kwargs={"part": "profiles"},
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(verbatim(row.name), anchor=False, width="stretch")
        st.button("Remove", icon=":material/delete:", on_click=ask, args=[(_REMOVE, row.name)])
    profile, keep = _fields(open_settings(row), row)
    if st.button("Save connection profile", type="primary"):
        with problems_by_label(_LABELS):
            revise_profile(db, row.name, profile, keep=keep, actor=actor)
            say_done(f"Changed the connection profile {row.name}.")
    if asked() == (_REMOVE, row.name):
        _ask_about_removal(db, row.name)


def _ask_about_removal(db: Database, name: str) -> None:
    def act() -> None:
        remove_profile(db, name, actor=signed_in().user)
        go_to(part="profiles")

    show_question(f"Remove {name}?", "Its secrets are gone for good.", "Remove", act)


def _fields(
    known: values.ConnectionProfile, row: ConnectionProfile | None
) -> tuple[values.ConnectionProfile, frozenset[ProfileSecret]]:
    """Show the fields; return what they say, and the secrets that are to stay as they are."""
    left, middle, right = st.columns(3)
    connect = left.number_input("Time to connect", 0.1, 3600.0, known.connect_timeout, help="Seconds.")
    silence = middle.number_input("Longest silence", 0.1, 3600.0, known.silence_timeout, help="Seconds.")
    busy = right.number_input("Time for a busy server", 0.0, 3600.0, known.busy_timeout, help="Seconds.")
    attempts = left.number_input("Questions after a transfer", 1, 100, known.verify_attempts, step=1)
    delay = middle.number_input("Time between them", 0.0, 60.0, known.verify_delay, help="Seconds.")
    uploads = right.number_input("Uploads at the same time", 1, 16, known.parallel_uploads, step=1)
    pdu = left.number_input("Longest PDU", 4096, 1 << 28, known.max_pdu_length, step=4096, help="Bytes.")
    tls, keeps_certificate = _tls_fields(row)
    credentials, keeps_credentials = _credentials_fields(row)
    proxy, keeps_proxy = _proxy_fields(row)
    kept = {
        ProfileSecret.CERTIFICATE: keeps_certificate,
        ProfileSecret.CREDENTIALS: keeps_credentials,
        ProfileSecret.PROXY: keeps_proxy,
    }
    profile = values.ConnectionProfile(
        connect_timeout=connect,
        silence_timeout=silence,
        max_pdu_length=pdu,
        verify_attempts=attempts,
        verify_delay=delay,
        tls=tls,
        credentials=credentials,
        proxy=proxy,
        busy_timeout=busy,
        parallel_uploads=uploads,
    )
    return profile, frozenset(secret for secret, is_kept in kept.items() if is_kept)


def _tls_fields(row: ConnectionProfile | None) -> tuple[TlsSettings | None, bool]:
    with st.container(border=True):
        if not st.toggle("TLS", row is not None and row.tls, help="Encrypted connections by DIMSE."):
            return None, False
        verify = st.checkbox(
            "The host name has to be that of the certificate", row is None or row.tls_verify_host_name
        )
        ca = st.text_area(
            "Certificates to trust",
            row.tls_ca if row else "",
            placeholder="-----BEGIN CERTIFICATE-----",
            help="As PEM. Leave it empty to trust those that the system trusts.",
        )
        has_one = row is not None and bool(row.tls_certificate)
        keeps = has_one and st.checkbox("Keep our certificate and its private key", value=True)
        if keeps:
            return TlsSettings(ca=ca, verify_host_name=verify), True
        certificate = st.text_area("Our certificate", help="As PEM, if the server asks for one.")
        key = st.text_area("Its private key", help="As PEM. It is never shown again.")
        return TlsSettings(ca=ca, certificate=certificate, private_key=key, verify_host_name=verify), False


def _credentials_fields(row: ConnectionProfile | None) -> tuple[Credentials | None, bool]:
    with st.container(border=True):
        has_some = row is not None and row.credentials_kind is not None
        kinds: dict[str, str] = {**({_KEEP: "Those that are there"} if has_some else {}), **_KINDS}
        kind = st.selectbox(
            "Credentials",
            list(kinds),
            format_func=lambda each: kinds[each],
            help="What DICOMweb servers are told. They are never shown again.",
        )
        return _credentials(kind), kind == _KEEP


def _credentials(kind: str) -> Credentials | None:
    match kind:
        case CredentialsKind.BASIC:
            return BasicCredentials(st.text_input("User name"), _secret("Password"))
        case CredentialsKind.BEARER:
            return BearerToken(_secret("Token"))
        case CredentialsKind.HEADER:
            return HeaderCredentials(st.text_input("Name of the header"), _secret("Value"))
        case CredentialsKind.CLIENT:
            return ClientCredentials(
                st.text_input("Token URL"),
                st.text_input("Client id"),
                _secret("Client secret"),
                st.text_input("Scope"),
            )
        case _:
            return None


def _proxy_fields(row: ConnectionProfile | None) -> tuple[str, bool]:
    if row is not None and row.proxy is not None and st.checkbox("Keep the HTTP proxy", value=True):
        return "", True
    help_text = "Its URL, with user and password if it needs them. It is never shown again."
    return _secret("HTTP proxy", help_text), False


def _secret(label: str, help_text: str | None = None) -> str:
    return st.text_input(label, type="password", autocomplete="new-password", help=help_text)
