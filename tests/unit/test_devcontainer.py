"""The container for developers builds what the project has."""

import json
import re
from typing import Any

import pytest

from tests.compose import ROOT

FOLDER = ROOT / ".devcontainer"


@pytest.fixture
def configuration() -> dict[str, Any]:
    """The configuration, JSON with comments on lines of their own."""
    text = (FOLDER / "devcontainer.json").read_text()
    return json.loads(re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE))


def test_it_is_built_of_a_file_that_exists(configuration: dict[str, Any]) -> None:
    assert (FOLDER / configuration["build"]["dockerfile"]).is_file()


def test_it_runs_targets_of_the_makefile(configuration: dict[str, Any]) -> None:
    make, *targets = configuration["postCreateCommand"].split()
    defined = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert make == "make"
    assert targets
    assert set(targets) <= set(defined)


def test_its_python_is_the_one_that_we_support(configuration: dict[str, Any]) -> None:
    dockerfile = (FOLDER / configuration["build"]["dockerfile"]).read_text()
    image = (ROOT / "deployments/Dockerfile").read_text()
    (version,) = re.findall(r"python:(3\.\d+)", dockerfile)
    assert set(re.findall(r"python:(3\.\d+)", image)) == {version}


def test_its_ports_are_those_of_make_up(configuration: dict[str, Any]) -> None:
    assert set(map(str, configuration["forwardPorts"])) == configuration["portsAttributes"].keys()
    assert "web_port: int = 8000" in (ROOT / "deployments/stack.py").read_text()
    assert "prefect_port: int = 4200" in (ROOT / "deployments/stack.py").read_text()
