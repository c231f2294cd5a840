"""Credentials by which a DICOMweb server knows us; the standard leaves the scheme to HTTP (PS3.18 8.12).

Secrets are left out of ``repr``, so that they appear in no log.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """A user name and a password (RFC 7617)."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token that does not change (RFC 6750)."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeaderCredentials:
    """A header that the server asks for, an API key for instance."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What a token is got by, again and again, as it expires (OAuth 2.0, RFC 6749 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""


Credentials = BasicCredentials | BearerToken | HeaderCredentials | ClientCredentials
