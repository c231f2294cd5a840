"""Nodes as values: the servers and folders that studies move between.

The database keeps nodes as rows; what travels into a transfer is one of these frozen values, which
can be handed to a child process.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from adit_core.dicom.credentials import Credentials
from adit_core.dicom.layout import Names, check_archive_name
from adit_core.dicom.tls import TlsSettings
from adit_core.errors import InputProblem, InvalidInput


class QueryRoot(StrEnum):
    """The information model of queries and retrievals (PS3.4 C.6)."""

    STUDY = "STUDY"
    PATIENT = "PATIENT"


class Service(StrEnum):
    """A DIMSE service that a server node supports as a provider."""

    FIND = "C-FIND"
    GET = "C-GET"
    MOVE = "C-MOVE"
    STORE = "C-STORE"


class WebService(StrEnum):
    """A DICOMweb service that a server supports (PS3.18 10)."""

    QIDO = "QIDO-RS"
    WADO = "WADO-RS"
    STOW = "STOW-RS"


@dataclass(frozen=True, slots=True)
class ConnectionProfile:
    """How to talk to a server. Times are in seconds, lengths in bytes."""

    connect_timeout: float = 10.0
    """For the TCP connection and for the association to be answered."""
    silence_timeout: float = 60.0
    """The longest time that the peer may send, or take, nothing while we wait for it."""
    max_pdu_length: int = 1 << 20
    """The longest P-DATA-TF that we accept (PS3.8 D.1). Peers send shorter ones if they like."""
    verify_attempts: int = 6
    """How often a destination is asked for what it was sent; archives may index with a delay."""
    verify_delay: float = 0.5
    """Before the second question; doubled before each further one."""
    tls: TlsSettings | None = None
    """For an encrypted connection (PS3.15 B.12); None for a plain one. Whether DICOMweb is encrypted
    says the URL of the node; without these settings, the usual authorities are trusted then."""
    credentials: Credentials | None = None
    """By which a DICOMweb server knows us; None if it asks for none."""
    proxy: str = field(default="", repr=False)
    """The URL of the HTTP proxy to a DICOMweb server, which may name a user and a password; empty for
    none, whatever the environment says."""
    busy_timeout: float = 30.0
    """How long to wait in all, for one request, when a DICOMweb server says when to come again."""
    parallel_uploads: int = 3
    """How many requests may bring instances of one study to a DICOMweb server at the same time.

    A server works on a request in one thread, and is the slower side when it stores.
    """


@dataclass(frozen=True, slots=True)
class ServerNode:
    """An archive that speaks DIMSE."""

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae_title: str = "ADIT"
    services: frozenset[Service] = frozenset({Service.FIND, Service.GET, Service.STORE})
    query_root: QueryRoot = QueryRoot.STUDY
    profile: ConnectionProfile = field(default_factory=ConnectionProfile)


@dataclass(frozen=True, slots=True)
class DicomWebNode:
    """An archive that speaks DICOMweb (PS3.18)."""

    name: str
    base_url: str
    """Of all services, such as ``https://pacs.example.org/dicom-web``."""
    qido_prefix: str = ""
    wado_prefix: str = ""
    stow_prefix: str = ""
    """What follows the base URL for one service, where these differ."""
    services: frozenset[WebService] = frozenset(WebService)
    profile: ConnectionProfile = field(default_factory=ConnectionProfile)


@dataclass(frozen=True, slots=True)
class FolderNode:
    """A folder that studies are written to, or read from."""

    name: str
    path: Path
    names: Names = field(default_factory=Names)
    """How what is written is named."""


class ArchiveFormat(StrEnum):
    """A kind of encrypted archive file."""

    SEVEN_ZIP = "7z"
    """AES-256 over contents and names."""
    ZIP = "zip"
    """AES-256 over contents (WinZip AE-2). Names can be read by everyone."""


@dataclass(frozen=True, slots=True)
class ArchiveNode:
    """A folder that studies are written to in encrypted archive files.

    ``archive`` is a template for the names of these files, without suffix: whatever gets the same name
    goes into the same archive. That may be a fixed text, for one archive of many studies.
    """

    name: str
    path: Path
    password: str = field(repr=False)
    format: ArchiveFormat = ArchiveFormat.SEVEN_ZIP
    archive: str = "{StudyInstanceUID}"
    names: Names = field(default_factory=lambda: Names(patient=""))
    """How what is in an archive is named."""
    volume_size: int = 4 << 30
    """Bytes from which on an archive is left as it is, and another one with a number is begun."""
    lock_timeout: float = 60.0
    """How long another process that adds to the same archive is waited for, in seconds."""

    def __post_init__(self) -> None:
        check_archive_name(self.archive)
        if not self.password:
            raise InvalidInput(InputProblem("An archive needs a password.", field="password"))


class SidecarContent(StrEnum):
    """What the JSON files beside NIfTI volumes tell."""

    TECHNICAL = "technical"
    """How the images were acquired, but no names, dates, UIDs or descriptions."""
    EVERYTHING = "everything"
    """Whatever dcm2niix finds, the patient's name included; never for what is pseudonymized."""


@dataclass(frozen=True, slots=True)
class NiftiNode:
    """A folder that series are written to as NIfTI volumes."""

    name: str
    path: Path
    names: Names = field(default_factory=Names)
    """How the folders are named; the template for instances is not used."""
    sidecars: SidecarContent = SidecarContent.TECHNICAL
    timeout: float = 600.0
    """How long the conversion of one series may take, in seconds."""


Node = ServerNode | DicomWebNode | FolderNode | ArchiveNode | NiftiNode
