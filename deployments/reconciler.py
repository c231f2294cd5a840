"""Entry point of the reconciler: every few seconds it repairs, from the database, what crashes left.

It is a process of its own, and no flow: what repairs the executions of flows must not depend on them.
A flow run whose worker dies keeps its place in queues and limits, and would lock its successors out.
"""

import logging
import os
from datetime import timedelta

from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import AditError
from adit_core.services.database import configured_database
from adit_core.services.launcher import PrefectLauncher
from adit_core.services.reconcile import reconcile
from adit_core.services.uploads import remove_uploads
from adit_core.settings import Settings, get_settings
from deployments.stopping import told_to_stop

logger = logging.getLogger("adit.reconciler")


def main() -> None:
    """Reconcile until told to stop."""
    logging.basicConfig(level=os.environ.get("ADIT_LOG_LEVEL", "INFO"), format="%(asctime)s %(message)s")
    stop = told_to_stop()
    settings = get_settings()
    db = configured_database(settings)
    while not stop.wait(settings.reconcile_interval):
        reconcile_once(db, settings)
        remove_uploads_once(db, settings)


def reconcile_once(db: Database, settings: Settings) -> None:
    """Repair what can be repaired now; what is away may be back the next time."""
    try:
        done = reconcile(db, PrefectLauncher(), max_attempts=settings.task_attempts).counts()
    except AditError as error:
        logger.warning("%s", error)
        return
    if any(done.values()):
        logger.info("Repaired: %s", ", ".join(f"{number} {what}" for what, number in done.items() if number))


def remove_uploads_once(db: Database, settings: Settings) -> None:
    """Remove uploads that are not needed any more."""
    try:
        number = remove_uploads(db, now=utc_now(), keep=timedelta(seconds=settings.upload_keep))
    except AditError as error:
        logger.warning("%s", error)
        return
    if number:
        logger.info("Removed %d uploads", number)


if __name__ == "__main__":
    main()
