"""What the health checks of containers say."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from adit_core.settings import Settings
from deployments import health
from deployments.health import SignOfLife, problem_of
from deployments.stack import HOME, new_stack
from tests.compose import ours, read_compose


def test_the_usual_ports_are_those_of_the_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack_ports = {"web": "8000", "prefect": "4200"}
    usual = {process: port for process, (_, port, _) in health._ASKED.items()}
    assert usual["receiver"] == str(Settings.model_fields["handover_port"].default)
    assert {process: usual[process] for process in stack_ports} == stack_ports
    variables = {variable for variable, *_ in health._ASKED.values() if variable.startswith("ADIT_")}
    assert variables <= new_stack(tmp_path).environment().keys()


def test_each_service_that_stays_is_known() -> None:
    for service in ours(read_compose()).values():
        if service["restart"] != "no":
            assert "There is no process" not in problem_of(service["healthcheck"]["test"][-1])


def test_a_process_that_does_not_answer_is_not_well(dead_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_WEB_PORT", str(dead_port))
    assert problem_of("web") == "web does not answer (ConnectionRefusedError)."


@pytest.mark.parametrize(("status", "problem"), [(200, ""), (503, "worker answers with status 503.")])
def test_the_status_of_the_answer_decides(status: int, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/health"
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("PREFECT_WORKER_WEBSERVER_PORT", str(server.server_port))
        assert problem_of("worker") == problem


def test_a_reconciler_is_well_as_long_as_it_says_so(tmp_path: Path) -> None:
    alive = SignOfLife(tmp_path / "data")
    assert "not given a sign" in alive.problem()
    alive.give()
    assert alive.problem() == ""
    os.utime(tmp_path / "data/reconciler.alive", (1, 1))
    assert "is silent" in alive.problem()


def test_the_exit_status_tells_it(tmp_path: Path) -> None:
    check = [sys.executable, "-m", "deployments.health", "reconciler"]
    environment = {**os.environ, "ADIT_DATA_DIR": str(tmp_path)}

    def look() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(check, cwd=HOME, env=environment, capture_output=True, check=False)

    assert (look().returncode, look().stderr) == (1, b"The reconciler has not given a sign of life yet.\n")
    SignOfLife(tmp_path).give()
    assert look().returncode == 0
