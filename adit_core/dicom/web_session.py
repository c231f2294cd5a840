"""HTTP with one DICOMweb server: timeouts, TLS, proxy, credentials, and patience with busy servers."""

import logging
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from http.client import RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError
from urllib3.response import HTTPResponse

from adit_core.dicom.interruption import watch
from adit_core.dicom.node import ConnectionProfile, DicomWebNode
from adit_core.dicom.part10 import IMPLEMENTATION_VERSION_NAME
from adit_core.dicom.tls import TlsSettings, client_context
from adit_core.dicom.web_authentication import authentication
from adit_core.dicom.web_status import translated_failures
from adit_core.errors import InputProblem, InvalidInput

_MOST_REDIRECTS = 5
_UID = re.compile(r"\d[\d.]{0,63}", re.ASCII)
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

# What they log quotes the URLs of queries, that is, patient data; errors are ours to tell.
for _name in ("dicomweb_client", "retrying", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.ERROR)


class WebSession(requests.Session):
    """Sends requests to a node; a session of the kind that dicomweb-client takes.

    Credentials and the client certificate go to the node's own origin only: a redirect elsewhere is
    followed without them. The environment is not asked for proxies and passwords.

    A request whose body can be sent again is repeated

    ====================================  ===========================================================
    status 401                            once, if there is another OAuth token to be had
    status 429, 503 with Retry-After      after that time, as long as it all takes no longer than the
                                          profile's busy timeout
    closed connection, on which an        once: servers close what they kept open for the next
    earlier request was answered          request when they like, so also while it is on its way
    ====================================  ===========================================================
    """

    def __init__(self, node: DicomWebNode) -> None:
        super().__init__()
        self.peer = peer_name(node)
        """Names the node in messages."""
        self.trust_env = False
        self.max_redirects = _MOST_REDIRECTS
        self.headers["User-Agent"] = IMPLEMENTATION_VERSION_NAME
        profile = node.profile
        self.proxies = _proxies(profile)
        self._busy_timeout = profile.busy_timeout
        _mount_for_others(self, profile)
        self.mount(_origin(node.base_url), _Adapter(profile, client_context(profile.tls or TlsSettings())))
        self._authentication = None
        if profile.credentials is not None:
            self._authentication = authentication(
                profile.credentials, node_name=node.name, token_session=_token_session(profile)
            )
        self.auth = self._authentication

    def ask(self, url: str, *, accept: str) -> requests.Response:
        """GET a resource; the body of the answer is still to be read, and the answer to be closed.

        Raises:
            ConnectionFailed, PeerTimeout, OperationFailed: There is no answer, see
                :func:`~adit_core.dicom.web_status.translated_failures`.
        """
        # Pixels hardly shrink by gzip, and unpacking would cost more than the data path.
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        with translated_failures(self.peer):
            return self.get(url, headers=headers, stream=True)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, again where the table above says so, and return the last answer."""
        # dicomweb-client names the host without its port.
        request.headers.pop("Host", None)
        deadline = time.monotonic() + self._busy_timeout
        if not _is_repeatable(request):
            return super().send(request, **kwargs)
        try:
            response = super().send(request, **kwargs)
        except requests.ConnectionError as error:
            if not _was_kept_too_long(error):
                raise
            response = super().send(request, **kwargs)
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._renew_credentials(request):
            response.close()
            response = super().send(request, **kwargs)
        while (delay := _delay(response)) is not None and time.monotonic() + delay <= deadline:
            response.close()
            time.sleep(delay)
            response = super().send(request, **kwargs)
        return response

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the credentials out of a redirected request if it goes to another server."""
        held = self._authentication
        old, new = response.request.url or "", prepared_request.url or ""
        if held is not None and self.should_strip_auth(old, new):
            prepared_request.headers.pop(held.header, None)

    def _renew_credentials(self, request: requests.PreparedRequest) -> bool:
        held = self._authentication
        # A redirect to another server took them out.
        return held is not None and held.header in request.headers and held.renew(request)


def peer_name(node: DicomWebNode) -> str:
    """Return what a node is called in messages: its name, and where it is."""
    parts = urlsplit(node.base_url)
    return f"{node.name} ({parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path})"


def service_url(node: DicomWebNode, prefix: str) -> str:
    """Return the base of a service's URLs, without a slash at its end."""
    return "/".join(part for part in (node.base_url.rstrip("/"), prefix.strip("/")) if part)


def url_part(uid: str) -> str:
    """Return a UID that can be a part of a URL's path. Raises InvalidInput if it is none at all."""
    if not _UID.fullmatch(uid):
        raise InvalidInput(InputProblem("A UID consists of digits and dots, and of 64 characters at most."))
    return uid


class _Adapter(HTTPAdapter):
    """Applies the timeouts of a profile, and a TLS context, to whatever is sent."""

    def __init__(self, profile: ConnectionProfile, tls: ssl.SSLContext) -> None:
        self._timeouts = (profile.connect_timeout, profile.silence_timeout)
        self._tls = tls
        self._pools = _pools(profile.silence_timeout)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, *_args: Any, **_kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return where to connect to, and our TLS context instead of what requests would make of its own."""
        host, _ = super().build_connection_pool_key_attributes(request, True)
        # False keeps urllib3 from comparing host names where the context does not.
        return host, {
            "ssl_context": self._tls,
            "assert_hostname": None if self._tls.check_hostname else False,
        }

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Leave the verification to our TLS context: requests would add the authorities that it ships."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(request, *args, **kwargs | {"timeout": self._timeouts})


class _KeptTooLong(RemoteDisconnected):
    """The server closed a connection on which it had answered before, and not this request."""


class _Connection(HTTPConnection):
    """Can be interrupted, and tells if it was kept after an answer but closed instead of giving the next."""

    silence_timeout: float
    _has_answered = False

    def connect(self) -> None:
        super().connect()
        self._has_answered = False
        self.sock.settimeout(self.silence_timeout)
        watch(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        with self._telling_kept_too_long():
            super().request(*args, **kwargs)

    def getresponse(self) -> HTTPResponse:
        with self._telling_kept_too_long():
            response = super().getresponse()
        self._has_answered = True
        return response

    @contextmanager
    def _telling_kept_too_long(self) -> Iterator[None]:
        try:
            yield
        except (RemoteDisconnected, ConnectionResetError) as error:
            if not self._has_answered:
                raise
            raise _KeptTooLong(*error.args) from None


def _pools(timeout: float) -> dict[str, type[HTTPConnectionPool]]:
    """Return pools whose connections wait for a slow peer as long when they send as when they read.

    urllib3 sends with the timeout for connecting, and gives up on servers that index while they take in.
    """

    class PlainConnection(_Connection):
        silence_timeout = timeout

    class TlsConnection(_Connection, HTTPSConnection):
        silence_timeout = timeout

    class PlainPool(HTTPConnectionPool):
        ConnectionCls: Any = PlainConnection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls: Any = TlsConnection

    return {"http": PlainPool, "https": TlsPool}


def _token_session(profile: ConnectionProfile) -> requests.Session:
    """Return a session for the token endpoint."""
    session = requests.Session()
    session.trust_env = False
    session.proxies = _proxies(profile)
    _mount_for_others(session, profile)
    return session


def _mount_for_others(session: requests.Session, profile: ConnectionProfile) -> None:
    """Let a session speak to servers other than the node: of the same hospital, or public ones."""
    context = _context_for_others("" if profile.tls is None else profile.tls.ca)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(profile, context))


@lru_cache(maxsize=32)
def _context_for_others(ca: str) -> ssl.SSLContext:
    """Return a context that trusts the authorities of the operating system and those of the node."""
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
    return context


def _proxies(profile: ConnectionProfile) -> dict[str, str]:
    return {"http": profile.proxy, "https": profile.proxy} if profile.proxy else {}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"


def _is_repeatable(request: requests.PreparedRequest) -> bool:
    """Tell whether the body can be sent a second time: not if it is an iterator."""
    return not hasattr(request.body, "__next__")


def _was_kept_too_long(error: requests.ConnectionError) -> bool:
    aborted = error.args[0] if error.args else None
    return isinstance(aborted, ProtocolError) and isinstance(aborted.args[-1], _KeptTooLong)


def _delay(response: requests.Response) -> float | None:
    """Return after how many seconds a busy server wants to be asked again, None if it is not said."""
    if response.status_code not in _BUSY:
        return None
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
