"""The DICOMweb proxy as programs use it: a web process in front of real archives that speak DIMSE only."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.parser import BytesParser
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread
from sqlmodel import select

from adit_core.db import AuditEvent, DicomNode, Permission, TokenScope, User
from adit_core.db.audit import AuditAction
from adit_core.db.secrets import new_key
from adit_core.dicom.node import ServerNode, Service
from adit_core.services.nodes import add_server, set_access
from adit_core.services.tokens import create_token
from deployments.demo.processes import HOST
from tests.factories import dataset_hash
from tests.rows import make_group, make_user
from tests.web_process import WebProcess, web_process

JSON = "application/dicom+json"
_DIMSE_ONLY = (Service.FIND, Service.GET, Service.STORE)
_numbers = count(1)


@dataclass(frozen=True)
class Proxy:
    """A running proxy, whose nodes and users are in its database."""

    web: WebProcess

    def add_node(self, node: ServerNode, **changes: Any) -> DicomNode:
        """Add an archive under a name of its own, unless it is there."""
        with self.web.db.reading() as session:
            known = session.exec(select(DicomNode).where(DicomNode.ae_title == node.ae_title)).first()
        if known is not None:
            return known
        options = {"services": _DIMSE_ONLY, "max_associations": 16, **changes}
        return add_server(
            self.web.db,
            f"archive {node.ae_title}",
            ae_title=node.ae_title,
            host=node.host,
            port=node.port,
            **options,
        )

    @contextmanager
    def node_behind(self, port: int, ae_title: str, **options: Any) -> Iterator[str]:
        """Add an archive that is reached by another port, for a while, and yield the name of the node."""
        name = f"{ae_title} behind {port}"
        node = add_server(self.web.db, name, ae_title=ae_title, host=HOST, port=port, **options)
        try:
            yield name
        finally:
            with self.web.db.session() as session:
                session.delete(session.get_one(DicomNode, node.id))
                session.commit()

    def user(self, *permissions: Permission, sources: str = "", destinations: str = "") -> User:
        """Return a new user with these permissions, who may use the API and these nodes.

        Nodes are named with commas between.
        """
        user = make_user(self.web.db, f"program{next(_numbers)}")
        group = make_group(self.web.db, user, permissions=(*permissions, Permission.USE_API))
        for name in {*sources.split(","), *destinations.split(",")} - {""}:
            set_access(
                self.web.db,
                group.name,
                f"archive {name}",
                as_source=name in sources.split(","),
                as_destination=name in destinations.split(","),
            )
        return user

    def token(self, user: User | None = None, scopes: Iterable[TokenScope] = (TokenScope.DICOMWEB,)) -> str:
        """Return a token, of somebody who may do everything unless a user is given."""
        owner = user or self.staff()
        made = create_token(
            self.web.db, owner, name="tests", scopes=frozenset(scopes), lifetime=timedelta(hours=1)
        )
        return made.token

    def http(self, ae_title: str, user: User | None = None, **headers: str) -> httpx.Client:
        """Return a client for the paths of one archive."""
        return httpx.Client(
            base_url=f"{self.web.url}/api/dicom-web/{ae_title}/",
            headers={"Authorization": f"Token {self.token(user)}", **headers},
            timeout=60,
        )

    def dicomweb_client(self, ae_title: str, user: User | None = None) -> DICOMwebClient:
        """Return the usual client library for one archive."""
        client = DICOMwebClient(
            f"{self.web.url}/api/dicom-web/{ae_title}",
            qido_url_prefix="qidors",
            wado_url_prefix="wadors",
            stow_url_prefix="stowrs",
            headers={"Authorization": f"Bearer {self.token(user)}"},
        )
        client.set_http_retry_params(retry=False)
        return client

    def events(self, user: User, action: AuditAction, count: int = 1) -> list[AuditEvent]:
        """Return what was audited of a user, waiting for so many events: answers may end before these."""
        chosen = select(AuditEvent).where(AuditEvent.actor_id == user.id, AuditEvent.action == action)
        deadline = time.monotonic() + 60
        while True:
            with self.web.db.reading() as session:
                found = sorted(session.exec(chosen), key=lambda event: event.id)
            if len(found) >= count or time.monotonic() > deadline:
                assert len(found) == count
                return found
            time.sleep(0.05)

    def staff(self) -> User:
        """Return a new user who may do everything."""
        return make_user(self.web.db, f"staff{next(_numbers)}", staff=True)


@contextmanager
def running_proxy(folder: Path, **settings: str) -> Iterator[Proxy]:
    """Run the web process with the proxy."""
    with web_process(folder, secret_keys=new_key(), api_calls_per_minute="100000", **settings) as web:
        yield Proxy(web)


def parts_of(response: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """Return the parts of a multipart answer, by Python's own parser, with their headers in lower case."""
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + response.content)
    assert message.is_multipart()
    assert response.content.endswith(b"--\r\n")
    boundary = str(message.get_boundary()).encode()
    raw = (b"\r\n" + response.content).split(b"\r\n--" + boundary)[1:-1]
    parts = []
    for part in raw:
        lines, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        pairs = (line.partition(":") for line in lines.decode("latin-1").split("\r\n"))
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        assert int(headers.get("content-length", len(content))) == len(content)
        parts.append((headers, content))
    return parts


def hashes_of(files: Iterable[bytes | Dataset]) -> dict[str, str]:
    """Return the hash of each instance by its SOP Instance UID."""
    found: dict[str, str] = {}
    for file in files:
        data = file if isinstance(file, Dataset) else dcmread(BytesIO(file))
        assert data.SOPInstanceUID not in found
        found[data.SOPInstanceUID] = dataset_hash(data if isinstance(file, Dataset) else BytesIO(file))
    return found
