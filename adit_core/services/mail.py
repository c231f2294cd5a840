"""Tells by e-mail that jobs have ended, and that disks are low (RFC 5321, RFC 5322)."""

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum

from adit_core.db import JobEnd, SpaceState
from adit_core.db.notifications import DiskNews
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
    letter = _of_disk(news.event) if isinstance(news.event, DiskNews) else _of_job(news.event)
    made = EmailMessage()
    made["Subject"] = f"ADIT: {letter.subject}"
    made["From"] = sender
    made["To"] = news.email
    made["Date"] = format_datetime(letter.at)
    domain = sender.rpartition("@")[2].rstrip(">") or "adit"
    made["Message-ID"] = f"<{letter.about}-notification-{news.notification_id}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody is to answer that they are on holiday
    made.set_content("\n".join([*letter.lines, "", news.link]))
    return made


@dataclass(frozen=True, slots=True)
class _Letter:
    """What a message says; `about` is a word for its id."""

    about: str
    subject: str
    at: datetime
    lines: Sequence[str]


def _of_job(end: JobEnd) -> _Letter:
    tasks = ", ".join(f"{number} {status.value}" for status, number in end.tasks.items())
    job, at = f"Job {end.job_id} ({end.kind.value})", f"{end.ended_at:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"{job} ended with {end.status.value} at {at}.",
        *([end.summary] if end.summary else []),
        f"Tasks: {tasks or 'none'}.",
    ]
    subject = f"job {end.job_id} ended with {end.status.value}"
    return _Letter(f"job-{end.job_id}", subject, end.ended_at, lines)


def _of_disk(disk: DiskNews) -> _Letter:
    word = "is full" if disk.state is SpaceState.FULL else "is running low"
    # The name of a node may hold anything; a header is one line.
    name = " ".join(disk.place.split())
    return _Letter("disk", f"disk space {word} ({name})", disk.at, [disk.message])


def _in_words(error: OSError | smtplib.SMTPException) -> str:
    """Return what went wrong without what the server says, which may repeat addresses."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "it refuses the recipient"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__}, status {error.smtp_code}"
    return type(error).__name__
