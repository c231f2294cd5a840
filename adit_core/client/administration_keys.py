"""What administration can be told, by name. Of changes, what is left out stays as it is."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict

Service: TypeAlias = Literal["C-FIND", "C-GET", "C-MOVE", "C-STORE"]
"""What an archive that speaks DIMSE supports as a provider."""
WebService: TypeAlias = Literal["QIDO-RS", "WADO-RS", "STOW-RS"]
"""What an archive that is reached by DICOMweb supports."""


class _UserSettings(TypedDict, total=False):
    full_name: str
    email: str
    is_staff: bool
    needs_approval: bool
    """Whether staff have to approve the jobs."""
    notify_by_email: bool


class NewUserSettings(_UserSettings, total=False):
    """What is said of a new account."""

    must_change_password: bool
    """Whether the user can do nothing before choosing another password."""


class UserChanges(_UserSettings, total=False):
    """What is to become of an account."""

    is_active: bool


class _ServerSettings(TypedDict, total=False):
    max_associations: int
    """How many studies may be moved from or to it at the same time."""
    connection_profile: str
    """The name of one; empty for the usual settings."""


class DimseSettings(_ServerSettings, total=False):
    """What is said of an archive that speaks DIMSE, besides its address."""

    calling_ae_title: str
    services: Sequence[Service]
    query_root: Literal["STUDY", "PATIENT"]
    """The information model that it is asked in."""
    allows_direct_move: bool


class ServerChanges(DimseSettings, total=False):
    """What is to become of an archive that speaks DIMSE."""

    ae_title: str
    host: str
    port: int


class WebSettings(_ServerSettings, total=False):
    """What is said of an archive that is reached by DICOMweb, besides its address."""

    prefixes: Mapping[WebService, str]
    """What follows the base URL for a service, where that is so."""
    services: Sequence[WebService]


class WebServerChanges(WebSettings, total=False):
    """What is to become of an archive that is reached by DICOMweb."""

    base_url: str


class FolderStorage(TypedDict, total=False):
    """How a folder keeps what is transferred to it. A template that is None is what the form is used to."""

    form: Literal["files", "7z", "zip", "nifti"]
    patient: str | None
    study: str | None
    series: str | None
    instance: str | None
    archive: str | None
    password: str
    """Of archive files, which must have one; when it changes, an empty one leaves what there is."""
    sidecars: Literal["technical", "everything"]


class FolderSettings(TypedDict, total=False):
    """What is said of a folder, besides its path."""

    storage: FolderStorage
    max_associations: int


class FolderChanges(FolderSettings, total=False):
    """What is to become of a folder."""

    path: str


class PolicyChanges(TypedDict, total=False):
    """What is to be asked of those who use a node."""

    instances_per_second: float
    """0 for any number."""
    windows: Sequence[str]
    """When it may be used, such as ``Mon-Fri 20:00-06:00``; none for always."""
    time_zone: str
    outside: Literal["stop", "finish"]
    """What becomes of studies that are on their way when a window ends."""
    find_limit: int
    """0 if that is not known."""
    min_free_bytes: int
    """Of a folder: 0 for what is usual."""
    quota_bytes: int
    """Of a folder: 0 for any amount."""


class Tls(TypedDict, total=False):
    """How connections are encrypted; certificates and keys as PEM."""

    ca: str
    """Whom to trust; empty for those whom the system trusts."""
    certificate: str
    private_key: str
    verify_host_name: bool


class BasicCredentials(TypedDict):
    """A user name and a password."""

    kind: Literal["basic"]
    username: str
    password: str


class BearerToken(TypedDict):
    """A token that does not change."""

    kind: Literal["bearer"]
    token: str


class HeaderCredentials(TypedDict):
    """A header, an API key for instance."""

    kind: Literal["header"]
    name: str
    value: str


class _ClientCredentials(TypedDict):
    kind: Literal["client"]
    token_url: str
    client_id: str
    client_secret: str


class ClientCredentials(_ClientCredentials, total=False):
    """OAuth 2.0 client credentials, by which tokens are got."""

    scope: str


class ProfileSettings(TypedDict, total=False):
    """How to talk to a server; what is left out is as usual. Times are in seconds, lengths in bytes."""

    connect_timeout: float
    silence_timeout: float
    max_pdu_length: int
    verify_attempts: int
    verify_delay: float
    busy_timeout: float
    parallel_uploads: int
    tls: Tls
    """Without, connections by DIMSE are plain."""
    credentials: BasicCredentials | BearerToken | HeaderCredentials | ClientCredentials
    """What DICOMweb servers are told."""
    proxy: str
    """The URL of the HTTP proxy to DICOMweb servers, with user and password if it needs them."""
