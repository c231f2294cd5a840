"""The demo: a batch transfer between two archives, on one command and with nothing installed before.

It starts two archives and everything of ADIT on this machine, loads synthetic studies into the first
archive, submits the batch file beside this module, and shows what arrives at the second.
"""

import argparse
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from rich.console import Console

from adit_core.console import results_table, watch_job
from adit_core.db import JobStatus, User
from adit_core.db.engine import Database
from adit_core.services.batch_file import read_batch_file
from adit_core.services.jobs import JobView, list_tasks, modalities_of_tasks
from adit_core.services.nodes import add_server
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.users import create_user, get_user
from adit_core.terminal import new_console
from deployments.demo.archives import CALLING_AE_TITLE, Archive, start_archive
from deployments.demo.studies import BATCH_FILE, demo_studies, write_study
from deployments.stack import HOME, Stack, new_stack
from deployments.up import prepare, process_environment, supervisor_command

FOLDER = HOME / ".demo"
"""Everything that the demo writes; it begins with an empty one each time."""

SOURCE, DESTINATION = "CLINIC", "RESEARCH"
_PATIENCE = 180.0
_STOP_PATIENCE = 60.0


def main() -> int:
    """Run the demo; return 0 only if every instance was verified at the destination."""
    arguments = argparse.ArgumentParser(prog="make demo", description=__doc__)
    arguments.add_argument("--once", action="store_true", help="end when the transfer has ended")
    once = arguments.parse_args().once
    console = new_console()
    with _own_folder() as folder, ExitStack() as processes:
        source, destination = _archives(folder, processes)
        console.print(f"Loading synthetic studies into {SOURCE} …")
        _load(source, folder)
        stack = new_stack(folder / "data")
        password = _prepare(stack, [source, destination])
        console.print("Starting Prefect, the dashboard and a worker …")
        supervisor = processes.enter_context(_running(stack))
        _wait_until_ready(stack, supervisor)
        job = _transfer(stack, console)
        complete = _report(stack, job, console)
        _tell_addresses(stack, password, console)
        if not once:
            console.print("Everything stays up until Ctrl-C.")
            _wait_for_interrupt(supervisor)
    return 0 if complete else 1


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Give the demo an empty folder, and keep a second demo of the same clone out of it."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"A demo of this clone is running already (its files are in {FOLDER}).")
        run = FOLDER / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        yield run


def _archives(folder: Path, processes: ExitStack) -> list[Archive]:
    archives = []
    for title in (SOURCE, DESTINATION):
        path = folder / title
        path.mkdir()
        archives.append(processes.enter_context(start_archive(path, title, {CALLING_AE_TITLE: 0})))
    return archives


def _load(archive: Archive, folder: Path) -> None:
    for study in demo_studies():
        archive.load(write_study(study, folder / "studies"))
    shutil.rmtree(folder / "studies")


def _prepare(stack: Stack, archives: Sequence[Archive]) -> str:
    """Set up the database: the demo's user, whose password is returned, and the archives as nodes."""
    db = Database(stack.database_url)
    db.upgrade()
    prepare(stack, db)
    password = secrets.token_urlsafe(9)
    create_user(db, username="demo", password=password, staff=True)
    for archive in archives:
        node = archive.node
        add_server(db, node.name, ae_title=node.ae_title, host=node.host, port=node.port, max_associations=4)
    return password


@contextmanager
def _running(stack: Stack) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**process_environment(stack)}
    with subprocess.Popen(supervisor_command(), cwd=HOME, env=environment, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(stack: Stack, supervisor: subprocess.Popen[bytes]) -> None:
    """Wait for the dashboard, and for Prefect to know the flow that runs jobs."""
    deadline = time.monotonic() + _PATIENCE
    checks = [
        f"{stack.web_url}/api/health/ready",
        f"{stack.prefect_url}/api/deployments/name/transfer/transfer",
    ]
    auth = ("adit", stack.prefect_password)
    while checks:
        if supervisor.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"ADIT did not start; its logs are in {stack.data_dir / 'logs'}.")
        try:
            if httpx.get(checks[0], auth=auth, timeout=5).is_success:
                checks.pop(0)
                continue
        except httpx.TransportError:
            pass
        time.sleep(0.5)


def _transfer(stack: Stack, console: Console) -> JobView:
    """Submit the batch file and show how it goes, until it has ended."""
    os.environ.update(stack.environment())
    # Prefect reads its settings when it is imported, so the environment has to come first.
    from adit_core.services.launcher import PrefectLauncher  # noqa: PLC0415

    db = Database(stack.database_url)
    user = _user(db)
    job_id = submit_batch_transfer(
        db,
        PrefectLauncher(),
        TransferRequest(owner_id=user.id, source=SOURCE, destination=DESTINATION, name="Demo"),
        read_batch_file(BATCH_FILE),
    )
    console.print(f"Submitted {BATCH_FILE.relative_to(HOME)} as job {job_id}.")
    return watch_job(db, user, job_id, console)


def _report(stack: Stack, job: JobView, console: Console) -> bool:
    """Print the table of results, and tell whether every instance was verified."""
    db = Database(stack.database_url)
    user = _user(db)
    console.print(results_table(job, list_tasks(db, user, job.id), modalities_of_tasks(db, user, job.id)))
    counts = job.progress.counts
    return job.status is JobStatus.SUCCESS and 0 < counts.planned == counts.delivered


def _tell_addresses(stack: Stack, password: str, console: Console) -> None:
    console.print(f"Dashboard:  {stack.web_url}  (user demo, password {password})")
    console.print(f"Prefect UI: {stack.prefect_url}  (sign in with {stack.prefect_auth})")


def _user(db: Database) -> User:
    return get_user(db, "demo")


def _wait_for_interrupt(supervisor: subprocess.Popen[bytes]) -> None:
    try:
        supervisor.wait()
    except KeyboardInterrupt:
        print("Stopping …")


if __name__ == "__main__":
    # Whatever ends the demo, it ends what it started.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
