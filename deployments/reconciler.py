"""Entry point of the reconciler: every few seconds it repairs, from the database, what crashes left.

Beside that, each in a thread of its own, it sends the notifications that the outbox holds, and watches disks.

It is a process of its own, and no flow: what repairs the executions of flows must not depend on them.
A flow run whose worker dies keeps its place in queues and limits, and would lock its successors out.
"""

import logging
import sys
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from threading import Event, Thread

from adit_core.db import Channel, SpaceState
from adit_core.db.clock import ClockWatch
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import AditError, kind_and_place
from adit_core.logs import configure_logs
from adit_core.services.audit_seal import head_of, seal_events
from adit_core.services.database import configured_database
from adit_core.services.disk_watch import watch_disks
from adit_core.services.launcher import PrefectLauncher
from adit_core.services.messengers import configured_messengers
from adit_core.services.notify import Messenger, tell_all_due
from adit_core.services.reconcile import reconcile
from adit_core.services.uploads import remove_uploads
from adit_core.settings import Settings, get_settings
from deployments.health import SignOfLife
from deployments.stopping import told_to_stop

_NOTIFICATION_INTERVAL = 5.0
"""Seconds between two looks into the outbox."""

_DISK_INTERVAL = 30.0
"""Seconds between two looks at disks."""

logger = logging.getLogger("adit.reconciler")


def main() -> None:
    """Reconcile until told to stop."""
    try:
        configure_logs()
        settings = get_settings()
        db = configured_database(settings)
        messengers = configured_messengers(settings)
    except AditError as error:
        sys.exit(str(error))
    stop = told_to_stop()
    alive = SignOfLife(settings.data_dir)
    clock = ClockWatch(settings.claim_lease)
    # A mail server that is slow to answer must not keep jobs from being repaired.
    Thread(target=notify, args=(db, settings, messengers, stop), name="notifier", daemon=True).start()
    # A file system that hangs must not, either.
    Thread(target=watch, args=(db, settings, stop), name="disks", daemon=True).start()
    alive.give()
    while not stop.wait(settings.reconcile_interval):
        for look in (partial(reconcile_once, clock=clock), remove_uploads_once, seal_events_once):
            try:
                look(db, settings)
            except AditError as error:  # what is away may be back the next time
                logger.warning("%s", error)
            except Exception as error:  # noqa: BLE001 - the edge of the process: its text is for no log
                logger.error("Unexpected %s", kind_and_place(error))  # noqa: TRY400
        alive.give()


def reconcile_once(db: Database, settings: Settings, *, clock: ClockWatch) -> None:
    """Repair what can be repaired now; nothing just after the clock was put forward."""
    with db.reading() as session:
        if not clock.is_settled(session):
            logger.warning("The clock was put forward: waits for signs of life.")
            return
    done = reconcile(
        db, PrefectLauncher(), lease=settings.claim_lease, max_attempts=settings.task_attempts
    ).counts()
    if any(done.values()):
        logger.info("Repaired: %s", ", ".join(f"{number} {what}" for what, number in done.items() if number))


def remove_uploads_once(db: Database, settings: Settings) -> None:
    """Remove uploads that are not needed any more."""
    number = remove_uploads(db, now=utc_now(), keep=timedelta(seconds=settings.upload_keep))
    if number:
        logger.info("Removed %d uploads", number)


def seal_events_once(db: Database, _settings: Settings) -> None:
    """Seal what the audit trail recorded, and log where the chain ends, so that it is known elsewhere."""
    if seal_events(db):
        head = head_of(db)
        logger.info("Audit trail sealed up to %d:%s", head.number, head.chained_hash)


def notify(db: Database, settings: Settings, messengers: Mapping[Channel, Messenger], stop: Event) -> None:
    """Send notifications until told to stop."""
    while not stop.wait(_NOTIFICATION_INTERVAL):
        try:
            told = tell_all_due(db, messengers, web_url=settings.web_url).counts()
        except AditError as error:
            logger.warning("%s", error)
            continue
        except Exception as error:  # noqa: BLE001 - the edge of a thread: nobody would restart it
            logger.error("Unexpected %s while notifications were sent.", kind_and_place(error))  # noqa: TRY400
            continue
        if any(told.values()):
            logger.info("Notifications: %s", ", ".join(f"{number} {what}" for what, number in told.items()))


def watch(db: Database, settings: Settings, stop: Event) -> None:
    """Watch the disks that this machine sees until told to stop."""
    while not stop.wait(_DISK_INTERVAL):
        try:
            for reading in watch_disks(db, settings):
                if reading.state is not SpaceState.ENOUGH:
                    logger.warning("%s", reading.message)
        except AditError as error:
            logger.warning("%s", error)
        except Exception as error:  # noqa: BLE001 - the edge of a thread: nobody would restart it
            logger.error("Unexpected %s while disks were watched.", kind_and_place(error))  # noqa: TRY400


if __name__ == "__main__":
    main()
