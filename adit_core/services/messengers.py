"""The messengers that the settings ask for."""

import ssl
from collections.abc import Mapping

import httpx

from adit_core.db import Channel
from adit_core.errors import InputProblem, InvalidInput, refuse
from adit_core.services.mail import Mail, MailServer, SmtpSecurity
from adit_core.services.notify import Messenger
from adit_core.services.webhook import Webhook, WebhookAddress
from adit_core.settings import Settings


def configured_messengers(settings: Settings) -> Mapping[Channel, Messenger]:
    """Return a messenger for each channel that is set up.

    Raises:
        InvalidInput: A channel is set up in part only.
    """
    messengers: dict[Channel, Messenger] = {}
    if settings.smtp_host:
        messengers[Channel.EMAIL] = Mail(_mail_server(settings))
    if settings.webhook_url:
        address = _webhook_address(settings, settings.webhook_url.get_secret_value())
        messengers[Channel.WEBHOOK] = Webhook(address)
    return messengers


def _mail_server(settings: Settings) -> MailServer:
    if not settings.smtp_sender:
        refuse(InputProblem("Say which address e-mails come from.", field="ADIT_SMTP_SENDER"))
    if settings.smtp_username and settings.smtp_security == SmtpSecurity.NONE:
        problem = "A password is not sent in the clear: use starttls or tls, or no user name."
        refuse(InputProblem(problem, field="ADIT_SMTP_SECURITY"))
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=SmtpSecurity(settings.smtp_security),
        sender=settings.smtp_sender,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else "",
        trust=_trust(settings),
    )


def _webhook_address(settings: Settings, url: str) -> WebhookAddress:
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
    if not secret:
        refuse(InputProblem("Share a secret with the receiver of the webhook.", field="ADIT_WEBHOOK_SECRET"))
    if not _is_web_address(url):
        refuse(InputProblem("Give an address such as https://example.org/hook.", field="ADIT_WEBHOOK_URL"))
    return WebhookAddress(url, secret, _trust(settings))


def _is_web_address(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.notification_ca_file or None)
    except OSError:
        problem = InputProblem("There are no certificates in it.", field="ADIT_NOTIFICATION_CA_FILE")
        raise InvalidInput(problem) from None
