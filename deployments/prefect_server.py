"""Entry point of Prefect's server: sets what ADIT needs of it, and becomes it.

It listens on `ADIT_PREFECT_PORT`, on 127.0.0.1 unless `ADIT_BIND` says otherwise. Its API has one
password and no roles (`PREFECT_API_AUTH_STRING`), so keep it on an internal network.
"""

import os
import sys

from deployments.stack import LOCALHOST

_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Leases in memory would be forgotten by a restart, and the slots of dead holders with them.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # A study that waits for a node asks again after two seconds at most, not after thirty.
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
    # To write each state of each task run by itself takes the server twice as long as the study takes us.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}


def main() -> None:
    """Start the server in this process's place."""
    environment = {
        **_DEFAULTS,
        "PREFECT_SERVER_API_AUTH_STRING": os.environ.get("PREFECT_API_AUTH_STRING", ""),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": os.environ.get("ADIT_PREFECT_UI_URL", ""),
        "PREFECT_UI_API_URL": os.environ.get("PREFECT_API_URL", ""),
        **os.environ,
    }
    host = os.environ.get("ADIT_BIND", LOCALHOST)
    port = os.environ.get("ADIT_PREFECT_PORT", "4200")
    command = [sys.executable, "-m", "prefect", "server", "start", f"--host={host}", f"--port={port}"]
    os.execve(sys.executable, command, environment)  # noqa: S606 - the command is ours


if __name__ == "__main__":
    main()
