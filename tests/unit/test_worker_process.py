"""The worker as a process: its flow runs are told to stop before it is, and it dies with its parent."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from deployments.worker_process import run_worker
sys.exit(run_worker([sys.executable, "-c", *sys.argv[1:]]))
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


def test_flow_runs_hand_back_their_studies_before_the_worker_is_stopped(tmp_path: Path) -> None:
    with running_worker(tmp_path) as process:
        process.terminate()
        assert process.wait(20) == 7
    assert (tmp_path / "handed back").exists()


def test_a_worker_dies_with_its_parent_and_leaves_its_flow_runs_alone(tmp_path: Path) -> None:
    with running_worker(tmp_path) as process:
        (worker,) = psutil.Process(process.pid).children()
        (flow_run,) = worker.children()
        process.kill()
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        assert flow_run.is_running()
        flow_run.kill()
