"""`make audit` never lets a closed network pass for packages without vulnerabilities."""

import os
import subprocess
from pathlib import Path

from deployments.stack import free_port

ROOT = Path(__file__).parents[2]


def test_where_nobody_knows_of_vulnerabilities_it_fails_and_says_so() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    closed = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"), nowhere)
    command = ["make", "--assume-old=.venv/.installed", "audit"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **closed},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode
    assert "Nothing was audited" in done.stderr
    assert "No known vulnerabilities" not in done.stdout + done.stderr
