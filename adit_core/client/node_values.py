"""Nodes with all their settings, their policies and their connection profiles, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adit_core.client.reading import MOMENT, TUPLE


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """A node with its settings; what only nodes of another kind have is empty."""

    name: str
    kind: str
    max_associations: int
    services: tuple[str, ...] = field(default=(), **TUPLE)
    ae_title: str = ""
    calling_ae_title: str = ""
    host: str = ""
    port: int | None = None
    query_root: str | None = None
    allows_direct_move: bool | None = None
    base_url: str = ""
    prefixes: Mapping[str, str] = field(default_factory=dict)
    """What follows the base URL for a service, where that is so."""
    path: str = ""
    storage: str | None = None
    connection_profile: str = ""
    closed: str = ""
    """Why it may not be used now; empty if it may."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of those who use a node."""

    node: str
    open: str
    """When it may be used, in words."""
    outside: str
    """What becomes of studies that are on their way when a window ends."""
    instances_per_second: float | None = None
    find_limit: int | None = None
    min_free_bytes: int | None = None
    """Of a folder: what stays free on its disk; None for what is usual."""
    quota_bytes: int | None = None
    """Of a folder: how much it may hold; None for any amount."""
    closed: str = ""
    """Why it may not be used now; empty if it may."""


@dataclass(frozen=True, slots=True)
class ConnectionProfile:
    """How to talk to a server; of secrets, only that and of which kind they are."""

    name: str
    connect_timeout: float
    silence_timeout: float
    max_pdu_length: int
    verify_attempts: int
    verify_delay: float
    busy_timeout: float
    parallel_uploads: int
    credentials: str | None = None
    """The kind of what DICOMweb servers are told."""
    has_proxy: bool = False
    tls: bool = False
    verifies_host_name: bool = True
    has_ca: bool = False
    has_certificate: bool = False
    expires_at: datetime | None = field(default=None, **MOMENT)
    """When the first of its certificates expires."""
