"""Tells by webhook that jobs have ended or disks are low: a signed POST of JSON to an address of the staff.

Whoever receives it computes HMAC-SHA256 (RFC 2104) with the shared secret over ``TIME.BODY`` and compares it
with the ``v1`` of the header ``X-ADIT-Signature: t=TIME,v1=HEX``; a TIME (seconds since 1970) that is minutes
old is refused. ``X-ADIT-Delivery`` stays the same if it is told again.
"""

import hmac
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic_core import to_json

from adit_core.db.notifications import DiskNews
from adit_core.errors import NotificationFailed
from adit_core.services.notify import News

SIGNATURE_HEADER = "X-ADIT-Signature"
DELIVERY_HEADER = "X-ADIT-Delivery"
_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class WebhookAddress:
    """Where to POST to."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    """Shared with the receiver."""
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    """By what its certificate is checked."""


class Webhook:
    """The messenger that POSTs to a webhook."""

    def __init__(self, address: WebhookAddress) -> None:
        self._address = address

    def tell(self, news: News) -> None:
        """POST the news; any status of 2xx says that they were taken. Raises NotificationFailed.

        Redirects are not followed: what is signed is for one receiver.
        """
        body = to_json({"delivery": news.notification_id, "link": news.link, **_told(news)})
        headers = {
            "Content-Type": "application/json",
            DELIVERY_HEADER: str(news.notification_id),
            SIGNATURE_HEADER: signature(body, self._address.secret, at=int(time.time())),
        }
        try:
            answer = httpx.post(
                self._address.url, content=body, headers=headers, timeout=_TIMEOUT, verify=self._address.trust
            )
        except httpx.HTTPError as error:
            # Without its cause, which names the URL: there may be a secret in it.
            raise NotificationFailed(f"The webhook does not answer: {type(error).__name__}.") from None
        if not answer.is_success:
            raise NotificationFailed(f"The webhook answered with status {answer.status_code}.")


def _told(news: News) -> dict[str, Any]:
    if isinstance(news.event, DiskNews):
        return {"event": "disk space", "disk": news.event}
    return {"event": "job ended", "owner": news.owner, "job": news.event}


def signature(body: bytes, secret: str, *, at: int) -> str:
    """Return the value of the header that shows that `body` comes from here and was sent `at` this time."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest()
    return f"t={at},v1={digest}"
