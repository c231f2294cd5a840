"""The dashboard as an application that can be mounted; no other module of the server knows Streamlit.

What the dashboard's safety depends on is set here, where no configuration file and no environment
can change it. How it looks is in ``ui/.streamlit/config.toml``.
"""

import gc
import logging
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import streamlit as st
from fastapi import FastAPI
from streamlit import config, file_util

from adit_core.api.app import Dashboard
from adit_core.api.gate import SESSION_HEADER
from adit_core.api.security_headers import script_hash
from adit_core.errors import AditError
from adit_core.logs import hand_on_to_root

_SCRIPT = Path(__file__).parents[2] / "ui" / "app.py"
_OPTIONS: dict[str, Any] = {
    "server.headless": True,
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "server.fileWatcherType": "none",
    "server.trustedUserHeaders": {SESSION_HEADER: "session"},
    "browser.gatherUsageStats": False,
    "client.allowedOrigins": [],
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "viewer",
    "logger.enableRich": False,
    "runner.magicEnabled": False,
}
_PRELOADED = ("ui.menu", "ui.session", "ui.views.job", "ui.views.jobs")


def load_dashboard() -> Dashboard:
    """Prepare the Streamlit application. A process can do so once."""
    app = st.App(_SCRIPT, on_script_error=_say_what_happened)
    for option, value in _OPTIONS.items():
        config.set_option(option, value)
    config.set_option("server.cookieSecret", secrets.token_hex(32))
    run_streamlit = app.lifespan()
    hand_on_to_root()

    @asynccontextmanager
    async def running(root: FastAPI) -> AsyncIterator[None]:
        async with run_streamlit(root):
            # Streamlit switches it back on. It would print query strings, which may hold codes and UIDs.
            logging.getLogger("uvicorn.access").disabled = True
            _warm_up()
            hand_on_to_root()
            yield

    return Dashboard(app, running, _inline_script_hashes())


def _warm_up() -> None:
    """Load what the first visitor would otherwise wait for.

    Streamlit collects garbage after every run of a script; freezing keeps that short.
    """
    for name in _PRELOADED:
        import_module(name)
    gc.collect()
    gc.freeze()


def _say_what_happened(error: Exception) -> bool:
    """Show a sentence instead of an exception that no page foresaw; its type and place are in the log."""
    if isinstance(error, AditError):
        st.error(str(error))
    else:
        st.error("Something went wrong here. It was written to the log; please tell your administrators.")
    return True


def _inline_script_hashes() -> tuple[str, ...]:
    page = Path(file_util.get_static_dir(), "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    return tuple(map(script_hash, scripts))
