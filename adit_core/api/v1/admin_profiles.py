"""Connection profiles, for staff."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field, FiniteFloat, StringConstraints

from adit_core.api.v1.callers import Administrator, Wired
from adit_core.api.v1.creating import OneCreation
from adit_core.api.v1.values import Given, NodeName, Shown, Text
from adit_core.db import ConnectionProfile, CredentialsKind
from adit_core.dicom import node as values
from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.dicom.tls import TlsSettings
from adit_core.services.profiles import (
    ProfileView,
    add_profile,
    get_profile,
    list_profiles,
    remove_profile,
    replace_profile,
)

_USUAL = values.ConnectionProfile()

Name = Annotated[
    str, Path(max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", description="Its name.", examples=["TLS"])
]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
Pem = Annotated[str, StringConstraints(max_length=1_000_000, pattern=r"^[^\x00]*$")]

router = APIRouter(prefix="/admin/profiles", tags=["admin"])


class Basic(Given):
    """A user name and a password."""

    kind: Literal["basic"]
    username: Text
    password: Secret

    def value(self) -> Credentials:
        """Return what a server is told."""
        return BasicCredentials(self.username, self.password)


class Bearer(Given):
    """A token that does not change."""

    kind: Literal["bearer"]
    token: Secret

    def value(self) -> Credentials:
        """Return what a server is told."""
        return BearerToken(self.token)


class Header(Given):
    """A header, an API key for instance."""

    kind: Literal["header"]
    name: Text
    value_: Secret = Field(alias="value")

    def value(self) -> Credentials:
        """Return what a server is told."""
        return HeaderCredentials(self.name, self.value_)


class Client(Given):
    """OAuth 2.0 client credentials, by which tokens are got."""

    kind: Literal["client"]
    token_url: Text
    client_id: Text
    client_secret: Secret
    scope: Text = ""

    def value(self) -> Credentials:
        """Return what a server is told."""
        return ClientCredentials(self.token_url, self.client_id, self.client_secret, self.scope)


class Tls(Given):
    """How connections are encrypted; certificates and keys as PEM."""

    ca: Pem = ""
    """Whom to trust; empty for those whom the system trusts."""
    certificate: Pem = ""
    private_key: Pem = ""
    verify_host_name: bool = True


class ProfileSettings(Given):
    """How to talk to a server. Times are in seconds, lengths in bytes."""

    connect_timeout: FiniteFloat = _USUAL.connect_timeout
    silence_timeout: FiniteFloat = _USUAL.silence_timeout
    max_pdu_length: int = Field(default=_USUAL.max_pdu_length, ge=0, le=2**31 - 1)
    verify_attempts: int = Field(default=_USUAL.verify_attempts, ge=0, le=1000)
    verify_delay: FiniteFloat = _USUAL.verify_delay
    busy_timeout: FiniteFloat = _USUAL.busy_timeout
    parallel_uploads: int = Field(default=_USUAL.parallel_uploads, ge=0, le=1000)
    tls: Tls | None = None
    """Null for plain connections by DIMSE."""
    credentials: Annotated[Basic | Bearer | Header | Client, Field(discriminator="kind")] | None = None
    """What DICOMweb servers are told."""
    proxy: Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    """The URL of the HTTP proxy to DICOMweb servers, with user and password if it needs them."""

    def value(self) -> values.ConnectionProfile:
        """Return the settings as what is kept."""
        return values.ConnectionProfile(
            connect_timeout=self.connect_timeout,
            silence_timeout=self.silence_timeout,
            max_pdu_length=self.max_pdu_length,
            verify_attempts=self.verify_attempts,
            verify_delay=self.verify_delay,
            tls=TlsSettings(**self.tls.model_dump()) if self.tls else None,
            credentials=self.credentials.value() if self.credentials else None,
            proxy=self.proxy,
            busy_timeout=self.busy_timeout,
            parallel_uploads=self.parallel_uploads,
        )


class NewProfile(ProfileSettings):
    """A connection profile that is to be added."""

    name: NodeName = Field(examples=["TLS with certificates"])


class Profile(Shown):
    """A connection profile; of its secrets, only that and of which kind they are."""

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
    def of(cls, row: ConnectionProfile) -> "Profile":
        """Return what is shown of a row."""
        return cls.model_validate(ProfileView.of(row))


@router.get("")
def list_all(wiring: Wired, _caller: Administrator) -> list[Profile]:
    """List the connection profiles, by name."""
    return [Profile.of(row) for row in list_profiles(wiring.database)]


@router.post("", status_code=201)
def add(wiring: Wired, caller: Administrator, creation: OneCreation, profile: NewProfile) -> Profile:
    """Add a connection profile."""

    def create() -> Profile:
        return Profile.of(add_profile(wiring.database, profile.name, profile.value(), actor=caller.user))

    return creation.once(profile, Profile, create)


@router.get("/{name:path}")
def show(wiring: Wired, _caller: Administrator, name: Name) -> Profile:
    """Show a connection profile."""
    return Profile.of(get_profile(wiring.database, name))


@router.put("/{name:path}")
def replace(wiring: Wired, caller: Administrator, name: Name, profile: ProfileSettings) -> Profile:
    """Put settings in the place of those that have the name, as a whole, secrets included."""
    return Profile.of(replace_profile(wiring.database, name, profile.value(), actor=caller.user))


@router.delete("/{name:path}", status_code=204)
def remove(wiring: Wired, caller: Administrator, name: Name) -> None:
    """Remove a connection profile that no server uses."""
    remove_profile(wiring.database, name, actor=caller.user)
