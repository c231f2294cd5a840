"""Real servers for tests: Orthanc, DCMTK's dcmqrscp and storescp, pynetdicom's qrscp, PostgreSQL.

Each has a folder and ports of its own and is ended by its process id. A server whose program is
missing skips the test that asks for it, or fails it where CI is set.
"""

import json
import os
import pwd
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest
from pynetdicom import StoragePresentationContexts

from adit_core.dicom.node import ServerNode, Service
from adit_core.dicom.subscription import ReceiverAddress
from deployments.demo.archives import CALLING_AE_TITLE, Archive, find_orthanc, start_orthanc, start_qrscp
from deployments.demo.processes import HOST, Server, ServerDidNotStart, on_free_ports, start_server
from tests.factories import hashes, instances_in

NO_DELAY = {"TCP_NODELAY": "1"}
PEERS = {CALLING_AE_TITLE: 0}
RECEIVER_USERS = (CALLING_AE_TITLE, "SOURCE", "DCMQRSCP", "QRSCP", "STORESCU", "MY PACS 1", "MY_PACS")
"""The AE titles that the receiver knows, unless a test says otherwise."""


def require(program: str | None, *, package: str) -> str:
    """Return the path of a program, or end the test and say how to get it."""
    if program:
        return program
    reason = f"install the Debian package {package}: deployments/install-system-packages.sh"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class OrthancServer:
    """An Orthanc, and what its REST interface can do for tests."""

    archive: Archive
    rest: httpx.Client

    def clear(self) -> None:
        """Delete everything."""
        for patient in self.rest.get("/patients").json():
            self.rest.delete(f"/patients/{patient}").raise_for_status()

    def contents(self) -> dict[str, str]:
        """Return the data set hash of each instance by its SOP Instance UID."""
        return self._hashes(self.rest.get("/instances").json())

    def study(self, study_instance_uid: str) -> dict[str, str]:
        """Return the data set hash of each instance of one study by its SOP Instance UID."""
        found = self.rest.post("/tools/lookup", content=study_instance_uid).json()
        studies = [each["Path"] for each in found if each["Type"] == "Study"]
        return self._hashes(
            instance["ID"] for path in studies for instance in self.rest.get(f"{path}/instances").json()
        )

    def know(self, ae_title: str, port: int) -> None:
        """Let a peer of this machine use the archive, and be a destination of C-MOVE."""
        name = ae_title.replace(" ", "-")
        self.rest.put(
            f"/modalities/{name}", json={"AET": ae_title, "Host": HOST, "Port": port}
        ).raise_for_status()

    def _hashes(self, names: Iterable[str]) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            return hashes([self._download(name, Path(folder)) for name in names])

    def _download(self, name: str, folder: Path) -> Path:
        path = folder / name
        path.write_bytes(self.rest.get(f"/instances/{name}/file").raise_for_status().content)
        return path


UNCOMPRESSED = {"Accept-Encoding": "identity"}
"""What is asked of an Orthanc, which would spend 70 ms on compressing a CT image."""


@contextmanager
def orthanc(
    folder: Path,
    ae_title: str = "ORTHANC",
    peers: Mapping[str, int] = PEERS,
    environment: Mapping[str, str] = NO_DELAY,
    settings: Mapping[str, object] = {},
) -> Iterator[OrthancServer]:
    """Run an Orthanc. An empty `environment` gives the one that Debian starts, slow on many messages."""
    require(find_orthanc(), package="orthanc")
    archive = start_orthanc(folder, ae_title, peers, environment, settings)
    try:
        url = f"http://{HOST}:{archive.http_port}"
        # Orthanc may close a connection that was kept just when the next request goes out on it.
        unkept = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=url, timeout=60, headers=UNCOMPRESSED, limits=unkept) as rest:
            yield OrthancServer(archive, rest)
    finally:
        archive.server.kill()


@contextmanager
def restarted(server: OrthancServer) -> Iterator[None]:
    """Run an Orthanc that was killed once more, with the same ports and contents."""
    archive = server.archive
    assert archive.http_port is not None
    again = start_server(
        [require(find_orthanc(), package="orthanc"), archive.folder / "orthanc.json"],
        ports=[archive.server.port, archive.http_port],
        log=archive.server.log,
        environment=NO_DELAY,
    )
    try:
        yield
    finally:
        again.kill()


@dataclass(frozen=True)
class FileArchive:
    """An archive that keeps Part 10 files in a folder."""

    archive: Archive

    def contents(self) -> dict[str, str]:
        """Return the data set hash of each instance by its SOP Instance UID."""
        return instances_in(self.archive.folder / "store")


@dataclass(frozen=True)
class QrscpServer(FileArchive):
    """A qrscp of pynetdicom, which keeps an index beside the files."""

    def clear(self) -> None:
        """Delete everything."""
        with closing(sqlite3.connect(self.archive.folder / "index.sqlite")) as index, index:
            index.execute("DELETE FROM instance")
        for path in (self.archive.folder / "store").iterdir():
            path.unlink()


@contextmanager
def qrscp(folder: Path, ae_title: str = "QRSCP", peers: Mapping[str, int] = PEERS) -> Iterator[QrscpServer]:
    """Run pynetdicom's qrscp."""
    archive = start_qrscp(folder, ae_title, peers)
    try:
        yield QrscpServer(archive)
    finally:
        archive.server.kill()


@contextmanager
def dcmqrscp(
    folder: Path,
    ae_title: str = "DCMQRSCP",
    peers: Mapping[str, int] = PEERS,
    environment: Mapping[str, str] = NO_DELAY,
    options: Sequence[str | Path] = (),
) -> Iterator[FileArchive]:
    """Run DCMTK's dcmqrscp, set up to accept compressed instances, too.

    It hands them out by C-GET only if it was offered no other transfer syntax for their SOP class.
    """
    program = require(shutil.which("dcmqrscp"), package="dcmtk")
    (folder / "store").mkdir(parents=True)
    config, profile = folder / "dcmqrscp.cfg", folder / "profile.cfg"
    profile.write_text(_dcmtk_profile())

    def start(ports: list[int]) -> Archive:
        config.write_text(_dcmqrscp_config(folder / "store", ae_title, peers, ports[0]))
        server = start_server(
            [program, "-v", "-c", config, "-xf", profile, "All", "All", *options],
            ports=ports,
            log=folder / "dcmqrscp.log",
            environment=environment,
        )
        return Archive(ae_title, server, folder)

    archive = on_free_ports(1, start)
    try:
        yield FileArchive(archive)
    finally:
        archive.server.kill()


def _dcmqrscp_config(store: Path, ae_title: str, peers: Mapping[str, int], port: int) -> str:
    hosts = [f"{peer} = ({peer}, localhost, {peer_port or 104})" for peer, peer_port in peers.items()]
    return "\n".join(
        [
            f"NetworkTCPPort = {port}",
            "MaxPDUSize = 131072",
            "MaxAssociations = 16",
            "HostTable BEGIN",
            *hosts,
            "HostTable END",
            "VendorTable BEGIN",
            "VendorTable END",
            "AETable BEGIN",
            f"{ae_title} {store} RW (2000, 4096mb) ANY",
            "AETable END",
            "",
        ]
    )


_TRANSFER_SYNTAXES = (
    "JPEG2000LosslessOnly",
    "RLELossless",
    "DeflatedLittleEndianExplicit",
    "LittleEndianExplicit",
    "LittleEndianImplicit",
)
_QUERY_CLASSES = (
    "VerificationSOPClass",
    "FINDPatientRootQueryRetrieveInformationModel",
    "GETPatientRootQueryRetrieveInformationModel",
    "MOVEPatientRootQueryRetrieveInformationModel",
    "FINDStudyRootQueryRetrieveInformationModel",
    "GETStudyRootQueryRetrieveInformationModel",
    "MOVEStudyRootQueryRetrieveInformationModel",
)
_MOST_CONTEXTS = 128


def _dcmtk_profile() -> str:
    """Return a profile that accepts the usual classes in all transfer syntaxes and both roles."""
    storage = [
        str(context.abstract_syntax)
        for context in StoragePresentationContexts[: _MOST_CONTEXTS - len(_QUERY_CLASSES)]
    ]
    contexts = [rf"{name}\Plain" for name in _QUERY_CLASSES] + [rf"{uid}\Any" for uid in storage]
    return "\n".join(
        [
            "[[TransferSyntaxes]]",
            "[Any]",
            *_numbered("TransferSyntax", _TRANSFER_SYNTAXES),
            "[Plain]",
            *_numbered("TransferSyntax", _TRANSFER_SYNTAXES[-2:]),
            "[[PresentationContexts]]",
            "[All]",
            *_numbered("PresentationContext", contexts),
            "[[SCPSCURoleSelection]]",
            "[All]",
            *_numbered("Role", [rf"{uid}\both" for uid in storage]),
            "[[Profiles]]",
            "[All]",
            "PresentationContexts = All",
            "SCPSCURoleSelection = All",
            "",
        ]
    )


def _numbered(key: str, values: Iterable[str]) -> list[str]:
    return [f"{key}{number} = {value}" for number, value in enumerate(values, 1)]


@contextmanager
def storescp(
    folder: Path,
    ae_title: str = "STORESCP",
    options: Sequence[str | Path] = (),
    environment: Mapping[str, str] = NO_DELAY,
    syntaxes: str = "+xa",
) -> Iterator[FileArchive]:
    """Run DCMTK's storescp, which takes everything as it comes, unless `syntaxes` says otherwise."""
    program = require(shutil.which("storescp"), package="dcmtk")
    (folder / "store").mkdir(parents=True)

    def start(ports: list[int]) -> Archive:
        server = start_server(
            [program, syntaxes, "+B", "-aet", ae_title, "-od", folder / "store", *options, str(ports[0])],
            ports=ports,
            log=folder / "storescp.log",
            environment=environment,
        )
        return Archive(ae_title, server, folder)

    archive = on_free_ports(1, start)
    try:
        yield FileArchive(archive)
    finally:
        archive.server.kill()


@dataclass(frozen=True)
class ReceiverServer:
    """Our receiver, in a process of its own."""

    server: Server
    address: ReceiverAddress
    spool: Path

    @property
    def node(self) -> ServerNode:
        """The receiver as a node that archives, and we, can store to."""
        return ServerNode(
            *("receiver", self.address.ae_title, HOST, self.server.port),
            services=frozenset({Service.STORE}),
        )

    def files(self) -> dict[str, str]:
        """Return the data set hash of each instance that waits in the spool by its SOP Instance UID."""
        return instances_in(self.spool / "studies")

    def health(self) -> dict[str, object]:
        """Return what the receiver says of itself."""
        verify = ssl.create_default_context(cafile=self.address.ca_file) if self.address.ca_file else True
        return httpx.get(f"{self.address.url}/health", verify=verify).raise_for_status().json()


@contextmanager
def receiver(
    folder: Path,
    ae_title: str = "ADIT_RECEIVER",
    *,
    ports: Sequence[int] = (),
    **settings: object,
) -> Iterator[ReceiverServer]:
    """Run the receiver with these settings, on `ports` if it is to come back where it was."""
    token = "a token for tests"
    environment = {
        "ADIT_DATA_DIR": str(folder),
        "ADIT_RECEIVER_AE_TITLE": ae_title,
        "ADIT_RECEIVER_TOKEN": token,
        "ADIT_RECEIVER_CALLING_AE_TITLES": json.dumps(RECEIVER_USERS),
        **{f"ADIT_{name.upper()}": str(value) for name, value in settings.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)

    def start(ports: Sequence[int]) -> ReceiverServer:
        dicom_port, http_port = ports
        server = start_server(
            [sys.executable, "-m", "deployments.receiver"],
            ports=ports,
            log=folder / "receiver.log",
            environment={
                **environment,
                "ADIT_RECEIVER_PORT": str(dicom_port),
                "ADIT_HANDOVER_PORT": str(http_port),
            },
        )
        certificate = str(settings.get("handover_certificate", ""))
        url = f"{'https' if certificate else 'http'}://{HOST}:{http_port}"
        return ReceiverServer(server, ReceiverAddress(ae_title, url, token, certificate), folder / "spool")

    running = start(ports) if ports else on_free_ports(2, start)
    try:
        yield running
    finally:
        running.server.kill()


@dataclass
class PostgresCluster:
    """A PostgreSQL server that accepts its superuser without a password."""

    server: Server
    _start: Callable[[Sequence[int]], Server]
    _numbers: Iterator[int]
    superuser: str
    host: str
    """Where the superuser needs no password; a folder with a socket, or this machine."""
    _connection: psycopg.Connection | None = None

    @property
    def port(self) -> int:
        """Where it listens, also after it was started again."""
        return self.server.port

    def end(self, how: signal.Signals) -> None:
        """End it: by SIGINT in order, by SIGQUIT at once, by SIGKILL as a crash does."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.server.process.send_signal(how)
        self.server.process.wait()

    def start(self, patience: float = 120.0) -> None:
        """Start it again; what is left of a server that was killed has to go away first."""
        deadline = time.monotonic() + patience
        while True:
            try:
                self.server = self._start([self.port])
                return self.wait_until_ready()
            except (ServerDidNotStart, psycopg.OperationalError):
                # It takes its port before it finds that something of its predecessor is left, and ends.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def create_database(self, like: str = "template1") -> str:
        """Create a database, empty or like the one at the URL `like`; return its URL for SQLAlchemy."""
        name = f"adit_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {like.rpartition('/')[2]}")
        return f"postgresql+psycopg://{self.superuser}@{HOST}:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Delete a database, and end its connections."""
        self._execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        """Execute a statement by a connection that is kept: a new one costs more than many a statement."""
        try:
            self._connected().execute(statement.encode())
        except psycopg.OperationalError:  # tests end connections
            self._connected().execute(statement.encode())

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._conninfo, autocommit=True)
        return self._connection

    def wait_until_ready(self, patience: float = 30.0) -> None:
        """Wait until connections are not only taken but served: it "is starting up" for a moment."""
        deadline = time.monotonic() + patience
        while True:
            try:
                psycopg.connect(self._conninfo).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.server.process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    @property
    def _conninfo(self) -> str:
        return f"host={self.host} port={self.port} user={self.superuser} dbname=postgres"


_FAST = ("fsync=off", "full_page_writes=off", "max_connections=200")
_FORGETFUL = ("synchronous_commit=off",)


@contextmanager
def postgres(
    *, settings: Sequence[str] = _FORGETFUL, superuser: str = "adit", wants_passwords: bool = False
) -> Iterator[PostgresCluster]:
    """Run a new PostgreSQL cluster, as another user if we are root, which it does not accept.

    With the usual `settings` it may lose what it has committed if it is killed. If it `wants_passwords`,
    then of those who come over the network only.
    """
    initdb = Path(require(_find_postgres("initdb"), package="postgresql"))
    # Not below pytest's folders, which only we may enter.
    with tempfile.TemporaryDirectory(prefix="adit-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        identity = _give_away(folder)
        subprocess.run(
            [
                *(["setpriv", *identity] if identity else []),
                *[initdb, "-D", folder / "data", "-U", superuser],
                *[
                    "--auth-local=trust",
                    f"--auth-host={'scram-sha-256' if wants_passwords else 'trust'}",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ],
            ],
            check=True,
            capture_output=True,
            cwd="/",
        )
        chosen = [f"unix_socket_directories={folder}", f"listen_addresses={HOST}", *_FAST, *settings]
        options = [part for setting in chosen for part in ("-c", setting)]

        def start(ports: Sequence[int]) -> Server:
            return start_server(
                [initdb.with_name("postgres"), "-D", folder / "data", "-p", str(ports[0]), *options],
                ports=ports,
                log=folder / "postgres.log",
                identity=identity,
            )

        cluster = PostgresCluster(
            on_free_ports(1, start), start, count(1), superuser, name if wants_passwords else HOST
        )
        try:
            cluster.wait_until_ready()
            yield cluster
        finally:
            cluster.end(signal.SIGQUIT)  # ends it at once, with all its children


def _find_postgres(program: str) -> str | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(map(str, places)))


def _give_away(folder: Path) -> list[str]:
    """Give a folder to a user that PostgreSQL accepts, and return the options for setpriv to become it."""
    if os.geteuid() != 0:
        return []
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
