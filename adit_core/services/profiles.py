"""Connection profiles: named ways to talk to servers, with what proves who we are to them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select
from sqlmodel.sql.expression import SelectOfScalar

from adit_core.db import ConnectionProfile, CredentialsKind, DicomNode, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.db.secrets import Sealed
from adit_core.dicom import node as values
from adit_core.dicom.tls import TlsSettings, server_context
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput, NotFound, refuse
from adit_core.services import audit
from adit_core.services.pem import certificates_problems, expiry, identity_problems
from adit_core.services.rights import require_administrator
from adit_core.services.web_credentials import (
    credentials_problems,
    decode_credentials,
    encode_credentials,
    kind_of,
    proxy_problems,
)

_LONGEST_TIME = 3600.0
_SHORTEST_PDU, _LONGEST_PDU = 4096, 1 << 28
_MOST_ATTEMPTS = 100
_LONGEST_DELAY = 60.0
_MOST_UPLOADS = 16


class ProfileSecret(StrEnum):
    """What of a profile is never shown once it is there."""

    CREDENTIALS = "credentials"
    PROXY = "proxy"
    CERTIFICATE = "certificate"
    """Our own certificate, with its private key."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """What is shown of a connection profile; of its secrets, only that and of which kind they are."""

    name: str
    connect_timeout: float
    silence_timeout: float
    max_pdu_length: int
    verify_attempts: int
    verify_delay: float
    busy_timeout: float
    parallel_uploads: int
    credentials: CredentialsKind | None
    has_proxy: bool
    tls: bool
    verifies_host_name: bool
    has_ca: bool
    has_certificate: bool
    expires_at: datetime | None
    """When the first of its certificates expires."""

    @classmethod
    def of(cls, row: ConnectionProfile) -> "ProfileView":
        """Return what is shown of a row."""
        return cls(
            name=row.name,
            connect_timeout=row.connect_timeout,
            silence_timeout=row.silence_timeout,
            max_pdu_length=row.max_pdu_length,
            verify_attempts=row.verify_attempts,
            verify_delay=row.verify_delay,
            busy_timeout=row.busy_timeout,
            parallel_uploads=row.parallel_uploads,
            credentials=row.credentials_kind,
            has_proxy=row.proxy is not None,
            tls=row.tls,
            verifies_host_name=row.tls_verify_host_name,
            has_ca=bool(row.tls_ca),
            has_certificate=bool(row.tls_certificate),
            expires_at=expiry(row.tls_ca + row.tls_certificate),
        )


def add_profile(
    db: Database, name: str, profile: values.ConnectionProfile, *, actor: User | str = audit.SYSTEM
) -> ConnectionProfile:
    """Add a connection profile under a name that no other one has. Its secrets are sealed.

    Raises:
        InvalidInput: With all that is wrong.
        SecretUnreadable: There is no key to seal secrets with.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    row = profile_row(db, name, profile)
    try:
        with db.session() as session:
            session.add(row)
            _record(session, AuditAction.PROFILE_ADDED, actor, row.name)
            session.commit()
    except IntegrityError as error:
        taken = InputProblem(f"There is a connection profile called {row.name} already.", field="name")
        raise InvalidInput(taken) from error
    return row


def profile_row(db: Database, name: str, profile: values.ConnectionProfile) -> ConnectionProfile:
    """Return the row of a connection profile, to be added to a transaction. Its secrets are sealed.

    Raises:
        InvalidInput: With all that is wrong.
        SecretUnreadable: There is no key to seal secrets with.
    """
    refuse(*_name_problems(name), *_problems(profile))
    row = ConnectionProfile(name=name.strip())
    _fill(db, row, profile)
    return row


def replace_profile(
    db: Database, name: str, profile: values.ConnectionProfile, *, actor: User | str = audit.SYSTEM
) -> ConnectionProfile:
    """Put `profile` in the place of that which has the name; servers that use it go on with it.

    What was there before need not be readable, so this is also what helps if the key for secrets is lost.

    Raises:
        NotFound: There is no connection profile of that name.
        InvalidInput: With all that is wrong.
        SecretUnreadable: There is no key to seal secrets with.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    refuse(*_problems(profile))
    with db.session() as session:
        row = _named(session, select(ConnectionProfile).with_for_update(), name)
        _fill(db, row, profile)
        session.add(row)
        _record(session, AuditAction.PROFILE_REPLACED, actor, name)
        session.commit()
    return row


def revise_profile(
    db: Database,
    name: str,
    profile: values.ConnectionProfile,
    *,
    keep: Collection[ProfileSecret],
    actor: User | str = audit.SYSTEM,
) -> ConnectionProfile:
    """Replace a profile but for the secrets in `keep`, which stay although nobody is shown them.

    Raises what `replace_profile` raises, and SecretUnreadable also if one that is to stay cannot be read.
    """
    require_administrator(actor)
    if keep:
        known = profile_value(db, get_profile(db, name).id)
        if ProfileSecret.CREDENTIALS in keep:
            profile = replace(profile, credentials=known.credentials)
        if ProfileSecret.PROXY in keep:
            profile = replace(profile, proxy=known.proxy)
        if ProfileSecret.CERTIFICATE in keep and profile.tls is not None and known.tls is not None:
            tls = replace(profile.tls, certificate=known.tls.certificate, private_key=known.tls.private_key)
            profile = replace(profile, tls=tls)
    return replace_profile(db, name, profile, actor=actor)


def remove_profile(db: Database, name: str, *, actor: User | str = audit.SYSTEM) -> None:
    """Remove a connection profile that no server uses.

    Raises:
        NotFound: There is no connection profile of that name.
        ActionNotPossible: Servers use it; the message names them.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        # Waits for those that are assigning it at this moment, see `assignable_profile_id`.
        row = _named(session, select(ConnectionProfile).with_for_update(), name)
        users = session.exec(
            select(DicomNode.name).where(DicomNode.connection_profile_id == row.id).order_by(DicomNode.name)
        ).all()
        if users:
            raise ActionNotPossible(f"The connection profile {name} is in use by {', '.join(users)}.")
        session.delete(row)
        _record(session, AuditAction.PROFILE_REMOVED, actor, name)
        session.commit()


def assignable_profile_id(session: Session, name: str) -> int:
    """Return the id of a profile, which cannot be removed before the transaction of `session` ends.

    Raises:
        NotFound: There is no connection profile of that name.
    """
    return _named(session, select(ConnectionProfile).with_for_update(read=True, key_share=True), name).id


def list_profiles(db: Database) -> list[ConnectionProfile]:
    """Return all connection profiles by name; their secrets stay sealed."""
    with db.reading() as session:
        return list(session.exec(select(ConnectionProfile).order_by(ConnectionProfile.name)))


def get_profile(db: Database, name: str) -> ConnectionProfile:
    """Return the connection profile of that name.

    Raises:
        NotFound: There is none; the message lists those that there are.
    """
    with db.reading() as session:
        return _named(session, select(ConnectionProfile), name)


def profile_value(db: Database, profile_id: int | None) -> values.ConnectionProfile:
    """Return a profile as what a transfer works with, its secrets unsealed; None is the usual one.

    Raises:
        SecretUnreadable: A secret was sealed with a key that is not at hand.
    """
    if profile_id is None:
        return values.ConnectionProfile()
    with db.reading() as session:
        row = session.get_one(ConnectionProfile, profile_id)
    return replace(
        open_settings(row),
        tls=_tls_value(db, row) if row.tls else None,
        credentials=decode_credentials(db.keyring.unseal(row.credentials)) if row.credentials else None,
        proxy=_unsealed(db, row.proxy),
    )


def open_settings(row: ConnectionProfile) -> values.ConnectionProfile:
    """Return what of a profile needs no key to be read: neither TLS nor credentials nor the proxy."""
    return values.ConnectionProfile(
        connect_timeout=row.connect_timeout,
        silence_timeout=row.silence_timeout,
        max_pdu_length=row.max_pdu_length,
        verify_attempts=row.verify_attempts,
        verify_delay=row.verify_delay,
        busy_timeout=row.busy_timeout,
        parallel_uploads=row.parallel_uploads,
    )


def provider_profile(db: Database, name: str) -> values.ConnectionProfile:
    """Return the profile by which a provider of ours is connected to; an empty name is the usual one.

    It is looked at when the provider starts, before anybody connects.

    Raises:
        NotFound: There is no connection profile of that name.
        SecretUnreadable: A secret of it was sealed with a key that is not at hand.
        TlsFailed: It says TLS, but has no certificate that can be shown to users.
    """
    if not name:
        return values.ConnectionProfile()
    profile = profile_value(db, get_profile(db, name).id)
    if profile.tls is not None:
        server_context(profile.tls)
    return profile


def _tls_value(db: Database, row: ConnectionProfile) -> TlsSettings:
    return TlsSettings(
        ca=row.tls_ca,
        certificate=row.tls_certificate,
        private_key=_unsealed(db, row.tls_private_key),
        verify_host_name=row.tls_verify_host_name,
    )


def _fill(db: Database, row: ConnectionProfile, profile: values.ConnectionProfile) -> None:
    tls = profile.tls or TlsSettings()
    row.connect_timeout = profile.connect_timeout
    row.silence_timeout = profile.silence_timeout
    row.max_pdu_length = profile.max_pdu_length
    row.verify_attempts = profile.verify_attempts
    row.verify_delay = profile.verify_delay
    row.tls = profile.tls is not None
    row.tls_ca = tls.ca
    row.tls_certificate = tls.certificate
    row.tls_private_key = _sealed(db, tls.private_key)
    row.tls_verify_host_name = tls.verify_host_name
    row.credentials_kind = kind_of(profile.credentials) if profile.credentials else None
    row.credentials = _sealed(db, encode_credentials(profile.credentials) if profile.credentials else "")
    row.proxy = _sealed(db, profile.proxy)
    row.busy_timeout = profile.busy_timeout
    row.parallel_uploads = profile.parallel_uploads


def _sealed(db: Database, secret: str) -> Sealed | None:
    return db.keyring.seal(secret) if secret else None


def _unsealed(db: Database, sealed: Sealed | None) -> str:
    return db.keyring.unseal(sealed) if sealed else ""


def _named(session: Session, profiles: SelectOfScalar[ConnectionProfile], name: str) -> ConnectionProfile:
    """Return the one of `profiles` that has the name; raises NotFound."""
    row = session.exec(profiles.where(ConnectionProfile.name == name)).one_or_none()
    if row is None:
        names = session.exec(select(ConnectionProfile.name).order_by(ConnectionProfile.name)).all()
        known = ", ".join(names) or "none"
        raise NotFound(f"There is no connection profile called {name}. Known profiles: {known}.")
    return row


def _record(session: Session, action: AuditAction, actor: User | str, name: str) -> None:
    audit.record(session, action, actor=actor, object_kind="profile", object_id=name)


def _problems(profile: values.ConnectionProfile) -> list[InputProblem]:
    return [
        *_range_problems(profile),
        *_tls_problems(profile.tls),
        *(credentials_problems(profile.credentials) if profile.credentials else ()),
        *proxy_problems(profile.proxy),
    ]


def _name_problems(name: str) -> list[InputProblem]:
    if 1 <= len(name.strip()) <= 64 and name.isprintable() and storable(name) == name:
        return []
    message = "A connection profile needs a name of 1 to 64 characters, in one line."
    return [InputProblem(message, field="name")]


def _range_problems(profile: values.ConnectionProfile) -> list[InputProblem]:
    ranges = {
        "connect_timeout": (profile.connect_timeout, 0.1, _LONGEST_TIME, "seconds"),
        "silence_timeout": (profile.silence_timeout, 0.1, _LONGEST_TIME, "seconds"),
        "max_pdu_length": (profile.max_pdu_length, _SHORTEST_PDU, _LONGEST_PDU, "bytes"),
        "verify_attempts": (profile.verify_attempts, 1, _MOST_ATTEMPTS, "questions"),
        "verify_delay": (profile.verify_delay, 0, _LONGEST_DELAY, "seconds"),
        "busy_timeout": (profile.busy_timeout, 0, _LONGEST_TIME, "seconds"),
        "parallel_uploads": (profile.parallel_uploads, 1, _MOST_UPLOADS, "requests"),
    }
    return [
        InputProblem(f"From {least:g} to {most:g} {unit}.", field=field)
        for field, (value, least, most, unit) in ranges.items()
        if not least <= value <= most
    ]


def _tls_problems(tls: TlsSettings | None) -> list[InputProblem]:
    if tls is None:
        return []
    return [
        *(certificates_problems("ca", tls.ca) if tls.ca else ()),
        *identity_problems(
            tls.certificate, tls.private_key, certificate_field="certificate", key_field="private_key"
        ),
    ]
