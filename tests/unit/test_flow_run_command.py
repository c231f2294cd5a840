"""What Prefect's workers start for a flow run: our entry point, wherever they are told to run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.utilities.processutils import command_from_string

from deployments.stack import HOME
from deployments.worker import prepare_environment

DEPLOYMENTS = yaml.safe_load((HOME / "prefect.yaml").read_text())["deployments"]
FORK_SERVER = """
import os
from multiprocessing import forkserver
from adit_core.services.children import ChildPool, start_fork_server

start_fork_server()
early = forkserver._forkserver._forkserver_pid
with ChildPool(1) as pool:
    child = pool.call(30, os.getppid).result()
assert child == early, (child, early)
"""


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_is_run_by_our_entry_point_in_any_directory(
    deployment: dict[str, dict[str, dict[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PATH", "PYTHONPATH"):
        monkeypatch.setenv(variable, "/nowhere")
    prepare_environment()
    python, option, module = command_from_string(deployment["work_pool"]["job_variables"]["command"])
    code = f"import sys, importlib.util; print(sys.prefix, importlib.util.find_spec({module!r}).origin)"

    found = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=True
    )

    assert option == "-m"
    assert found.stdout.split() == [sys.prefix, str(HOME / "deployments/flow_run.py")]


def test_children_come_from_the_fork_server_that_was_started_early() -> None:
    subprocess.run([sys.executable, "-c", FORK_SERVER], check=True, timeout=60)
