"""An OpenID provider that signs real tokens, and does on purpose what honest ones never do.

It signs in whoever it is told to without asking: the authorization endpoint leads straight back. It
insists on what a client has to do: its secret, PKCE by S256, each code once, the same redirect URI.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "adit", "a secret of the client"
HOST = "127.0.0.1"

Claims = dict[str, Any]


@dataclass
class Conduct:
    """What it does; a new one for each test."""

    claims: Claims = field(default_factory=lambda: {"sub": "1", "preferred_username": "nobody"})
    """What it says of who signs in."""
    userinfo: Claims | None = None
    """What it says of the same elsewhere; it has no such endpoint without."""
    spoil: Callable[[Claims], Claims] = lambda claims: claims
    """Changes the claims of an ID token before it is signed."""
    sign: "Callable[[HostileProvider, Claims], str] | None" = None
    """Makes the ID token in another way."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What it publishes besides, or differently."""
    error: str = ""
    """Sends browsers back with this, instead of a code."""
    is_down: bool = False
    """Answers everything but discovery with 503."""
    takes_codes_again: bool = False
    requires_pkce: bool = True


@dataclass
class _Code:
    challenge: str
    nonce: str | None
    redirect_uri: str
    is_used: bool = False


class HostileProvider:
    """Runs in a thread of the test."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.issuer = f"http://{HOST}:{server.server_address[1]}"
        self.conduct = Conduct()
        self.key = RSAKey.generate_key(2048, auto_kid=True)
        self.questions: list[dict[str, str]] = []
        """What browsers came with, the latest last."""
        self.codes: dict[str, _Code] = {}
        self.requests: list[str] = []
        """The paths that were asked for."""

    def behave(self, **conduct: Any) -> None:
        """Do so from now on, and forget what it was told to do before."""
        self.conduct = Conduct(**conduct)

    def change_key(self) -> None:
        """Sign with another key from now on, as providers do now and then."""
        self.key = RSAKey.generate_key(2048, auto_kid=True)

    def metadata(self) -> dict[str, Any]:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "userinfo_endpoint": f"{self.issuer}/userinfo" if self.conduct.userinfo is not None else None,
        }
        return {**known, **self.conduct.metadata}

    def authorize(self, question: dict[str, str]) -> str:
        """Return where the browser is led to."""
        self.questions.append(question)
        if self.conduct.error:
            told = {"error": self.conduct.error, "error_description": "<b>because</b>"}
        else:
            code = secrets.token_urlsafe(16)
            self.codes[code] = _Code(
                question.get("code_challenge", ""), question.get("nonce"), question["redirect_uri"]
            )
            told = {"code": code}
        return f"{question['redirect_uri']}?{urlencode({**told, 'state': question['state']})}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[HTTPStatus, dict[str, Any]]:
        """Return what the token endpoint answers."""
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if authorization != f"Basic {expected}":
            return HTTPStatus.UNAUTHORIZED, {"error": "invalid_client"}
        code = self.codes.get(form.get("code", ""))
        verifier = form.get("code_verifier", "")
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        is_good = (
            code is not None
            and (not code.is_used or self.conduct.takes_codes_again)
            and (challenge == code.challenge or not self.conduct.requires_pkce)
            and form.get("redirect_uri") == code.redirect_uri
        )
        if code is None or not is_good:
            return HTTPStatus.BAD_REQUEST, {"error": "invalid_grant"}
        code.is_used = True
        return HTTPStatus.OK, {
            "access_token": "an access token",
            "token_type": "Bearer",
            "expires_in": 30,
            "id_token": self._id_token(code.nonce),
        }

    def _id_token(self, nonce: str | None) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            **({"nonce": nonce} if nonce else {}),
            **self.conduct.claims,
        }
        claims = self.conduct.spoil(claims)
        return self.conduct.sign(self, claims) if self.conduct.sign else self.signed(claims)

    def signed(self, claims: Claims, key: RSAKey | None = None) -> str:
        """Return a token that is signed properly, with our key or another one under our key's name."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, key or self.key)


@contextmanager
def openid_provider() -> Iterator[HostileProvider]:
    """Run a provider on a free port."""
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    provider = HostileProvider(server)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"provider": provider})
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    provider: HostileProvider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self.provider.requests.append(address.path)
        conduct = self.provider.conduct
        if conduct.is_down:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {})
        elif address.path == "/.well-known/openid-configuration":
            self._answer(HTTPStatus.OK, self.provider.metadata())
        elif address.path == "/keys":
            self._answer(HTTPStatus.OK, {"keys": [self.provider.key.as_dict(private=False)]})
        elif address.path == "/userinfo" and self.headers["Authorization"] == "Bearer an access token":
            self._answer(HTTPStatus.OK, conduct.userinfo or {})
        elif address.path == "/authorize":
            self._redirect(self.provider.authorize(dict(parse_qsl(address.query))))
        else:
            self._answer(HTTPStatus.NOT_FOUND, {})

    def do_POST(self) -> None:
        self.provider.requests.append(self.path)
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if self.provider.conduct.is_down:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {})
        elif self.path == "/token":
            self._answer(*self.provider.exchange(form, self.headers.get("Authorization", "")))
        else:
            self._answer(HTTPStatus.NOT_FOUND, {})

    def _redirect(self, address: str) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
