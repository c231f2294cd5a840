"""compose.yaml starts what exists. No engine runs here, so commands and health checks are looked at."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adit_core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
READ_ELSEWHERE = {"ADIT_BIND", "ADIT_HOME"}


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_module_that_exists(name: str) -> None:
    python, flag, module, *_ = OURS[name]["command"]
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_only_variables_that_are_read(name: str) -> None:
    known = READ_ELSEWHERE | {f"ADIT_{field.upper()}" for field in Settings.model_fields}
    assert {variable for variable in OURS[name]["environment"] if variable.startswith("ADIT_")} <= known


def test_dependencies_are_services() -> None:
    for service in COMPOSE["services"].values():
        assert service.get("depends_on", {}).keys() <= COMPOSE["services"].keys()


def test_only_the_dashboard_on_this_machine_and_the_dicom_port_are_published() -> None:
    published = {
        name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service
    }
    assert published == {"web": ["127.0.0.1:8000:8000"], "receiver": ["11112:11112"]}


def test_no_password_and_no_key_has_a_default() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert not re.findall(r"\$\{\w*(?:PASSWORD|KEYS|TOKEN):?-", text)
    example = (ROOT / "deployments/example.env").read_text()
    assert re.findall(r"^\w*(?:PASSWORD|KEYS|TOKEN)=(.*)", example, re.MULTILINE) == ["", "", "", ""]


def test_the_image_holds_what_its_services_need() -> None:
    dockerfile = (ROOT / "deployments/Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text()
    for name in ("adit_core", "deployments", "flows", "ui", "prefect.yaml"):
        assert f"COPY {name} " in dockerfile
        assert f"!{name}\n" in allowed
