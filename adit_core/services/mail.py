"""Tells by e-mail that jobs have ended (RFC 5321, RFC 5322)."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum

from adit_core.errors import NotificationFailed
from adit_core.services.notify import News

_TIMEOUT = 30.0


class SmtpSecurity(StrEnum):
    """How the connection to a mail server is protected."""

    STARTTLS = "starttls"
    """It begins in the clear and must be switched to TLS (RFC 3207)."""
    TLS = "tls"
    """It is over TLS from the first byte (RFC 8314)."""
    NONE = "none"
    """Not at all; nobody signs in then."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server that takes messages for others."""

    host: str
    port: int
    security: SmtpSecurity
    sender: str
    """The address that messages come from."""
    username: str = ""
    """Empty if nobody has to sign in."""
    password: str = field(default="", repr=False)
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    """By what its certificate is checked."""


class Mail:
    """The messenger that sends e-mails to the owners of jobs."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    def tell(self, news: News) -> None:
        """Hand a message to the mail server; raises NotificationFailed."""
        if not news.email:
            raise NotificationFailed("The user has no address.")
        try:
            with self._connected() as connection:
                connection.send_message(message(news, self._server.sender))
        except (OSError, smtplib.SMTPException) as error:
            # Without its cause, which names addresses.
            raise NotificationFailed(
                f"The mail server {self._server.host}:{self._server.port} did not take the message: "
                f"{_in_words(error)}."
            ) from None

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        server = self._server
        with self._opened() as connection:
            if server.security is SmtpSecurity.STARTTLS:
                connection.starttls(context=server.trust)
            if server.username:
                connection.login(server.username, server.password)
            yield connection

    def _opened(self) -> smtplib.SMTP:
        server = self._server
        if server.security is SmtpSecurity.TLS:
            return smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT, context=server.trust)
        return smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT)


def message(news: News, sender: str) -> EmailMessage:
    """Return the message. It is the same if it is sent again, so that mail servers can tell."""
    end = news.job_end
    made = EmailMessage()
    made["Subject"] = f"ADIT: job {end.job_id} ended with {end.status.value}"
    made["From"] = sender
    made["To"] = news.email
    made["Date"] = format_datetime(end.ended_at)
    domain = sender.rpartition("@")[2].rstrip(">") or "adit"
    made["Message-ID"] = f"<job-{end.job_id}-notification-{news.notification_id}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody is to answer that they are on holiday
    tasks = ", ".join(f"{number} {status.value}" for status, number in end.tasks.items())
    job, at = f"Job {end.job_id} ({end.kind.value})", f"{end.ended_at:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"{job} ended with {end.status.value} at {at}.",
        *([end.summary] if end.summary else []),
        f"Tasks: {tasks or 'none'}.",
        "",
        news.link,
    ]
    made.set_content("\n".join(lines))
    return made


def _in_words(error: OSError | smtplib.SMTPException) -> str:
    """Return what went wrong without what the server says, which may repeat addresses."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "it refuses the recipient"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__}, status {error.smtp_code}"
    return type(error).__name__
