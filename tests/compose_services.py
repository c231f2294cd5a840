"""The services of compose.yaml as processes of this machine.

Each gets the command, the environment and the secrets of its container, and is started and watched in the
order that compose.yaml says. What differs is what containers have of their own: folders, host names, ports.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.demo.processes import HOST
from deployments.stack import HOME, free_port
from tests.compose import ROOT, ours, read_compose, seconds, secret_names
from tests.servers import PostgresCluster

_DATA_DIR = "/var/lib/adit"
_PATIENCE = 300.0
_LOOK = 0.5
_ENDED_BY_SIGTERM = {0, 128 + 15, -15}


class ComposeServices:
    """The services without a profile, for which `cluster` is the service `postgres`."""

    def __init__(self, folder: Path, cluster: PostgresCluster) -> None:
        self.folder = folder
        self.compose = read_compose()
        self.services = {
            name: service for name, service in ours(self.compose).items() if "profiles" not in service
        }
        self._cluster = cluster
        self.ports = {name: free_port() for name in ("web", "prefect", "receiver", "handover")}
        self.worker_ports = {name: free_port() for name in ("worker", "urgent-worker", "default-worker")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._well = set[str]()
        self.secrets = folder / "secrets"
        subprocess.run([ROOT / "deployments/make-secrets.sh", self.secrets], check=True, capture_output=True)

    @property
    def web_url(self) -> str:
        return f"http://{HOST}:{self.ports['web']}"

    def start_all(self) -> None:
        """Start every service once what it depends on is as it wants it, until all are well."""
        self._prepare_database()
        deadline = time.monotonic() + _PATIENCE
        while self._well != self.services.keys() | {"postgres"}:
            for name in self.services.keys() - self.processes.keys():
                if self._may_start(name):
                    self._start(name)
            for name in self.processes.keys() - self._well:
                if self._is_well(name):
                    self._well.add(name)
            waiting = self.services.keys() - self._well
            assert time.monotonic() < deadline, f"not well: {waiting}\n{self.logs(waiting)}"
            time.sleep(_LOOK)

    def stop_all(self) -> dict[str, int]:
        """Stop them as `docker compose stop` does, dependents first, and return the exit status of each.

        Raises:
            TimeoutExpired: One needed longer than its `stop_grace_period`.
        """
        lasting = [name for name, process in self.processes.items() if process.poll() is None]
        last = [name for name in lasting if any(name in self._dependencies(other) for other in lasting)]
        for names in ([name for name in lasting if name not in last], last):
            for name in names:
                self.processes[name].terminate()
            for name in names:
                self.processes[name].wait(seconds(self.services[name]["stop_grace_period"]))
        return {name: process.returncode for name, process in self.processes.items()}

    def end(self) -> None:
        """End what is left, by force."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def execute(self, name: str, *command: str, **variables: str) -> str:
        """Do what `docker compose exec` does, and return what is printed."""
        ended = subprocess.run(
            command,
            cwd=HOME,
            env={**self.environment(name), **variables},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return ended.stdout

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def logs(self, names: Any) -> str:
        return "\n".join(f"{name}: {self.log(name)[-2000:]}" for name in names if name in self.processes)

    def environment(self, name: str) -> dict[str, str]:
        """Return all variables of a container, and those that stand for its own network and folders."""
        return {
            **_image_environment(self._data_dir(name)),
            **{key: self._on_this_machine(value) for key, value in self._given(name).items()},
            "ADIT_SECRETS_DIR": str(self._secrets_of(name)),
            "ADIT_PREFECT_PORT": str(self.ports["prefect"]),
            "ADIT_WEB_PORT": str(self.ports["web"]),
            "ADIT_RECEIVER_PORT": str(self.ports["receiver"]),
            "ADIT_HANDOVER_PORT": str(self.ports["handover"]),
            **self._worker_port(name),
            **self._database_port(name),
        }

    def _given(self, name: str) -> Mapping[str, str]:
        return self.services[name]["environment"]

    def _worker_port(self, name: str) -> dict[str, str]:
        variable = "PREFECT_WORKER_WEBSERVER_PORT"
        return {variable: str(self.worker_ports[name])} if variable in self._given(name) else {}

    def _database_port(self, name: str) -> dict[str, str]:
        if "PREFECT_SERVER_DATABASE_HOST" not in self._given(name):
            return {}
        return {
            "PREFECT_SERVER_DATABASE_HOST": HOST,
            "PREFECT_SERVER_DATABASE_PORT": str(self._cluster.port),
        }

    def _on_this_machine(self, value: str) -> str:
        places = {
            r"\b0\.0\.0\.0\b": HOST,
            r"@postgres/": f"@{HOST}:{self._cluster.port}/",
            r"\b(prefect|localhost):4200\b": f"{HOST}:{self.ports['prefect']}",
            r"\breceiver:14638\b": f"{HOST}:{self.ports['handover']}",
            r"\blocalhost:8000\b": f"{HOST}:{self.ports['web']}",
        }
        for pattern, place in places.items():
            value = re.sub(pattern, place, value)
        return value

    def _data_dir(self, name: str) -> Path:
        """Return the data directory of a container, with the volumes that it has."""
        data_dir = self.folder / name
        data_dir.mkdir(exist_ok=True)
        for volume in self.services[name].get("volumes", []):
            source, target = volume.split(":")[:2]
            place = self.folder / "volumes" / source
            place.mkdir(parents=True, exist_ok=True)
            if target == _DATA_DIR:
                data_dir = place
            elif target.startswith(_DATA_DIR):
                link = data_dir / target.removeprefix(f"{_DATA_DIR}/")
                if not link.exists():
                    link.symlink_to(place)
        (data_dir / "tmp").mkdir(exist_ok=True)
        return data_dir

    def _secrets_of(self, name: str) -> Path:
        """Return a folder with the secrets that a container may see."""
        folder = self.folder / f"{name}-secrets"
        folder.mkdir(exist_ok=True)
        for secret in secret_names(self.services[name]):
            if not (folder / secret).exists():
                shutil.copy(self.secrets / secret, folder / secret)
        return folder

    def _prepare_database(self) -> None:
        """Do what PostgreSQL's image does when its volume is new, and wait for its health check."""
        script = ROOT / "deployments/postgres/create-databases.sh"
        variables = {"PGPORT": str(self._cluster.port), "ADIT_SECRETS_DIR": str(self.secrets)}
        for _ in range(2):  # it may be run again
            subprocess.run(
                [script], check=True, env={**os.environ, **variables, "PGHOST": self._cluster.host}
            )
        _, *check = self.compose["services"]["postgres"]["healthcheck"]["test"]
        subprocess.run(check, check=True, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
        self._well.add("postgres")

    def _dependencies(self, name: str) -> dict[str, Any]:
        return self.services[name].get("depends_on", {})

    def _may_start(self, name: str) -> bool:
        for other, wanted in self._dependencies(name).items():
            assert wanted["condition"] in ("service_healthy", "service_completed_successfully")
            if other not in self._well:
                return False
        return True

    def _start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.services[name]["command"],
                cwd=HOME,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _is_well(self, name: str) -> bool:
        """Tell whether a service is healthy, or has completed if it is none that lasts."""
        service, ended = self.services[name], self.processes[name].poll()
        if service["restart"] == "no":
            assert ended in (None, 0), self.logs([name])
            return ended == 0
        assert ended is None, f"{name} has ended: {self.logs([name])}"
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        looked = subprocess.run(
            check,
            check=False,
            cwd=HOME,
            env=self.environment(name),
            capture_output=True,
            timeout=seconds(service["healthcheck"]["timeout"]),
        )
        return looked.returncode == 0


def ended_in_order(statuses: Mapping[str, int]) -> bool:
    """Tell whether all services did what they were told to."""
    return all(status in _ENDED_BY_SIGTERM for status in statuses.values())


@contextmanager
def compose_services(folder: Path, cluster: PostgresCluster) -> Iterator[ComposeServices]:
    """Run all services of our image, and end them."""
    running = ComposeServices(folder, cluster)
    try:
        running.start_all()
        yield running
    finally:
        running.end()


def _image_environment(data_dir: Path) -> dict[str, str]:
    """Return the variables of the image, with the folders that stand for its own."""
    dockerfile = (ROOT / "deployments/Dockerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", dockerfile, re.MULTILINE)
    variables = dict(part.split("=", 1) for part in line.split())
    places = {
        _DATA_DIR: str(data_dir),
        "/app": str(HOME),
        "/opt/adit/bin": str(Path(sys.executable).parent),
        "$PATH": os.environ["PATH"],
    }
    for name, value in variables.items():
        for place, ours_ in places.items():
            variables[name] = variables[name].replace(place, ours_)
        assert value
    # The name of the user's home, and in a worktree where our own packages are.
    inherited = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {**variables, **inherited, "HOME": str(data_dir), "LANG": "C.UTF-8"}
