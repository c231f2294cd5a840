"""The web process as users run it, on a database of its own and without a scheduler."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring
from adit_core.services.sessions import SessionLimits, open_session
from adit_core.services.users import create_user
from adit_core.settings import Settings
from deployments.demo.processes import HOST, Server, on_free_ports, start_server
from tests.databases import new_database

PASSWORD = "correct horse battery staple"
COOKIE = "adit_session"

_numbers = count(1)


@dataclass(frozen=True)
class WebProcess:
    """A running web process and its database."""

    server: Server
    db: Database
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.server.port}"

    @property
    def log(self) -> str:
        return self.server.log.read_text(encoding="utf-8")

    def add_user(self, **fields: Any) -> User:
        """Add a user of a name that nobody else has."""
        return create_user(self.db, username=f"user{next(_numbers)}", password=PASSWORD, **fields)

    def browser(self, user: User | None = None) -> httpx.Client:
        """Return a browser, in which `user` is signed in."""
        browser = httpx.Client(base_url=self.url, headers={"Accept": "text/html,*/*;q=0.8"}, timeout=30)
        if user is not None:
            token = open_session(self.db, user, SessionLimits.of(Settings()), address=HOST)
            browser.cookies.set(COOKIE, token, domain=HOST)
        return browser


@contextmanager
def web_process(folder: Path, **settings: str) -> Iterator[WebProcess]:
    """Run the web process with these settings; its database and its log are in `folder`."""
    db = new_database(folder / "adit.sqlite", Keyring(key_file=folder / "secret.key"))
    environment = {
        "ADIT_DATA_DIR": str(folder),
        "ADIT_DATABASE_URL": str(db.url),
        "PREFECT_API_URL": "",
        "PREFECT_HOME": str(folder / "prefect"),
        **{f"ADIT_{name.upper()}": value for name, value in settings.items()},
    }
    scheme = "https" if "web_certificate" in settings else "http"
    server = on_free_ports(
        1,
        lambda ports: start_server(
            [sys.executable, "-m", "deployments.web"],
            ports=ports,
            log=folder / "web.log",
            environment={
                "ADIT_WEB_PORT": str(ports[0]),
                "ADIT_WEB_URL": f"{scheme}://{HOST}:{ports[0]}",
                **environment,
            },
        ),
    )
    with server:
        yield WebProcess(server, db, scheme)
    db.dispose()


def fields_of(page: httpx.Response) -> dict[str, str]:
    """Return what the form of a page would send, by the names of its fields."""
    inputs = re.findall(r"<input ([^>]*)>", page.text)
    attributes = [dict(re.findall(r'([\w-]+)="([^"]*)"', text)) for text in inputs]
    return {each["name"]: unescape(each.get("value", "")) for each in attributes}
