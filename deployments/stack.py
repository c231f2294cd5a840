"""Where the processes of one machine listen and keep their files, as the environment they share.

The processes are `deployments.prefect_server`, `deployments.web`, `deployments.receiver`,
`deployments.worker` and `deployments.reconciler`. They bind to 127.0.0.1 unless told otherwise, and
write below one data directory.
"""

import secrets
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from adit_core.settings import embedded_database_url

HOME = Path(__file__).resolve().parent.parent
"""The project: where prefect.yaml and the flows are."""

LOCALHOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Stack:
    """The processes of one machine."""

    data_dir: Path
    web_port: int
    prefect_port: int
    receiver_port: int
    handover_port: int
    prefect_password: str = field(repr=False)
    receiver_token: str = field(repr=False)
    database_url: str = field(repr=False)

    @property
    def web_url(self) -> str:
        """Where the dashboard is."""
        return f"http://{LOCALHOST}:{self.web_port}"

    @property
    def prefect_url(self) -> str:
        """Where Prefect's UI is."""
        return f"http://{LOCALHOST}:{self.prefect_port}"

    @property
    def prefect_auth(self) -> str:
        """What Prefect's API and the sign-in of its UI want: user name and password in one."""
        return f"adit:{self.prefect_password}"

    def environment(self) -> dict[str, str]:
        """Return the variables that every process of the stack, and every client of it, needs."""
        return {
            "ADIT_DATABASE_URL": self.database_url,
            "ADIT_DATA_DIR": str(self.data_dir),
            "ADIT_HOME": str(HOME),
            "ADIT_WEB_PORT": str(self.web_port),
            "ADIT_WEB_URL": self.web_url,
            "ADIT_RECEIVER_PORT": str(self.receiver_port),
            "ADIT_RECEIVER_TOKEN": self.receiver_token,
            "ADIT_RECEIVER_URL": f"http://{LOCALHOST}:{self.handover_port}",
            "ADIT_HANDOVER_PORT": str(self.handover_port),
            "ADIT_PREFECT_PORT": str(self.prefect_port),
            "ADIT_PREFECT_UI_URL": self.prefect_url,
            "PREFECT_HOME": str(self.data_dir / "prefect"),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_API_AUTH_STRING": self.prefect_auth,
        }

    def command(self, process: str, *arguments: str) -> list[str]:
        """Return the command of `prefect_server`, `web`, `receiver`, `worker` or `reconciler`."""
        return [sys.executable, "-m", f"deployments.{process}", *arguments]


def new_stack(
    data_dir: Path,
    *,
    web_port: int = 8000,
    prefect_port: int = 4200,
    receiver_port: int = 11112,
    handover_port: int = 14638,
    database_url: str = "",
) -> Stack:
    """Return a stack on these ports, or on free ones where they are taken (0 for any)."""
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    return Stack(
        data_dir=data_dir,
        web_port=free_port(web_port),
        prefect_port=free_port(prefect_port),
        receiver_port=free_port(receiver_port),
        handover_port=free_port(handover_port),
        prefect_password=secrets.token_urlsafe(12),
        receiver_token=secrets.token_urlsafe(24),
        database_url=database_url or embedded_database_url(data_dir),
    )


def free_port(preferred: int = 0) -> int:
    """Return `preferred` if it is free on 127.0.0.1, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOCALHOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OSError(f"No port is free on {LOCALHOST}.")
