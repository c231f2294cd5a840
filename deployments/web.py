"""Entry point of the web process, which serves dashboard and API on one port, `ADIT_WEB_PORT`.

It binds to 127.0.0.1 unless `ADIT_BIND` says otherwise.
"""

import os

import uvicorn

from deployments.stack import LOCALHOST


def main() -> None:
    """Serve until told to stop. There is no access log: URLs can hold what no log may."""
    uvicorn.run(
        "adit_core.api.asgi:app",
        host=os.environ.get("ADIT_BIND", LOCALHOST),
        port=int(os.environ.get("ADIT_WEB_PORT", "8000")),
        access_log=False,
    )


if __name__ == "__main__":
    main()
