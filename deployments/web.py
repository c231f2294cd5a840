"""Entry point of the web process, which serves dashboard and API on one port, `ADIT_WEB_PORT`.

It binds to 127.0.0.1 unless `ADIT_BIND` says otherwise. With `ADIT_WEB_CERTIFICATE` it speaks TLS only.
"""

import os
import sys

import uvicorn

from adit_core.errors import AditError
from adit_core.logs import configure_logs
from adit_core.settings import get_settings
from adit_core.temporary_folders import remove_leftover_folders
from deployments.stack import LOCALHOST
from deployments.tls import server_context

_PATIENCE = 20
"""Seconds that requests get to end when the process is told to."""


def main() -> None:
    """Serve until told to stop. There is no access log: URLs can hold what no log may."""
    try:
        configure_logs()
        settings = get_settings()
        variables = ("ADIT_WEB_CERTIFICATE", "ADIT_WEB_KEY")
        tls = server_context(settings.web_certificate, settings.web_key, variables)
    except AditError as error:
        sys.exit(str(error))
    remove_leftover_folders()
    uvicorn.run(
        "adit_core.api.asgi:app",
        host=os.environ.get("ADIT_BIND", LOCALHOST),
        port=int(os.environ.get("ADIT_WEB_PORT", "8000")),
        ssl_context_factory=None if tls is None else lambda *_: tls,
        timeout_graceful_shutdown=_PATIENCE,
        log_config=None,
        access_log=False,
    )


if __name__ == "__main__":
    main()
