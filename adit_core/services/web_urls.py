"""Which URLs can be those of DICOMweb servers, of proxies and of where tokens come from."""

import re
from urllib.parse import urlsplit

_VISIBLE = re.compile(r"[!-~]+")


def is_http_url(url: str, *, longest: int) -> bool:
    """Tell whether this is an http or https URL with a host, in visible ASCII and without a fragment."""
    if not _VISIBLE.fullmatch(url) or len(url) > longest or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        is_port = parts.port != 0  # what is none raises ValueError
    except ValueError:
        return False
    return is_port and parts.scheme in {"http", "https"} and bool(parts.hostname)
