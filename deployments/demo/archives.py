"""Archives for the demo and the tests: Orthanc where it is installed, else pynetdicom's qrscp.

Each is a child process with a folder and ports of its own. Orthanc listens on all interfaces, but
serves only the AE titles that it is told, and only from this machine.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from adit_core.dicom.dimse import DimseDestination
from adit_core.dicom.node import ConnectionProfile, DicomWebNode, ServerNode, Service
from adit_core.dicom.part10 import read_file_instance
from deployments.demo.processes import HOST, Server, on_free_ports, start_server

CALLING_AE_TITLE = "ADIT"

_ORTHANC = "/usr/sbin/Orthanc"
_DICOM_WEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_ANY_PORT = 104
_NO_SETTINGS: Mapping[str, object] = {}
_NO_DELAY = {"TCP_NODELAY": "1"}
"""Without it, DCMTK and Orthanc stall for 45 ms with each message."""


class ArchiveRefused(Exception):
    """An archive did not take what it was given."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A running archive, and the folder with all that is its own.

    ``http_port`` is where an Orthanc has its REST interface and DICOMweb; others have None.
    ``profile`` says how to talk to it.
    """

    ae_title: str
    server: Server
    folder: Path
    http_port: int | None = None
    profile: ConnectionProfile = field(default_factory=ConnectionProfile)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def node(self) -> ServerNode:
        """The archive as a node that supports all services."""
        return ServerNode(
            name=self.ae_title,
            ae_title=self.ae_title,
            host=HOST,
            port=self.server.port,
            calling_ae_title=CALLING_AE_TITLE,
            services=frozenset(Service),
            profile=self.profile,
        )

    @property
    def web_node(self) -> DicomWebNode:
        """The archive as a node that is reached by DICOMweb; for an Orthanc with its plugin only."""
        return DicomWebNode(name=self.ae_title, base_url=f"http://{HOST}:{self.http_port}/dicom-web")

    def stop(self) -> None:
        """End the archive; what it holds stays in its folder."""
        self.server.stop()

    def load(self, files: Iterable[Path]) -> None:
        """Store Part 10 files in the archive.

        Raises:
            ArchiveRefused: The archive does not want one of the files.
            AditError: The association failed.
        """
        with DimseDestination(self.node) as destination:
            for delivery in destination.deliver(map(read_file_instance, files)):
                if delivery.failure:
                    raise ArchiveRefused(
                        f"{self.ae_title} refused {delivery.sop_instance_uid}: {delivery.failure}"
                    )


def start_archive(folder: Path, ae_title: str, peers: Mapping[str, int]) -> Archive:
    """Start an Orthanc, or a qrscp where there is none.

    `peers` are the AE titles that may use the archive, with the port that each receives instances on
    (any number if it does not).

    Raises:
        ServerDidNotStart: The program ended, or is not ready after 30 seconds.
    """
    return (start_orthanc if find_orthanc() else start_qrscp)(folder, ae_title, peers)


def find_orthanc() -> str | None:
    """Return the path of Orthanc's program, None if it is not installed."""
    return shutil.which("Orthanc") or shutil.which(_ORTHANC)


def start_orthanc(
    folder: Path,
    ae_title: str,
    peers: Mapping[str, int],
    environment: Mapping[str, str] = _NO_DELAY,
    settings: Mapping[str, object] = _NO_SETTINGS,
) -> Archive:
    """Start an Orthanc that keeps its store in `folder`, see :func:`start_archive`.

    `settings` replace or add to those of its configuration file.
    """
    program = find_orthanc()
    assert program is not None
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "orthanc.json"

    def start(ports: list[int]) -> Archive:
        config.write_text(json.dumps({**_orthanc_config(folder, ae_title, peers, ports), **settings}))
        server = start_server(
            [program, config], ports=ports, log=folder / "orthanc.log", environment=environment
        )
        return Archive(ae_title, server, folder, http_port=ports[1])

    return on_free_ports(2, start)


def _orthanc_config(
    folder: Path, ae_title: str, peers: Mapping[str, int], ports: list[int]
) -> dict[str, object]:
    dicom_port, http_port = ports
    return {
        "Name": ae_title,
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "StorageCompression": False,
        "SyncStorageArea": False,
        "OverwriteInstances": True,
        "Plugins": [str(path) for path in (_DICOM_WEB_PLUGIN,) if path.exists()],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "KeepAlive": True,
        "TcpNoDelay": True,
        "DicomPort": dicom_port,
        "DicomAet": ae_title,
        "DicomCheckCalledAet": True,
        "DicomModalities": {peer: [peer, HOST, port or _ANY_PORT] for peer, port in peers.items()},
        "DicomCheckModalityHost": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomAlwaysAllowMove": False,
        "DicomThreadsCount": 16,
        "MaximumPduLength": 131072,
        "LimitFindResults": 0,
        "DefaultEncoding": "Utf8",
    }


def start_qrscp(folder: Path, ae_title: str, peers: Mapping[str, int]) -> Archive:
    """Start pynetdicom's qrscp with its store in `folder`, see :func:`start_archive`.

    It serves whoever asks, but listens on this machine's loopback interface only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "qrscp.ini"

    def start(ports: list[int]) -> Archive:
        with config.open("w") as file:
            _qrscp_config(folder, ae_title, peers, ports[0]).write(file)
        server = start_server(
            [sys.executable, "-m", "pynetdicom", "qrscp", "-c", config], ports=ports, log=folder / "qrscp.log"
        )
        return Archive(ae_title, server, folder)

    return on_free_ports(1, start)


def _qrscp_config(folder: Path, ae_title: str, peers: Mapping[str, int], port: int) -> ConfigParser:
    config = ConfigParser(interpolation=None)
    config["DEFAULT"] = {
        "ae_title": ae_title,
        "port": str(port),
        "max_pdu": "131072",
        "acse_timeout": "30",
        "dimse_timeout": "30",
        "network_timeout": "60",
        "bind_address": HOST,
        "instance_location": str(folder / "store"),
        "database_location": str(folder / "index.sqlite"),
    }
    for peer, peer_port in peers.items():
        config[peer] = {"address": HOST, "port": str(peer_port or _ANY_PORT)}
    return config
