"""What the claims of an OpenID provider tell about somebody who signs in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adit_core.errors import IdentityRejected
from adit_core.services.oidc_provider import Statement
from adit_core.services.users import usable_email, usable_name
from adit_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where a provider tells what; it can be a part: ``realm_access.roles``."""

    username: str = "preferred_username"
    groups: str = "groups"

    @classmethod
    def of(cls, settings: Settings) -> "ClaimNames":
        """Return those that the settings name."""
        return cls(settings.oidc_username_claim, settings.oidc_groups_claim)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom a provider vouches for."""

    issuer: str
    """The provider."""
    subject: str
    """What it calls this person, for ever and nobody else."""
    username: str
    """The user name that the person would have here; empty if it tells none that can be one."""
    full_name: str
    email: str
    groups: frozenset[str]
    """The provider's, not ours."""


def person_of(statement: Statement, names: ClaimNames) -> Person:
    """Return whom a checked statement is about. What is told in a wrong form counts as not told.

    Raises:
        IdentityRejected: There are so many groups that the provider left them out.
    """
    claims = statement.claims
    email = usable_email(_text(claims.get("email")))
    is_verified = claims.get("email_verified") is not False
    return Person(
        issuer=statement.issuer,
        subject=statement.subject,
        username=usable_name(_text(_part(claims, names.username)))
        or (usable_name(email) if is_verified else ""),
        full_name=_text(claims.get("name")),
        email=email if is_verified else "",
        groups=_groups(claims, names.groups),
    )


def _groups(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, Mapping) and name in elsewhere:
        # Entra ID does so beyond 200 groups; taking it for none would silently take rights away.
        raise IdentityRejected(
            f"The provider left out {name}, because there are too many: have it tell those of ADIT only."
        )
    told = _part(claims, name)
    each = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    return frozenset(group for group in each if isinstance(group, str))


def _part(claims: Mapping[str, Any], name: str) -> Any:
    """Return the claim of this name; claims are called by URLs, too, so that dots come second."""
    if name in claims or "." not in name:
        return claims.get(name)
    first, _, rest = name.partition(".")
    inner = claims.get(first)
    return _part(inner, rest) if isinstance(inner, Mapping) else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
