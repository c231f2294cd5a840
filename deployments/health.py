"""Whether the process of a container is well: ``python -m deployments.health web``, for compose.yaml.

The exit status is 0 if it is, and else 1, with a sentence. It runs every few seconds, so it needs nothing but
the standard library.
"""

import os
import ssl
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

_TIMEOUT = 5.0
_LONGEST_SILENCE = 120.0
"""Seconds without a sign of life after which the reconciler counts as stuck: it waits for others, too."""

_ASKED = {
    "prefect": ("ADIT_PREFECT_PORT", "4200", "/api/health"),
    "web": ("ADIT_WEB_PORT", "8000", "/api/health/ready"),
    "receiver": ("ADIT_HANDOVER_PORT", "14638", "/health"),
    "worker": ("PREFECT_WORKER_WEBSERVER_PORT", "8080", "/health"),
}
"""The variable with the port, its usual value, and the path of processes that answer."""
_CERTIFICATES = {"web": "ADIT_WEB_CERTIFICATE", "receiver": "ADIT_HANDOVER_CERTIFICATE"}


class SignOfLife:
    """A file that a process which answers nobody touches again and again."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "reconciler.alive"

    def give(self) -> None:
        """Tell that the process works; a full disk is no reason to end it."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()

    def problem(self) -> str:
        """Return what is wrong, nothing if the process has given a sign of life lately."""
        try:
            silence = time.time() - self._path.stat().st_mtime
        except OSError:
            return "The reconciler has not given a sign of life yet."
        return "" if silence < _LONGEST_SILENCE else f"The reconciler is silent for {silence:.0f} seconds."


def problem_of(process: str) -> str:
    """Return what is wrong with a process of this container, nothing if it is well."""
    if process == "reconciler":
        return SignOfLife(Path(os.environ.get("ADIT_DATA_DIR", "."))).problem()
    if process in _ASKED:
        return _answer_problem(process)
    return f"There is no process {process}; there are {', '.join(_ASKED)}, reconciler."


def _answer_problem(process: str) -> str:
    variable, usual, path = _ASKED[process]
    connection = _connection(process, int(os.environ.get(variable, usual)))
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{process} does not answer ({type(error).__name__})."
    finally:
        connection.close()
    return "" if status == 200 else f"{process} answers with status {status}."


def _connection(process: str, port: int) -> HTTPConnection:
    """Return a connection to a process of this machine, whose certificate has other names."""
    if not os.environ.get(_CERTIFICATES.get(process, ""), ""):
        return HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection("127.0.0.1", port, timeout=_TIMEOUT, context=context)


def main() -> None:
    """Look at the process that the argument names."""
    sys.exit(problem_of(sys.argv[1] if len(sys.argv) == 2 else "") or 0)


if __name__ == "__main__":
    main()
