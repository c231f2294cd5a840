"""Entry point of the receiver: takes in what archives send by C-MOVE, and hands it over to workers.

Its settings begin with `ADIT_RECEIVER_` and `ADIT_HANDOVER_`, see `adit_core/settings.py`. There may be
several receivers, each with an AE title, a spool and workers of its own.
"""

import logging
import sys

import uvicorn

from adit_core.api.handover import create_hand_over_app
from adit_core.db.engine import Database
from adit_core.dicom.handover import HandOver
from adit_core.dicom.receiver import Receiver, ReceiverSettings
from adit_core.dicom.spool import Spool, SpoolLimits
from adit_core.errors import AditError
from adit_core.services.senders import KnownSenders
from adit_core.settings import Settings, get_settings

_FAREWELL_SECONDS = 2


def main() -> None:
    """Receive and hand over until told to stop."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    for library in ("pydicom", "pynetdicom"):  # they log what they cannot read, and with it what is in it
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        run(get_settings())
    except AditError as error:
        sys.exit(str(error))


def run(settings: Settings) -> None:
    """Receive and hand over until told to stop, with these settings.

    Raises:
        AditError: The spool or a port is in use.
    """
    if settings.receiver_token is None:
        sys.exit("Set ADIT_RECEIVER_TOKEN, for receiver and workers alike: whoever has it gets all images.")
    limits = SpoolLimits(
        min_free_bytes=settings.receiver_min_free_bytes,
        claim_age=settings.receiver_claim_age,
        quarantine_age=settings.receiver_quarantine_age,
        quarantine_files=settings.receiver_quarantine_files,
    )
    with Spool(settings.resolved_receiver_spool(), limits) as spool:
        hand_over = HandOver(spool)
        with Receiver(_receiver_settings(settings), spool, hand_over):
            uvicorn.run(
                create_hand_over_app(hand_over, settings.receiver_token.get_secret_value()),
                host=settings.handover_bind,
                port=settings.handover_port,
                ssl_certfile=settings.handover_certificate or None,
                ssl_keyfile=settings.handover_key or None,
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=_FAREWELL_SECONDS,
            )


def _receiver_settings(settings: Settings) -> ReceiverSettings:
    listed = frozenset(settings.receiver_calling_ae_titles)
    is_known = listed.__contains__ if listed else KnownSenders(Database(settings.resolved_database_url()))
    return ReceiverSettings(
        ae_title=settings.receiver_ae_title,
        is_known=is_known,
        host=settings.receiver_bind,
        port=settings.receiver_port,
        max_associations=settings.receiver_max_associations,
        idle_timeout=settings.receiver_idle_timeout,
    )


if __name__ == "__main__":
    main()
