"""The flow that keeps house once a day: a backup of the database, and away with what is old enough."""

from dataclasses import asdict
from datetime import timedelta

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from adit_core.db.columns import utc_now
from adit_core.services.backup import back_up
from adit_core.services.database import configured_database
from adit_core.services.retention import Retention, remove_outdated
from adit_core.settings import get_settings
from flows.perform import only_our_errors

_SETTINGS = get_settings()


@flow(name="housekeeping", persist_result=False)
def keep_house() -> dict[str, int]:
    """Back the database up, then delete what is outdated; return how much that was.

    Nothing is deleted on a day on which the backup fails.
    """
    return {"backed_up": back_up_database(), **delete_outdated()}


@task(retries=2, retry_delay_seconds=60, cache_policy=NO_CACHE, persist_result=False)
def back_up_database() -> int:
    """Write a backup, proved by restoring it, and return its number of rows."""
    with only_our_errors():
        backup = back_up(
            configured_database(_SETTINGS),
            _SETTINGS.resolved_backups(),
            keep=_SETTINGS.backups_kept,
            min_free=_SETTINGS.backups_min_free_bytes,
        )
    return backup.rows


@task(retries=2, retry_delay_seconds=60, cache_policy=NO_CACHE, persist_result=False)
def delete_outdated() -> dict[str, int]:
    """Delete what is older than the settings let it be kept, and return how much of what."""
    days = _SETTINGS.jobs_kept_days
    retention = Retention(
        jobs=None if days is None else timedelta(days=days),
        studies=timedelta(days=_SETTINGS.studies_kept_days),
        tokens=timedelta(days=_SETTINGS.tokens_kept_days),
    )
    with only_our_errors():
        return asdict(remove_outdated(configured_database(_SETTINGS), retention, now=utc_now()))
