"""The flow that repairs, from the database, whatever a crash has left behind."""

from prefect import flow

from adit_core.db.engine import Database
from adit_core.services.launcher import PrefectLauncher
from adit_core.services.reconcile import reconcile
from adit_core.settings import get_settings


@flow(name="reconcile")
def reconcile_jobs() -> dict[str, int]:
    """Give jobs whose run is gone a new one, and return how many of what was repaired."""
    db = Database(get_settings().resolved_database_url())
    return reconcile(db, PrefectLauncher()).counts()
