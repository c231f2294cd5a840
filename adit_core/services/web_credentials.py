"""What proves who we are to DICOMweb servers and proxies: as text, and what cannot work of it.

The text of credentials is a secret as a whole, and so is the URL of a proxy: they are stored sealed only.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from adit_core.db.nodes import CredentialsKind
from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.web_urls import is_http_url

_KINDS: TypeAdapter[Credentials] = TypeAdapter(Credentials)

_LONGEST_URL = 2048
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token (RFC 9110 5.6.2)."""
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""b64token (RFC 6750 2.1)."""
_SCOPE = re.compile(r"[ !#-\[\]-~]*")
"""RFC 6749 3.3."""
_OURS = frozenset(
    {"accept", "accept-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)
"""Headers that say something else in requests of ours."""


def encode_credentials(credentials: Credentials) -> str:
    """Return credentials of any kind as JSON."""
    return _KINDS.dump_json(credentials).decode()


def decode_credentials(text: str) -> Credentials:
    """Return what `encode_credentials` made a text of.

    Raises:
        InvalidInput: It is something else; the message does not quote it.
    """
    try:
        return _KINDS.validate_json(text)
    except ValidationError:
        problem = InputProblem("These are no credentials of a DICOMweb server.", field="credentials")
        raise InvalidInput(problem) from None


def kind_of(credentials: Credentials) -> CredentialsKind:
    """Return which kind of credentials these are."""
    match credentials:
        case BasicCredentials():
            return CredentialsKind.BASIC
        case BearerToken():
            return CredentialsKind.BEARER
        case HeaderCredentials():
            return CredentialsKind.HEADER
        case ClientCredentials():
            return CredentialsKind.CLIENT


def credentials_problems(credentials: Credentials) -> Iterator[InputProblem]:
    """Yield what is wrong with credentials; messages quote none of them."""
    match credentials:
        case BasicCredentials(username, password):
            yield from _basic_problems(username, password)
        case BearerToken(token):
            if not _BEARER_TOKEN.fullmatch(token):
                yield InputProblem("A token has letters, digits and -._~+/ only.", field="token")
        case HeaderCredentials(name, value):
            yield from _header_problems(name, value)
        case ClientCredentials():
            yield from _client_problems(credentials)


def proxy_problems(proxy: str) -> Iterator[InputProblem]:
    """Yield what is wrong with the URL of a proxy; messages do not quote it."""
    if proxy and not (is_http_url(proxy, longest=_LONGEST_URL) and urlsplit(proxy).path in {"", "/"}):
        example = "http://proxy.example.org:3128, with user and password before the host if it wants them"
        yield InputProblem(f"Give the URL of a proxy, such as {example}.", field="proxy")


def _basic_problems(username: str, password: str) -> Iterator[InputProblem]:
    # RFC 7617 2: the colon is where the password begins.
    if not username or ":" in username or not username.isprintable():
        yield InputProblem("A user name is printable text without colon.", field="username")
    if not password or not password.isprintable():
        yield InputProblem("A password is printable text.", field="password")


def _header_problems(name: str, value: str) -> Iterator[InputProblem]:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
        yield InputProblem("This cannot be the name of the header that says who we are.", field="header")
    if not _HEADER_VALUE.fullmatch(value):
        yield InputProblem("The value of a header is visible ASCII text.", field="value")


def _client_problems(credentials: ClientCredentials) -> Iterator[InputProblem]:
    if (
        not is_http_url(credentials.token_url, longest=_LONGEST_URL)
        or "@" in urlsplit(credentials.token_url).netloc
    ):
        rule = "one that begins with https:// or http://, without user, password and #"
        yield InputProblem(f"Give the URL that tokens come from, {rule}.", field="token_url")
    if not credentials.client_id or not credentials.client_id.isprintable():
        yield InputProblem("A client ID is printable text.", field="client_id")
    if not credentials.client_secret or not credentials.client_secret.isprintable():
        yield InputProblem("A client secret is printable text.", field="client_secret")
    if not _SCOPE.fullmatch(credentials.scope):
        yield InputProblem(
            "A scope is visible ASCII text without quotation mark and backslash.", field="scope"
        )
