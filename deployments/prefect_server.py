"""Entry point of Prefect's server, with what ADIT needs of it.

It listens on `ADIT_PREFECT_PORT`, on 127.0.0.1 unless `ADIT_BIND` says otherwise. Its API has one
password and no roles (`PREFECT_API_AUTH_STRING`), so keep it on an internal network. Its database is SQLite
in `PREFECT_HOME`, unless `PREFECT_SERVER_DATABASE_…` name another one.
"""

import os
import sys
from contextlib import nullcontext
from importlib import import_module

import uvicorn

from adit_core.errors import AditError
from adit_core.logs import configure_logs
from deployments.garbage import garbage_collected_beside
from deployments.stack import LOCALHOST

_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # To write each state of each task run by itself takes the server twice as long as the study takes us.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # This process is the whole server, with the services that run in the background.
    "PREFECT__SERVER_FINAL": "1",
}
_PATIENCE = 10
"""Seconds that requests get to end when the process is told to."""


def main() -> None:
    """Serve until told to stop.

    It is what ``prefect server start`` does, but for the lines of the log.
    """
    environment = {
        **_DEFAULTS,
        "PREFECT_SERVER_API_AUTH_STRING": os.environ.get("PREFECT_API_AUTH_STRING", ""),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": os.environ.get("ADIT_PREFECT_UI_URL", ""),
        "PREFECT_UI_API_URL": os.environ.get("PREFECT_API_URL", ""),
    }
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    try:
        configure_logs()
    except AditError as error:
        sys.exit(str(error))
    with garbage_collected_beside() if _uses_sqlite() else nullcontext():
        uvicorn.run(
            "prefect.server.api.server:create_app",
            factory=True,
            host=os.environ.get("ADIT_BIND", LOCALHOST),
            port=int(os.environ.get("ADIT_PREFECT_PORT", "4200")),
            timeout_graceful_shutdown=_PATIENCE,
            log_config=None,
            access_log=False,
        )


def _uses_sqlite() -> bool:
    # Imported only now, since it reads the environment.
    settings = import_module("prefect.settings").get_current_settings()
    return settings.server.database.connection_url.get_secret_value().startswith("sqlite")


if __name__ == "__main__":
    main()
