"""HTTP statuses and failures of DICOMweb servers: which error they are (PS3.18 8.5)."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import requests
import urllib3.exceptions

from adit_core.dicom.tls import tls_error
from adit_core.errors import (
    AditError,
    ConnectionFailed,
    DestinationFull,
    OperationFailed,
    PeerBusy,
    PeerTimeout,
    ProtocolError,
)

_ERRORS: dict[int, type[AditError]] = {
    HTTPStatus.REQUEST_TIMEOUT: PeerTimeout,
    HTTPStatus.TOO_MANY_REQUESTS: PeerBusy,
    HTTPStatus.BAD_GATEWAY: ConnectionFailed,
    HTTPStatus.SERVICE_UNAVAILABLE: PeerBusy,
    HTTPStatus.GATEWAY_TIMEOUT: PeerTimeout,
    HTTPStatus.INSUFFICIENT_STORAGE: DestinationFull,
}

_WRONG_REQUESTS = (
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)
_WRONG_ANSWERS = (
    requests.exceptions.ContentDecodingError,
    requests.exceptions.JSONDecodeError,
    urllib3.exceptions.DecodeError,
)
_NO_CONNECTION = (
    requests.exceptions.ConnectTimeout,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
)


def in_words(status: int) -> str:
    """Return the status and its reason phrase, whatever the server called it."""
    known = {each.value: each.phrase for each in HTTPStatus}
    return f"HTTP status {status} ({known.get(status, 'unknown')})"


def status_error(status: int, message: str) -> AditError:
    """Return the error for a request that was answered with `status`.

    ==============  ================  =====================================================
    408, 504        PeerTimeout
    429, 503        PeerBusy          after the server was given the time that it asked for
    502             ConnectionFailed  from the gateway to the server
    507             DestinationFull
    anything else   OperationFailed   500 as well: it is what servers say to requests that they
                                      cannot cope with, whenever they come
    ==============  ================  =====================================================
    """
    return _ERRORS.get(status, OperationFailed)(f"{message} ended with {in_words(status)}")


@contextmanager
def translated_failures(peer: str) -> Iterator[None]:
    """Turn what requests and urllib3 raise into our errors.

    Without their causes, whose texts hold URLs, and these the keys of queries: patient data.
    """
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _translated(error, peer) from None


def _translated(error: Exception, peer: str) -> AditError:
    """Return the error for a request that got no answer, or only a part of it.

    =====================================================  ================
    no TLS, or none that both sides accept                 TlsFailed
    no connection                                          ConnectionFailed
    silence                                                PeerTimeout
    an answer that cannot be decoded                       ProtocolError
    a URL, header or redirect that leads nowhere           OperationFailed
    anything else: reset, closed too early                 ConnectionFailed
    =====================================================  ================
    """
    causes = list(_causes(error))
    reason = _reason(causes)
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, TimeoutError):
            return tls_error(peer, cause)
    if any(isinstance(cause, _NO_CONNECTION) for cause in causes):
        return ConnectionFailed(f"No connection to {peer}: {reason}")
    if any(isinstance(cause, TimeoutError | urllib3.exceptions.ReadTimeoutError) for cause in causes):
        return PeerTimeout(f"{peer} sent, or took, nothing for too long")
    if isinstance(error, _WRONG_ANSWERS):
        return ProtocolError(f"{peer} sent an answer that cannot be decoded")
    if isinstance(error, (*_WRONG_REQUESTS, requests.TooManyRedirects)):
        return OperationFailed(f"{peer} cannot be asked: {reason}")
    return ConnectionFailed(f"The connection to {peer} broke: {reason}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those inside it, which the libraries wrap in different ways."""
    yield error
    inner = (*error.args, getattr(error, "reason", None), error.__cause__)
    for cause in dict.fromkeys(each for each in inner if isinstance(each, BaseException)):
        yield from _causes(cause)


def _reason(causes: list[BaseException]) -> str:
    """Return the words of the operating system, else the kind of the innermost error."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(causes[-1]).__name__
