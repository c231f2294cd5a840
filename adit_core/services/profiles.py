"""Connection profiles: named ways to talk to servers, with what proves who we are to them."""

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from adit_core.db import ConnectionProfile, DicomNode, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.dicom import node as values
from adit_core.dicom.tls import TlsSettings, server_context
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput, NotFound
from adit_core.services import audit
from adit_core.services.pem import certificates_problems, identity_problems

_LONGEST_TIME = 3600.0
_SHORTEST_PDU, _LONGEST_PDU = 4096, 1 << 28
_MOST_ATTEMPTS = 100
_LONGEST_DELAY = 60.0


def add_profile(
    db: Database, name: str, profile: values.ConnectionProfile, *, actor: User | str = audit.SYSTEM
) -> ConnectionProfile:
    """Add a connection profile under a name that no other one has. Its private key is sealed.

    Raises:
        InvalidInput: With all that is wrong.
        SecretUnreadable: There is no key to seal the private key with.
    """
    _refuse(*_name_problems(name), *_problems(profile))
    row = ConnectionProfile(name=name.strip())
    _fill(db, row, profile)
    try:
        with db.session() as session:
            session.add(row)
            _record(session, AuditAction.PROFILE_ADDED, actor, row.name)
            session.commit()
    except IntegrityError as error:
        taken = InputProblem(f"There is a connection profile called {row.name} already.", field="name")
        raise InvalidInput(taken) from error
    return row


def replace_profile(
    db: Database, name: str, profile: values.ConnectionProfile, *, actor: User | str = audit.SYSTEM
) -> ConnectionProfile:
    """Put `profile` in the place of that which has the name; servers that use it go on with it.

    What was there before need not be readable, so this is also what helps if the key for secrets is lost.

    Raises:
        NotFound: There is no connection profile of that name.
        InvalidInput: With all that is wrong.
        SecretUnreadable: There is no key to seal the private key with.
    """
    row = get_profile(db, name)
    _refuse(*_problems(profile))
    _fill(db, row, profile)
    with db.session() as session:
        session.add(row)
        _record(session, AuditAction.PROFILE_REPLACED, actor, name)
        session.commit()
    return row


def remove_profile(db: Database, name: str, *, actor: User | str = audit.SYSTEM) -> None:
    """Remove a connection profile that no server uses.

    Raises:
        NotFound: There is no connection profile of that name.
        ActionNotPossible: Servers use it; the message names them.
    """
    row = get_profile(db, name)
    with db.session() as session:
        users = session.exec(
            select(DicomNode.name).where(DicomNode.connection_profile_id == row.id).order_by(DicomNode.name)
        ).all()
        if users:
            raise ActionNotPossible(f"The connection profile {name} is in use by {', '.join(users)}.")
        session.delete(row)
        _record(session, AuditAction.PROFILE_REMOVED, actor, name)
        session.commit()


def list_profiles(db: Database) -> list[ConnectionProfile]:
    """Return all connection profiles by name; their private keys stay sealed."""
    with db.reading() as session:
        return list(session.exec(select(ConnectionProfile).order_by(ConnectionProfile.name)))


def get_profile(db: Database, name: str) -> ConnectionProfile:
    """Return the connection profile of that name.

    Raises:
        NotFound: There is none; the message lists those that there are.
    """
    profiles = list_profiles(db)
    for profile in profiles:
        if profile.name == name:
            return profile
    known = ", ".join(profile.name for profile in profiles) or "none"
    raise NotFound(f"There is no connection profile called {name}. Known profiles: {known}.")


def profile_value(db: Database, profile_id: int | None) -> values.ConnectionProfile:
    """Return a profile as what a transfer works with, its private key unsealed; None is the usual one.

    Raises:
        SecretUnreadable: The private key was sealed with a key that is not at hand.
    """
    if profile_id is None:
        return values.ConnectionProfile()
    with db.reading() as session:
        row = session.get_one(ConnectionProfile, profile_id)
    return values.ConnectionProfile(
        connect_timeout=row.connect_timeout,
        silence_timeout=row.silence_timeout,
        max_pdu_length=row.max_pdu_length,
        verify_attempts=row.verify_attempts,
        verify_delay=row.verify_delay,
        tls=_tls_value(db, row) if row.tls else None,
    )


def provider_profile(db: Database, name: str) -> values.ConnectionProfile:
    """Return the profile by which a provider of ours is connected to; an empty name is the usual one.

    It is looked at when the provider starts, before anybody connects.

    Raises:
        NotFound: There is no connection profile of that name.
        SecretUnreadable: Its private key was sealed with a key that is not at hand.
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
        private_key=db.keyring.unseal(row.tls_private_key) if row.tls_private_key else "",
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
    row.tls_private_key = db.keyring.seal(tls.private_key) if tls.private_key else None
    row.tls_verify_host_name = tls.verify_host_name


def _record(session: Session, action: AuditAction, actor: User | str, name: str) -> None:
    audit.record(session, action, actor=actor, object_kind="profile", object_id=name)


def _refuse(*problems: InputProblem) -> None:
    if problems:
        raise InvalidInput(*problems)


def _problems(profile: values.ConnectionProfile) -> list[InputProblem]:
    return [*_range_problems(profile), *_tls_problems(profile.tls)]


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
