"""Whether a request comes from a page of this server."""

from starlette.requests import HTTPConnection


def is_same_origin(request: HTTPConnection) -> bool:
    """Return whether the browser says so, or says nothing (programs that are no browsers).

    Browsers send ``Sec-Fetch-Site`` with everything but websockets, for which, as for browsers that
    are older, ``Origin`` is compared with ``Host``.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and request.scope["type"] == "http":
        return site == "same-origin"
    origin, host = request.headers.get("origin"), request.headers.get("host")
    return origin is None or origin in (f"http://{host}", f"https://{host}")
