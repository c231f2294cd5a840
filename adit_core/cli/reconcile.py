"""`adit reconcile`: repair what a crash has left behind."""

from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import open_database, scheduler
from adit_core.services.reconcile import Reconciled, reconcile
from adit_core.settings import get_settings

app = new_app()


@app.command("reconcile")
def repair(as_json: AsJson = False) -> None:
    """Repair what a crash has left behind, as the reconciler does all the time.

    Jobs whose run is gone get a new one, and studies whose worker died can be worked on again.
    """
    with open_database() as db:
        done = reconcile(db, scheduler(), lease=get_settings().claim_lease)
        present(done, _sentence, as_json=as_json)


def _sentence(done: Reconciled) -> RenderableType:
    repaired = [f"{number} {what.replace('_', ' ')}" for what, number in done.counts().items() if number]
    said = f"Repaired: {', '.join(repaired)}." if repaired else "There was nothing to repair."
    if not done.jobs_waiting:
        return said
    return (
        f"{said} Jobs that wait for the scheduler, or for a node: {done.jobs_waiting}; each says for which."
    )
