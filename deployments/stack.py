"""The processes of one machine and the environment that they share.

`deployments.up` runs them together; the test-suite starts, kills and restarts them one by one.
Everything binds to 127.0.0.1, and everything that is written lies below one data directory.
"""

import secrets
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The project: where prefect.yaml and the flows are."""

_LOCALHOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the processes of one machine listen and keep their files."""

    data_dir: Path
    web_port: int
    prefect_port: int
    prefect_password: str = field(repr=False)
    database_url: str = field(default="", repr=False)

    @property
    def web_url(self) -> str:
        """Where the dashboard is."""
        return f"http://{_LOCALHOST}:{self.web_port}"

    @property
    def prefect_url(self) -> str:
        """Where Prefect's UI is."""
        return f"http://{_LOCALHOST}:{self.prefect_port}"

    @property
    def prefect_auth(self) -> str:
        """User name and password of Prefect's API, as Prefect wants them."""
        return f"adit:{self.prefect_password}"

    def environment(self) -> dict[str, str]:
        """Return the variables that every process of the stack, and every client of it, needs."""
        database = {"ADIT_DATABASE_URL": self.database_url} if self.database_url else {}
        return {
            "ADIT_DATA_DIR": str(self.data_dir),
            "ADIT_HOME": str(HOME),
            "ADIT_WEB_URL": self.web_url,
            "ADIT_PREFECT_UI_URL": self.prefect_url,
            "PREFECT_HOME": str(self.data_dir / "prefect"),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_API_AUTH_STRING": self.prefect_auth,
            **database,
        }

    def server_environment(self) -> dict[str, str]:
        """Return what Prefect's server needs besides."""
        return {
            "PREFECT_SERVER_API_AUTH_STRING": self.prefect_auth,
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.prefect_url,
            "PREFECT_UI_API_URL": f"{self.prefect_url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # Leases in memory would be forgotten by a restart, and slots of dead holders with them.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
                "prefect.server.concurrency.lease_storage.filesystem"
            ),
            "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
        }

    def worker_environment(self) -> dict[str, str]:
        """Return what the worker needs besides."""
        return {"PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_LOGGING_LEVEL": "WARNING"}

    def server_command(self) -> list[str]:
        """Return the command of Prefect's server."""
        return [
            *_python("prefect"),
            "server",
            "start",
            f"--host={_LOCALHOST}",
            f"--port={self.prefect_port}",
        ]

    def web_command(self) -> list[str]:
        """Return the command of the dashboard and the API."""
        return [
            *_python("uvicorn"),
            "adit_core.api.asgi:app",
            f"--host={_LOCALHOST}",
            f"--port={self.web_port}",
            "--no-access-log",
        ]

    def worker_command(self) -> list[str]:
        """Return the command of the worker, which first makes the work pool and the deployments."""
        return _python("deployments.worker")


def new_stack(
    data_dir: Path, *, web_port: int = 8000, prefect_port: int = 4200, database_url: str = ""
) -> Stack:
    """Return a stack on these ports, or on free ones where they are taken."""
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    return Stack(
        data_dir=data_dir,
        web_port=free_port(web_port),
        prefect_port=free_port(prefect_port),
        prefect_password=secrets.token_urlsafe(12),
        database_url=database_url,
    )


def free_port(preferred: int = 0) -> int:
    """Return `preferred` if it is free on 127.0.0.1, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOCALHOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OSError("No free port on 127.0.0.1.")


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]
