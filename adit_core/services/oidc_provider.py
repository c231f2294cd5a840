"""Speaks OpenID Connect with the provider by which users sign in.

Authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636), discovery (Discovery 1.0), and
ending the provider's own session (RP-Initiated Logout 1.0). Nothing of an answer is believed before its
signature, issuer, audience, expiry and nonce have been checked (Core, 3.1.3.7), and none of it gets into a
message. All of it blocks.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, ValidationError

from adit_core.errors import IdentityRejected, ProviderUnavailable
from adit_core.settings import Settings

_TIMEOUT = (5.0, 10.0)
"""Seconds to connect, and between two parts of an answer."""
_REMEMBERED = 60 * 60
"""Seconds for which is remembered what a provider publishes about itself."""
_CLOCK_TOLERANCE = 60
"""Seconds that the provider's clock may be off."""
_SIGNATURES = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
"""Those that only the provider can make. `none` is no signature, and HMAC is keyed with what clients know."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClientRegistration:
    """How the provider knows us, and what we ask it for."""

    issuer: str
    """The provider's name."""
    client_id: str
    client_secret: str | None = field(repr=False)
    """None for a public client, which PKCE protects."""
    redirect_uri: str
    """Where it sends browsers back to."""
    scopes: str = "openid profile email"
    needed_claims: frozenset[str] = frozenset()
    """It is asked once more for those that are not in its first answer."""
    ca_file: str = ""
    """The certificates that it is checked by; empty for those of the system."""


@dataclass(frozen=True, slots=True)
class Question:
    """What makes an answer one to a certain browser; to be kept, out of reach of others, until it comes."""

    state: str = field(default_factory=lambda: generate_token(43), repr=False)
    nonce: str = field(default_factory=lambda: generate_token(43), repr=False)
    code_verifier: str = field(default_factory=lambda: generate_token(64), repr=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """Who it is, as the provider says, and we have checked."""

    issuer: str
    subject: str
    claims: Mapping[str, Any] = field(repr=False)
    id_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a browser has to POST, and where to, so that the provider ends its session, too."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


class Metadata(BaseModel):
    """What a provider publishes about itself, as far as it matters here (Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    authorization_response_iss_parameter_supported: bool = False

    @property
    def addresses(self) -> list[str]:
        """Where browsers or we are sent."""
        optional = (self.userinfo_endpoint, self.end_session_endpoint)
        return [
            self.authorization_endpoint,
            self.token_endpoint,
            self.jwks_uri,
            *(each for each in optional if each is not None),
        ]


class OpenIdProvider:
    """One provider. Asks it for what it publishes only when that is needed, and seldom."""

    def __init__(self, registration: ClientRegistration) -> None:
        self._us = registration
        self._metadata = _Remembered(self._fetch_metadata)
        self._keys = _Remembered(self._fetch_keys)

    @property
    def issuer(self) -> str:
        """The provider's name."""
        return self._us.issuer

    def examine(self) -> None:
        """Do nothing if the provider publishes what is needed to sign in; raises ProviderUnavailable."""
        self._metadata.get(fresh=True)
        self._keys.get(fresh=True)

    def url_to_ask(self, question: Question) -> str:
        """Return where a browser is sent for an answer.

        Raises:
            ProviderUnavailable: The provider does not answer.
        """
        metadata = self._metadata.get()
        with self._session() as session:
            url, _ = session.create_authorization_url(
                metadata.authorization_endpoint,
                state=question.state,
                nonce=question.nonce,
                code_verifier=question.code_verifier,
            )
        return url

    def statement(self, question: Question, code: str, *, issuer: str | None = None) -> Statement:
        """Return who it is that a browser came back for, with `code`.

        Args:
            question: What was asked for this browser.
            code: What it brought; good for once.
            issuer: Whom the answer is said to come from (RFC 9207).

        Raises:
            ProviderUnavailable: The provider does not answer.
            IdentityRejected: It does not take the code, or its answer is not to be trusted.
        """
        metadata = self._metadata.get()
        is_told = issuer is not None or metadata.authorization_response_iss_parameter_supported
        if is_told and issuer != self._us.issuer:
            raise IdentityRejected("The answer comes from another provider (iss).")
        tokens = self._exchange(metadata, question, code)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise IdentityRejected("The provider sent no ID token.")
        claims = self._checked(metadata, id_token, question, tokens.get("access_token"))
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise IdentityRejected("The provider's answer is wrong in sub.")
        if metadata.userinfo_endpoint and not self._us.needed_claims <= claims.keys():
            more = self._userinfo(metadata.userinfo_endpoint, str(tokens.get("access_token")), subject)
            claims = {**more, **claims}
        return Statement(self._us.issuer, subject, claims, id_token)

    def farewell(self, id_token: str, *, back_to: str) -> Farewell | None:
        """Return how the provider is told that the user signs out; None if it does not care.

        Raises:
            ProviderUnavailable: The provider does not answer.
        """
        url = self._metadata.get().end_session_endpoint
        if url is None:
            return None
        fields = {"id_token_hint": id_token, "client_id": self._us.client_id}
        return Farewell(url, {**fields, "post_logout_redirect_uri": back_to})

    def _exchange(self, metadata: Metadata, question: Question, code: str) -> Mapping[str, Any]:
        try:
            with self._session(metadata) as session:
                return session.fetch_token(
                    metadata.token_endpoint,
                    code=code,
                    code_verifier=question.code_verifier,
                    allow_redirects=False,
                    verify=self._us.ca_file or True,
                )
        except AuthlibBaseError as error:
            known = error.error if str(error.error).replace("_", "").isalpha() else "an error"
            raise IdentityRejected(f"The provider does not take the code: {known}.") from error
        except (requests.RequestException, ValueError) as error:
            raise self._unavailable("token endpoint", error) from error

    def _checked(
        self, metadata: Metadata, id_token: str, question: Question, access_token: str | None
    ) -> dict[str, Any]:
        """Return the claims of an ID token that is the provider's answer to `question`."""
        expected = {
            "iss": {"essential": True, "value": self._us.issuer},
            "aud": {"essential": True, "value": self._us.client_id},
            "sub": {"essential": True},
        }
        given = {"nonce": question.nonce, "client_id": self._us.client_id, "access_token": access_token}
        try:
            token = self._verified(metadata, id_token)
            claims = CodeIDToken(token.claims, token.header, expected, given)
            claims.validate(leeway=_CLOCK_TOLERANCE)
        except (JoseError, ValueError, TypeError) as error:
            # The error's own text can quote the token.
            claim = getattr(error, "claim", None)
            fact = f"wrong in {claim}" if claim else f"not to be trusted ({type(error).__name__})"
            raise IdentityRejected(f"The provider's answer is {fact}.") from error
        return dict(claims)

    def _verified(self, metadata: Metadata, id_token: str) -> jwt.Token:
        algorithms = sorted(_SIGNATURES.intersection(metadata.id_token_signing_alg_values_supported))
        registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
        try:
            return jwt.decode(id_token, self._keys.get(), registry=registry)
        except InvalidKeyIdError:
            # The provider has changed its keys since we looked.
            return jwt.decode(id_token, self._keys.get(fresh=True), registry=registry)

    def _userinfo(self, url: str, access_token: str, subject: str) -> dict[str, Any]:
        claims = self._get(url, "user information", {"Authorization": f"Bearer {access_token}"})
        if claims.get("sub") != subject:
            raise IdentityRejected("The provider's information is about another user (sub).")
        return claims

    def _fetch_metadata(self) -> Metadata:
        url = get_well_known_url(self._us.issuer, external=True)
        try:
            metadata = Metadata.model_validate(self._get(url, "discovery document"))
        except ValidationError as error:
            names = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors()}))
            raise ProviderUnavailable(f"The discovery document at {url} is wrong in {names}.") from error
        if metadata.issuer != self._us.issuer:
            raise ProviderUnavailable(
                f"The provider at {url} is called {metadata.issuer}, not {self._us.issuer}: "
                "ADIT_OIDC_ISSUER has to be exactly the same."
            )
        schemes = ("https://",) if self._us.issuer.startswith("https://") else ("https://", "http://")
        if not all(address.startswith(schemes) for address in metadata.addresses):
            raise ProviderUnavailable(f"The discovery document at {url} leads away from https.")
        return metadata

    def _fetch_keys(self) -> KeySet:
        url = self._metadata.get().jwks_uri
        published = self._get(url, "key set")
        try:
            return KeySet.import_key_set(published)  # pyright: ignore[reportArgumentType]
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise self._unavailable("key set", error) from error

    def _get(self, url: str, what: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            with self._session() as session:
                answer = session.request(
                    "GET",
                    url,
                    withhold_token=True,
                    headers=headers,
                    allow_redirects=False,
                    verify=self._us.ca_file or True,
                )
                if answer.status_code != requests.codes.ok:
                    raise ProviderUnavailable(
                        f"The {what} of {self._us.issuer} is answered with status {answer.status_code}."
                    )
                content = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise self._unavailable(what, error) from error
        if not isinstance(content, dict):
            raise ProviderUnavailable(f"The {what} of {self._us.issuer} is no JSON object.")
        return content

    @contextmanager
    def _session(self, metadata: Metadata | None = None) -> Iterator[OAuth2Session]:
        session: Any = OAuth2Session(
            self._us.client_id,
            self._us.client_secret,
            token_endpoint_auth_method=self._authentication(metadata) if metadata else None,
            scope=self._us.scopes,
            redirect_uri=self._us.redirect_uri,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT,
        )
        with session:
            yield session

    def _authentication(self, metadata: Metadata) -> str:
        if self._us.client_secret is None:
            return "none"
        offered = metadata.token_endpoint_auth_methods_supported
        by_form = "client_secret_basic" not in offered and "client_secret_post" in offered
        return "client_secret_post" if by_form else "client_secret_basic"

    def _unavailable(self, what: str, error: Exception) -> ProviderUnavailable:
        kind = type(error).__name__
        return ProviderUnavailable(f"The {what} of {self._us.issuer} is not to be had ({kind}).")


def configured_provider(settings: Settings, callback_path: str = "/") -> OpenIdProvider | None:
    """Return the provider that the settings name, None if there is none; it is not asked for anything yet.

    It sends browsers back to `callback_path`.

    Raises:
        InvalidInput: The file with the secret cannot be read.
    """
    if not settings.oidc_issuer:
        return None
    decides = settings.oidc_groups or settings.oidc_staff_groups or settings.oidc_allowed_groups
    needed = (settings.oidc_username_claim, *([settings.oidc_groups_claim] if decides else []))
    return OpenIdProvider(
        ClientRegistration(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.resolved_oidc_client_secret(),
            redirect_uri=settings.web_url.rstrip("/") + callback_path,
            scopes=settings.oidc_scopes,
            needed_claims=frozenset(needed),
            ca_file=settings.oidc_ca_file,
        )
    )


class _Remembered(Generic[T]):
    """What is fetched once in a while, by one thread at a time; a failure is not remembered."""

    def __init__(self, fetch: Callable[[], T]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._value: T | None = None
        self._until = 0.0

    def get(self, *, fresh: bool = False) -> T:
        """Return it; `fresh` if what is remembered turned out to be too old."""
        with self._lock:
            if fresh or self._value is None or time.monotonic() > self._until:
                self._value = self._fetch()
                self._until = time.monotonic() + _REMEMBERED
            return self._value
