"""The files for containers are valid, and name what exists; tests/e2e/test_compose.py runs the services."""

import importlib.util
import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from adit_core.db.secrets import Keyring
from adit_core.services.launcher import DEFAULT_QUEUE, URGENT_QUEUE
from adit_core.settings import Settings
from deployments.worker import HOUSEKEEPING_QUEUE, QUEUES, worker_command
from tests.compose import FILES, ROOT, VariableMissing, example_variables, ours, read_compose, secret_names

COMPOSE = read_compose()
OURS = ours(COMPOSE)
LASTING = [name for name, service in COMPOSE["services"].items() if service["restart"] != "no"]
READ_ELSEWHERE = {"ADIT_BIND", "ADIT_HOME", "ADIT_LOG_LEVEL"}
PUBLIC = {"web": ["127.0.0.1:8000:8000"], "receiver": ["11112:11112"]}
OPTIONAL = {"orthanc1", "orthanc2", "prometheus", "grafana"}
MADE_BY_HAND = {"prometheus_token"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads((ROOT / "tests/schemas/compose-spec.json").read_text())


@pytest.mark.parametrize("file", FILES)
def test_a_file_follows_the_compose_specification(file: str, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_compose(file, example_variables()), schema)


def test_the_schema_refuses_what_is_wrong(schema: dict[str, Any]) -> None:
    broken = read_compose()
    broken["services"]["web"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        jsonschema.validate(broken, schema)


def test_without_a_certificate_the_file_for_tls_says_what_to_set() -> None:
    with pytest.raises(VariableMissing, match="file with the certificate"):
        read_compose("deployments/compose.tls.yaml")


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_module_that_exists(name: str) -> None:
    python, flag, module, *arguments = OURS[name]["command"]
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None
    if module == "deployments.worker":
        assert worker_command(arguments)


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_only_variables_that_are_read(name: str) -> None:
    known = READ_ELSEWHERE | {f"ADIT_{field.upper()}" for field in Settings.model_fields}
    assert {variable for variable in OURS[name]["environment"] if variable.startswith("ADIT_")} <= known


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_what_a_service_names_is_defined(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service.get("depends_on", {}).keys() <= COMPOSE["services"].keys()
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    assert set(secret_names(service)) <= COMPOSE["secrets"].keys()
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_can_do_no_more_than_it_has_to(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] or name.startswith("orthanc")  # whose image is not made for it
    assert not service.get("privileged")


@pytest.mark.parametrize("name", LASTING)
def test_a_service_that_stays_is_watched_and_limited(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["deploy"]["resources"]["limits"]["memory"]


def test_only_the_dashboard_on_this_machine_and_the_dicom_port_are_published() -> None:
    published = {
        name: service["ports"]
        for name, service in COMPOSE["services"].items()
        if "ports" in service and name not in OPTIONAL
    }
    assert published == PUBLIC
    for name in OPTIONAL:
        service = COMPOSE["services"][name]
        assert service["profiles"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_prefect_and_the_database_can_be_reached_from_inside_only() -> None:
    networks, services = COMPOSE["networks"], COMPOSE["services"]
    for name in ("prefect", "postgres"):
        assert all(networks[network]["internal"] for network in services[name]["networks"])


def test_every_queue_is_served_and_only_housekeeping_writes_to_the_backups() -> None:
    served = {name: service["command"][3:] for name, service in OURS.items() if name.endswith("worker")}
    assert served == {
        "worker": [URGENT_QUEUE, DEFAULT_QUEUE],
        "urgent-worker": [URGENT_QUEUE],
        "default-worker": [HOUSEKEEPING_QUEUE],
    }
    assert {queue for queues in served.values() for queue in queues} == QUEUES.keys()
    writing = [
        name
        for name, service in OURS.items()
        if "backups:/var/lib/adit/backups" in service.get("volumes", [])
    ]
    assert writing == ["default-worker"]


def test_several_workers_can_be_run() -> None:
    for fixed in ("container_name", "ports", "hostname"):
        assert fixed not in OURS["worker"]


def test_no_secret_is_in_the_environment_or_has_a_default() -> None:
    for service in COMPOSE["services"].values():
        secret = re.compile(r"PASSWORD|TOKEN|KEYS|AUTH_STRING")
        named = {key: value for key, value in service.get("environment", {}).items() if secret.search(key)}
        assert all(
            key.endswith("_FILE") and value.startswith("/run/secrets/") for key, value in named.items()
        )


def test_secrets_of_ours_are_settings() -> None:
    """A file whose name is no setting's would be ignored without a word."""
    names = {name for service in OURS.values() for name in secret_names(service) if name.startswith("adit_")}
    assert names
    assert {name.removeprefix("adit_") for name in names} <= Settings.model_fields.keys()


def test_the_secrets_are_made_once_and_only_their_owner_reaches_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = {}
    for _ in range(2):
        subprocess.run([ROOT / "deployments/make-secrets.sh", folder], check=True, stdout=subprocess.DEVNULL)
        made = made or {path.name: path.read_text() for path in folder.iterdir()}

    assert made == {path.name: path.read_text() for path in folder.iterdir()}
    assert made.keys() == COMPOSE["secrets"].keys() - MADE_BY_HAND
    assert len(set(made.values())) == len(made)
    assert min(map(len, made.values())) > 20
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keyring = Keyring(made["adit_secret_keys"].split())
    assert keyring.unseal(keyring.seal("hunter2")) == "hunter2"


def test_the_image_holds_what_its_services_need() -> None:
    dockerfile = (ROOT / "deployments/Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text()
    for name in ("adit_core", "deployments", "flows", "ui", "prefect.yaml"):
        assert f"COPY {name} " in dockerfile
        assert f"!{name}\n" in allowed
    for volume in (each for service in OURS.values() for each in service.get("volumes", [])):
        assert re.search(rf"{volume.split(':')[1]}\b", dockerfile), f"{volume} would belong to root"
