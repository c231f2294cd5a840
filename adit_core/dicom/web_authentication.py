"""How requests get the credentials of a node; OAuth tokens are shared by all sessions of a process."""

import time
from base64 import b64encode
from dataclasses import dataclass
from threading import Lock

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.dicom.web_status import status_error, translated_failures
from adit_core.errors import ProtocolError

_AUTHORIZATION = "Authorization"
_MARGIN = 30.0
"""A token is renewed so many seconds before it expires: requests take time, and clocks differ."""
_USUAL_LIFETIME = 300.0
_UNAUTHORIZED = frozenset({400, 401})


def authentication(
    credentials: Credentials, *, node_name: str, token_session: requests.Session
) -> "Authentication":
    """Return what puts `credentials` into requests. Tokens are fetched through `token_session`."""
    match credentials:
        case BasicCredentials(username, password):
            encoded = b64encode(f"{username}:{password}".encode()).decode("ascii")
            return Authentication(_AUTHORIZATION, f"Basic {encoded}")
        case BearerToken(token):
            return Authentication(_AUTHORIZATION, f"Bearer {token}")
        case HeaderCredentials(name, value):
            return Authentication(name, value)
        case ClientCredentials():
            return TokenAuthentication(credentials, node_name, token_session)


class Authentication(AuthBase):
    """Puts credentials into each request, the same ones unless a subclass knows better.

    ``header`` is the name of the header that holds them, which must not go to other servers.
    """

    def __init__(self, header: str, value: str = "") -> None:
        self.header = header
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:  # noqa: D102 - of requests
        request.headers[self.header] = self.value()
        return request

    def value(self) -> str:
        """Return what the header holds now."""
        return self._value

    def renew(self, request: requests.PreparedRequest) -> bool:  # noqa: ARG002 - there are no others
        """Tell whether other credentials were put into `request`, which the server did not accept."""
        return False


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires_at: float


_tokens: dict[ClientCredentials, _Token] = {}
_tokens_lock = Lock()


class TokenAuthentication(Authentication):
    """Sends a token that is fetched by client credentials, and again before it expires (RFC 6749 4.4)."""

    def __init__(self, credentials: ClientCredentials, node_name: str, session: requests.Session) -> None:
        super().__init__(_AUTHORIZATION)
        self._credentials = credentials
        self._peer = f"the token endpoint of {node_name}"
        self._session = session

    def value(self) -> str:
        """Return the header with a token that is still valid.

        Raises:
            AditError: There is none to be had.
        """
        # The lock is held while a token is fetched: others would fetch the same one.
        with _tokens_lock:
            token = _tokens.get(self._credentials)
            if token is None or token.expires_at <= time.monotonic():
                token = _tokens[self._credentials] = self._fetch()
        return f"Bearer {token.value}"

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Fetch another token, unless somebody has done so meanwhile."""
        refused = request.headers.get(self.header)
        with _tokens_lock:
            token = _tokens.get(self._credentials)
            if token is not None and refused == f"Bearer {token.value}":
                del _tokens[self._credentials]
        self(request)
        return True

    def _fetch(self) -> _Token:
        now = time.monotonic()
        with translated_failures(self._peer):
            response = self._ask()
        if response.status_code != requests.codes.ok:
            raise status_error(response.status_code, f"{self._peer}: fetching a token")
        try:
            answer = response.json()
            value, lifetime = str(answer["access_token"]), float(answer.get("expires_in", _USUAL_LIFETIME))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProtocolError(f"{self._peer} sent no token") from None  # the cause may quote one
        return _Token(value, now + max(lifetime - _MARGIN, lifetime / 2))

    def _ask(self) -> requests.Response:
        """Ask with the secret in a header, as RFC 6749 2.3.1 prefers, then in the body, as some want it."""
        credentials = self._credentials
        form = {"grant_type": "client_credentials"} | (
            {"scope": credentials.scope} if credentials.scope else {}
        )
        basic = HTTPBasicAuth(credentials.client_id.encode(), credentials.client_secret.encode())
        response = self._post(form, basic)
        if response.status_code in _UNAUTHORIZED:
            identity = {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
            response = self._post(form | identity, None)
        return response

    def _post(self, form: dict[str, str], basic: AuthBase | None) -> requests.Response:
        return self._session.post(self._credentials.token_url, data=form, auth=basic, allow_redirects=False)
