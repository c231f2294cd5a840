"""Nodes, how to connect to them, and which groups may use them."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, words
from adit_core.db.secrets import Sealed, SealedSecret
from adit_core.dicom.node import QueryRoot, SidecarContent


class NodeKind(StrEnum):
    """What a node is."""

    SERVER = "server"
    WEB = "web"
    FOLDER = "folder"


class StorageForm(StrEnum):
    """What a folder holds."""

    FILES = "files"
    """DICOM files; such a folder can be a source, too."""
    SEVEN_ZIP = "7z"
    """Encrypted 7z archives."""
    ZIP = "zip"
    """Encrypted zip archives."""
    NIFTI = "nifti"
    """NIfTI volumes."""


class CredentialsKind(StrEnum):
    """How a DICOMweb server is told who we are; `adit_core.dicom.credentials` has what belongs to each."""

    BASIC = "basic"
    BEARER = "bearer"
    HEADER = "header"
    CLIENT = "client credentials"


class ConnectionProfile(Table, table=True):
    """Named settings of connections; `adit_core.dicom.node.ConnectionProfile` says what each means."""

    id: int = Field(default=None, primary_key=True)
    name: str = Field(max_length=64, unique=True)
    connect_timeout: float = 10.0
    silence_timeout: float = 60.0
    max_pdu_length: int = 1 << 20
    verify_attempts: int = 6
    verify_delay: float = 0.5
    tls: bool = False
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_private_key: Sealed | None = Field(default=None, sa_type=SealedSecret)
    tls_verify_host_name: bool = True
    credentials_kind: CredentialsKind | None = Field(default=None, sa_type=words(CredentialsKind))
    """What the next column holds: nobody needs a key to be told that much."""
    credentials: Sealed | None = Field(default=None, sa_type=SealedSecret)
    proxy: Sealed | None = Field(default=None, sa_type=SealedSecret)
    busy_timeout: float = 30.0
    parallel_uploads: int = 3


class DicomNode(Table, table=True):
    """An archive, by DIMSE or by DICOMweb, or a folder. Fields of the other kinds stay empty."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    kind: NodeKind = Field(sa_type=words(NodeKind))
    name: str = Field(max_length=64, unique=True)
    max_associations: int = 2
    """How many may use the node at the same time, of all that ADIT does: studies that are moved, searches."""
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Since when nobody may use it any more; its jobs go on naming it."""

    ae_title: str = Field(default="", max_length=16)
    host: str = Field(default="", max_length=255)
    port: int = 0
    calling_ae_title: str = Field(default="ADIT", max_length=16)
    query_root: QueryRoot = Field(default=QueryRoot.STUDY, sa_type=words(QueryRoot))
    supports_find: bool = True
    supports_get: bool = True
    supports_move: bool = False
    supports_store: bool = True
    allows_direct_move: bool = True
    """Whether it may be asked to send straight to destinations, and may be sent to by sources, by C-MOVE."""
    # A server that lost its profile would be spoken to by the usual settings, without TLS for instance.
    connection_profile_id: int | None = Field(
        default=None, foreign_key="connection_profile.id", ondelete="RESTRICT"
    )

    base_url: str = Field(default="", max_length=1024)
    qido_prefix: str = Field(default="", max_length=255)
    wado_prefix: str = Field(default="", max_length=255)
    stow_prefix: str = Field(default="", max_length=255)
    supports_qido: bool = True
    supports_wado: bool = True
    supports_stow: bool = True

    path: str = ""
    storage: StorageForm = Field(default=StorageForm.FILES, sa_type=words(StorageForm))
    # Templates of names (`adit_core.dicom.layout.Names`); what the form is used to, where there is none.
    patient_folder: str | None = None
    study_folder: str | None = None
    series_folder: str | None = None
    instance_file: str | None = None
    archive_name: str | None = None
    archive_password: Sealed | None = Field(default=None, sa_type=SealedSecret)
    sidecars: SidecarContent = Field(default=SidecarContent.TECHNICAL, sa_type=words(SidecarContent))


class NodeAccess(Table, table=True):
    """A group may use a node as source, as destination, or as both."""

    group_id: int = Field(foreign_key="group.id", primary_key=True, ondelete="CASCADE")
    node_id: int = Field(foreign_key="dicom_node.id", primary_key=True, ondelete="CASCADE")
    as_source: bool = False
    as_destination: bool = False
