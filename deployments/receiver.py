"""Entry point of the receiver: takes in what archives send by C-MOVE, and hands it over to workers.

Its settings begin with `ADIT_RECEIVER_` and `ADIT_HANDOVER_`, see `adit_core/settings.py`. There may be
several receivers, each with an AE title, a spool and workers of its own.
"""

import logging
import ssl
import sys
from threading import Event

from adit_core.api.handover import HandOverServer
from adit_core.db.engine import Database
from adit_core.dicom.handover import HandOver
from adit_core.dicom.node import ConnectionProfile
from adit_core.dicom.receiver import Receiver, ReceiverSettings
from adit_core.dicom.spool import Spool, SpoolLimits
from adit_core.errors import AditError, DatabaseUnavailable
from adit_core.logs import configure_logs
from adit_core.services.database import configured_database
from adit_core.services.profiles import provider_profile
from adit_core.services.senders import KnownSenders
from adit_core.settings import Settings, get_settings
from deployments.stopping import told_to_stop
from deployments.tls import server_context

_DATABASE_RETRY_DELAY = 2.0
"""Seconds after which a database that is down when the receiver starts is asked again."""

_log = logging.getLogger(__name__)


def main() -> None:
    """Receive and hand over until told to stop."""
    try:
        configure_logs()
        run(get_settings())
    except AditError as error:
        sys.exit(str(error))


def run(settings: Settings) -> None:
    """Receive and hand over until told to stop, with these settings.

    Raises:
        AditError: The spool or a port is in use, or the connection profile or a certificate cannot be used.
    """
    if settings.receiver_token is None:
        sys.exit("Set ADIT_RECEIVER_TOKEN, for receiver and workers alike: whoever has it gets all images.")
    limits = SpoolLimits(
        min_free_bytes=settings.receiver_min_free_bytes,
        claim_age=settings.receiver_claim_age,
        quarantine_age=settings.receiver_quarantine_age,
        quarantine_files=settings.receiver_quarantine_files,
    )
    stop = told_to_stop()
    db = configured_database(settings)
    profile = _profile(db, settings.receiver_profile, stop)
    if profile is None:
        return
    with Spool(settings.resolved_receiver_spool(), limits) as spool:
        hand_over = HandOver(spool)
        address = (settings.handover_bind, settings.handover_port)
        token = settings.receiver_token.get_secret_value()
        with (
            HandOverServer(address, hand_over, token, _tls(settings)),
            Receiver(_receiver_settings(settings, db, profile), spool, hand_over),
        ):
            stop.wait()


def _profile(db: Database, name: str, stop: Event) -> ConnectionProfile | None:
    """Return how the receiver is spoken to, once the database answers; None if it is to stop before that."""
    while not stop.is_set():
        try:
            return provider_profile(db, name)
        except DatabaseUnavailable as error:
            _log.warning("receiver: not listening yet: %s", error)
            stop.wait(_DATABASE_RETRY_DELAY)
    return None


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return how the hand-over speaks TLS, None if it has no certificate."""
    variables = ("ADIT_HANDOVER_CERTIFICATE", "ADIT_HANDOVER_KEY")
    return server_context(settings.handover_certificate, settings.handover_key, variables)


def _receiver_settings(settings: Settings, db: Database, profile: ConnectionProfile) -> ReceiverSettings:
    listed = frozenset(settings.receiver_calling_ae_titles)
    return ReceiverSettings(
        ae_title=settings.receiver_ae_title,
        is_known=listed.__contains__ if listed else KnownSenders(db),
        host=settings.receiver_bind,
        port=settings.receiver_port,
        max_associations=settings.receiver_max_associations,
        idle_timeout=settings.receiver_idle_timeout,
        profile=profile,
    )


if __name__ == "__main__":
    main()
