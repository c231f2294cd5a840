"""The worker as a process: its flow runs are told to stop before it is, and it dies with its parent."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from deployments.stack import HOME

FLOW_RUN = """
import signal, sys, time
from pathlib import Path

def hand_back(*_):
    time.sleep(0.3)
    Path(sys.argv[1], "handed back").touch()
    sys.exit()

signal.signal(signal.SIGTERM, hand_back)
Path(sys.argv[1], "running").touch()
time.sleep(60)
"""
# It kills its flow run as soon as it is told to stop, as Prefect's worker does.
WORKER = """
import signal, subprocess, sys

def stop(*_):
    flow_run.kill()
    sys.exit(7)

signal.signal(signal.SIGTERM, stop)
flow_run = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]])
flow_run.wait()
"""
ENTRY_POINT = """
import sys
from deployments import worker_process
worker_process._RESTART_INTERVAL = 0
sys.exit(worker_process.run_worker([sys.executable, "-c", *sys.argv[1:]]))
"""


@contextmanager
def running_worker(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", ENTRY_POINT, WORKER, str(folder), FLOW_RUN]
    with subprocess.Popen(command, cwd=HOME) as process:
        try:
            wait_until((folder / "running").exists, process)
            yield process
        finally:
            process.kill()


def wait_until(is_so: Callable[[], bool], process: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert process is None or process.poll() is None, "the process ended"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def servers_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Return the servers of flow runs that a process has started."""
    found = []
    for child in children_of(process):
        with suppress(psutil.ZombieProcess):  # it has just been killed
            if "deployments.flow_run_server" in child.cmdline():
                found.append(child)
    return found


def test_flow_runs_hand_back_their_studies_before_the_worker_is_stopped(tmp_path: Path) -> None:
    with running_worker(tmp_path) as process:
        process.terminate()
        assert process.wait(20) == 7
    assert (tmp_path / "handed back").exists()


def test_a_worker_dies_with_its_parent_and_leaves_its_flow_runs_alone(tmp_path: Path) -> None:
    with running_worker(tmp_path) as process:
        (worker,) = set(children_of(process)) - set(servers_of(process))
        (flow_run,) = worker.children()
        process.kill()
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        assert flow_run.is_running()
        flow_run.kill()


def test_a_server_of_flow_runs_runs_with_the_worker_and_is_started_again(tmp_path: Path) -> None:
    with running_worker(tmp_path) as process:
        (first,) = servers_of(process)
        first.kill()
        wait_until(lambda: [server.pid for server in servers_of(process)] not in ([], [first.pid]))
        (second,) = servers_of(process)
        process.terminate()
        process.wait(20)
        assert not second.is_running()
