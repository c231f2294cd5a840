"""Flow runs that are forked, and the deputies that Prefect's worker takes for them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil
import pytest

from deployments.flow_run import ADDRESS
from deployments.stack import HOME

_PATIENCE = 60.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a server listens whose flow runs do what their environment says."""
    address = tmp_path_factory.mktemp("server") / "socket"
    with serving(address):
        yield address


@contextmanager
def serving(address: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "deployments.flow_run_server", str(address), "tests.fakes.engine"]
    server = subprocess.Popen(command, cwd=HOME)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not address.exists():
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.02)
        yield server
    finally:
        server.kill()
        server.wait()


def start(address: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start the command of a flow run as Prefect's worker does."""
    variables = {**os.environ, ADDRESS: str(address), **environment}
    command = [sys.executable, "-m", "deployments.flow_run"]
    return subprocess.Popen(
        command, cwd=HOME, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def flow_run_of(deputy: "subprocess.Popen[str]") -> psutil.Process:
    assert deputy.stdout is not None
    return psutil.Process(int(deputy.stdout.readline()))


def await_request(deputy: "subprocess.Popen[str]") -> None:
    """Wait until a deputy has sent its request to a server that has no time for it."""
    process = psutil.Process(deputy.pid)
    deadline = time.monotonic() + _PATIENCE
    while not process.net_connections("unix") or process.status() != psutil.STATUS_SLEEPING:
        assert time.monotonic() < deadline, "there is no request"
        time.sleep(0.02)


@pytest.mark.parametrize("status", [0, 3])
def test_the_deputy_ends_with_the_status_of_its_flow_run(address: Path, status: int) -> None:
    with start(address, DO="end", STATUS=str(status)) as deputy:
        assert deputy.wait(_PATIENCE) == status


def test_the_deputy_ends_by_the_signal_that_ends_its_flow_run(address: Path) -> None:
    with start(address, DO="sleep") as deputy:
        flow_run_of(deputy).kill()
        assert deputy.wait(_PATIENCE) == -9


def test_a_flow_run_is_told_to_stop_by_its_deputy(address: Path) -> None:
    with start(address, DO="sleep") as deputy:
        flow_run = flow_run_of(deputy)
        deputy.terminate()
        assert deputy.wait(_PATIENCE) == -15
    assert not flow_run.is_running()


def test_a_flow_run_dies_with_its_deputy_and_no_other_one_does(address: Path) -> None:
    with start(address, DO="sleep") as deputy, start(address, DO="sleep") as other:
        flow_run, another = flow_run_of(deputy), flow_run_of(other)
        deputy.kill()
        flow_run.wait(_PATIENCE)
        assert another.is_running()
        other.kill()
        another.wait(_PATIENCE)


def test_a_flow_run_whose_deputy_died_before_the_server_had_time_for_it_does_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "socket") as server, start(tmp_path / "socket", DO="end", STATUS="0") as first:
        assert first.wait(_PATIENCE) == 0  # the server has imported what it needs
        server.send_signal(signal.SIGSTOP)
        with start(tmp_path / "socket", DO="sleep") as deputy:
            await_request(deputy)
            deputy.kill()
            server.send_signal(signal.SIGCONT)
            with start(tmp_path / "socket", DO="end", STATUS="0") as next_one:
                assert next_one.wait(_PATIENCE) == 0
            assert deputy.stdout is not None
            assert deputy.stdout.read() == ""


def test_flow_runs_outlive_their_server_and_deputies_outlive_it_with_them(tmp_path: Path) -> None:
    with serving(tmp_path / "socket") as server:
        deputies = [start(tmp_path / "socket", DO="sleep") for _ in range(2)]
        flow_runs = [flow_run_of(deputy) for deputy in deputies]
        server.kill()
        server.wait()
    with deputies[0], deputies[1]:
        for deputy, flow_run in zip(deputies, flow_runs, strict=True):
            with pytest.raises(subprocess.TimeoutExpired):
                deputy.wait(0.5)
            assert flow_run.is_running()
            flow_run.kill()
            assert deputy.wait(_PATIENCE) == 0  # although the other flow run goes on


def test_who_asks_for_something_else_is_refused_and_others_are_served(address: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(_PATIENCE)
        stranger.connect(str(address))
        stranger.sendall((3).to_bytes(4) + b"{]}")
        assert stranger.recv(4) == b""
    with start(address, DO="end", STATUS="5") as deputy:
        assert deputy.wait(_PATIENCE) == 5


def test_a_flow_run_has_children_that_are_forks_of_its_own_fork(address: Path) -> None:
    with start(address, DO="work") as deputy:
        assert deputy.wait(_PATIENCE) == 0


def test_a_flow_run_without_a_server_runs_by_itself(tmp_path: Path) -> None:
    with start(tmp_path / "nobody", PREFECT__FLOW_RUN_ID="none") as flow_run:
        output, _ = flow_run.communicate(timeout=_PATIENCE)
    assert "Invalid flow run id" in output
    assert flow_run.returncode == 1


def test_a_flow_run_whose_server_breaks_off_runs_by_itself(tmp_path: Path) -> None:
    def break_off() -> None:
        listener.accept()[0].close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        thread = Thread(target=break_off)
        thread.start()
        with start(tmp_path / "socket", PREFECT__FLOW_RUN_ID="none") as flow_run:
            output, _ = flow_run.communicate(timeout=_PATIENCE)
        thread.join()
    assert "Invalid flow run id" in output
