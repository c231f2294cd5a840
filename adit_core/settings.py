"""Settings, read from the environment (prefix ``ADIT_``) once by each entry point.

Only entry points read them (the command line, the web application, flows); what lies below is given
what it needs. Secrets may lie in files instead: see `adit_core/secret_files.py`.
"""

import os
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from adit_core.errors import InputProblem, InvalidInput
from adit_core.secret_files import adopt_secrets_of_prefect, secrets_folder

STACK_ENVIRONMENT = "stack.env"
"""The file in the data directory that tells clients where the processes of this machine listen."""
_Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)
]
"""One name, or a list of them."""

_SHORTEST_TOKEN = 16
_NOT_ASKED = "default_factory_not_called"
"""How pydantic calls a default that depends on others, where one of these is wrong: nobody's mistake."""
_OWN_MACHINE = ("http://localhost", "http://127.0.0.1", "http://[::1]")


class Settings(BaseSettings):
    """Every setting, with a default that lets one machine work at once."""

    model_config = SettingsConfigDict(env_prefix="ADIT_", frozen=True, extra="ignore")

    data_dir: Path = Field(default_factory=lambda: user_data_path("adit"))
    """Where the embedded database and Prefect's files lie."""
    database_url: SecretStr | None = None
    """`postgresql+psycopg://…`; without it, SQLite in `data_dir`."""
    database_password: SecretStr | None = None
    """The password for it, if it is not in the URL."""
    production: bool = False
    """Refuse to start with what is meant for trying ADIT: without a database server, keys or passwords."""
    secret_keys: SecretStr | None = None
    """The keys that secrets in the database are sealed with, separated by commas: the first one seals,
    each of them opens. The same on all machines; `adit secrets new-key` makes one. Without it, a key
    file in `data_dir` seals, which is enough for one machine; if that is there, it opens in any case."""

    task_timeout: float = 20 * 60
    """Seconds after which the transfer of one study is ended by force."""
    task_attempts: int = 3
    """How often a study is tried before it is given up."""
    retry_delay: float = 5
    """Seconds before the second attempt; doubled before each further one, with jitter."""
    claim_lease: float = 30
    """Seconds that a claim on a task lasts unless it is renewed; a dead worker is noticed after it. The same
    for all processes."""
    reconcile_interval: float = 15
    """Seconds between two looks of the reconciler for what crashes left behind."""
    studies_in_flight: int = 4
    """How many studies of one job are moved at the same time; nodes may allow fewer."""

    web_url: str = "http://127.0.0.1:8000"
    """Where users reach the dashboard."""
    prefect_ui_url: str = "http://127.0.0.1:4200"
    """Where operators reach Prefect's UI."""
    session_idle: float = 60 * 60
    """Seconds without activity after which a browser is signed out."""
    session_length: float = 12 * 60 * 60
    """Seconds after which a browser is signed out in any case."""
    web_certificate: str = ""
    """A file with the certificate of the dashboard and the API, and those between it and its authority; with
    it, they speak TLS only. It is read at the start."""
    web_key: str = ""
    """A file with its private key, without a passphrase; not needed if that is in the same file."""
    secure_cookies: bool = Field(
        default_factory=lambda told: _is_behind_tls(told["web_certificate"], told["web_url"])
    )
    """Let browsers reach ADIT over TLS only: cookies with the `__Host-` prefix, and a header by which they
    remember (HSTS). The usual thing with a certificate, and where `web_url` begins with https."""

    oidc_issuer: str = ""
    """The OpenID provider by which users sign in, by its name: `https://…`. Without it, there is none.
    All about it is in docs/oidc.md."""
    oidc_client_id: str = Field(default="", validate_default=True)
    """What the provider knows this ADIT as."""
    oidc_client_secret: SecretStr | None = None
    """What ADIT proves that with. Without it and the file, it is a public client."""
    oidc_client_secret_file: Path | None = None
    """A file with the secret instead."""
    oidc_scopes: str = "openid profile email"
    """What the provider is asked to tell of users."""
    oidc_name: str = Field(default="your organisation", min_length=1, max_length=60)
    """What the button says: Sign in with …"""
    oidc_username_claim: str = "preferred_username"
    """Where the provider tells the user name; what it does not tell is taken from the e-mail address."""
    oidc_groups_claim: str = "groups"
    """Where it tells groups; a dot leads into a part: `realm_access.roles`."""
    oidc_groups: dict[str, _Names] = Field(default_factory=dict)
    """As JSON: which groups of ADIT the members of a group of the provider are in."""
    oidc_staff_groups: _Names = ()
    """As a JSON list: the provider's groups whose members are staff. Without it, staff are made by hand."""
    oidc_allowed_groups: _Names = ()
    """As a JSON list: the provider's groups whose members may sign in. Without it, all users may."""
    oidc_create_users: bool = True
    """Whether those who have no account yet get one when they first sign in."""
    oidc_ca_file: str = ""
    """The certificates that the provider is checked by; without it, those of the system."""
    local_sign_in: Literal["everybody", "staff"] = Field(default="everybody", validate_default=True)
    """Who may sign in with a password. Members of staff may always, or nobody could mend anything."""

    api_calls_per_minute: int = Field(default=6000, ge=1)
    """How often the API may be called with one token, or in one session of the dashboard."""

    uploads: Path | None = None
    """Where uploaded files lie until they have been transferred; without it, `uploads` in `data_dir`. Workers
    on other machines have to find them under the same path."""
    upload_max_bytes: int = 20 << 30
    """How much may be uploaded at once."""
    upload_max_files: int = 100_000
    """How many files may be uploaded at once."""
    upload_keep: float = 7 * 24 * 60 * 60
    """Seconds after which uploads are removed that were not transferred completely."""

    uploads_min_free_bytes: int | None = Field(default=None, ge=0)
    """What stays free on the disk of uploads; below, no more are taken. Without it, 2 GiB, or 5 % of a disk
    that is smaller than 40 GiB."""

    backups: Path | None = None
    """Where backups of the database are written; without it, `backups` in `data_dir`. Take another disk."""
    backups_kept: int = Field(default=14, ge=1)
    """How many backups are kept; the oldest are deleted first."""
    backups_min_free_bytes: int | None = Field(default=None, ge=0)
    """What stays free on the disk of backups; below, none is written. Without it, as for uploads."""
    jobs_kept_days: float | None = Field(default=None, gt=0)
    """Days after which a job that has ended is deleted; without it, never. The audit trail stays."""
    studies_kept_days: float = Field(default=30, gt=0)
    """Days after which it is forgotten what an archive told of a study."""
    tokens_kept_days: float = Field(default=90, ge=0)
    """Days after which tokens are deleted that have expired or were revoked."""

    receiver_ae_title: str = "ADIT"
    """The receiver's AE title, which archives have to know as a move destination."""
    receiver_bind: str = "127.0.0.1"
    """The address that the receiver's DICOM port listens on; archives have to reach it."""
    receiver_port: int = 11112
    """The receiver's DICOM port."""
    receiver_calling_ae_titles: tuple[str, ...] = ()
    """As a JSON list: who may send. Without it, the archives that are nodes and support C-MOVE."""
    receiver_max_associations: int = 32
    """How many associations the receiver serves at the same time."""
    receiver_idle_timeout: float = 5 * 60
    """Seconds after which it aborts an association on which nothing happens."""
    receiver_profile: str = ""
    """The connection profile by which it is spoken to, with its certificate for TLS; else the usual one."""
    receiver_spool: Path | None = None
    """Where received instances lie until a worker has taken them; without it, `spool` in `data_dir`."""
    receiver_min_free_bytes: int = 2 << 30
    """Of the spool's disk; below, instances are refused (status A700)."""
    receiver_claim_age: float = 60 * 60
    """Seconds after which an instance that nobody has claimed is moved to the spool's quarantine."""
    receiver_quarantine_age: float = 7 * 24 * 60 * 60
    """Seconds after which it is deleted there."""
    receiver_quarantine_files: int = 10_000
    """How many instances lie in the quarantine at most; the oldest are deleted first."""
    receiver_token: SecretStr | None = None
    """Shared by receivers and workers: who has it may take what was received."""
    receiver_url: str = "http://127.0.0.1:14638"
    """Where workers find the hand-over of their receiver."""
    receiver_ca_file: str = ""
    """The certificates that workers trust if that URL says https; without it, those of the system."""
    handover_bind: str = "127.0.0.1"
    """The address that the receiver's hand-over listens on; workers have to reach it."""
    handover_port: int = 14638
    """The port of the hand-over."""
    handover_certificate: str = ""
    """A file with the certificate of the hand-over; with it, it speaks TLS."""
    handover_key: str = ""
    """A file with its private key."""

    smtp_host: str = ""
    """The mail server that takes messages about ends of jobs; without it, no e-mails are sent."""
    smtp_port: int = 587
    """Its port."""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection to it is protected."""
    smtp_sender: str = ""
    """The address that e-mails come from."""
    smtp_username: str = ""
    """Who signs in to it; without it, nobody does."""
    smtp_password: SecretStr | None = None
    """The password for that."""
    webhook_url: SecretStr | None = None
    """Is told of the end of every job by a signed POST; without it, nobody is."""
    webhook_secret: SecretStr | None = None
    """Shared with the receiver of the webhook, who checks signatures with it."""
    notification_ca_file: str = ""
    """The certificates that mail server and webhook are checked by; without it, those of the system."""

    @field_validator("oidc_issuer")
    @classmethod
    def _require_tls(cls, issuer: str) -> str:
        address = urlsplit(issuer)
        is_local = address.hostname in ("localhost", "127.0.0.1", "::1")
        if issuer and not (address.hostname and address.scheme in ("https", *(["http"] if is_local else []))):
            raise ValueError("The provider's name must begin with https://, as it is in its documentation")
        return issuer

    @field_validator("oidc_client_id")
    @classmethod
    def _require_client(cls, client_id: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_issuer") and not client_id:
            raise ValueError("Set it: ADIT_OIDC_ISSUER is set")
        return client_id

    @field_validator("oidc_scopes")
    @classmethod
    def _require_openid(cls, scopes: str) -> str:
        if "openid" not in scopes.split():
            raise ValueError("Add the scope openid")
        return scopes

    @field_validator("local_sign_in")
    @classmethod
    def _require_another_way(cls, who: str, info: ValidationInfo) -> str:
        if who != "everybody" and not info.data.get("oidc_issuer"):
            raise ValueError("Set ADIT_OIDC_ISSUER first, or nobody but staff can sign in")
        return who

    def resolved_oidc_client_secret(self) -> str | None:
        """Return the secret of the client, None for a public one.

        Raises:
            InvalidInput: The file cannot be read, or is empty.
        """
        if self.oidc_client_secret_file is None:
            return self.oidc_client_secret.get_secret_value() if self.oidc_client_secret else None
        try:
            secret = self.oidc_client_secret_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"{self.oidc_client_secret_file} cannot be read ({type(error).__name__})."
            raise InvalidInput(InputProblem(problem, field="ADIT_OIDC_CLIENT_SECRET_FILE")) from error
        if not secret:
            problem = f"{self.oidc_client_secret_file} is empty."
            raise InvalidInput(InputProblem(problem, field="ADIT_OIDC_CLIENT_SECRET_FILE"))
        return secret

    def resolved_uploads(self) -> Path:
        """Return the folder of uploads."""
        return self.uploads or self.data_dir / "uploads"

    def resolved_backups(self) -> Path:
        """Return the folder of backups."""
        return self.backups or self.data_dir / "backups"

    def resolved_receiver_spool(self) -> Path:
        """Return the folder of the spool."""
        return self.receiver_spool or self.data_dir / "spool"

    def resolved_database_url(self) -> str:
        """Return the URL of the database, the embedded one if none is set."""
        if self.database_url is None:
            return embedded_database_url(self.data_dir)
        url = self.database_url.get_secret_value()
        if self.database_password is None:
            return url
        password = self.database_password.get_secret_value()
        from sqlalchemy.engine import make_url  # noqa: PLC0415 - slow to import, and seldom needed

        return make_url(url).set(password=password).render_as_string(hide_password=False)

    def resolved_secret_keys(self) -> tuple[str, ...]:
        """Return the keys that are set, none if only the key file is to be used."""
        given = self.secret_keys.get_secret_value() if self.secret_keys else ""
        return tuple(given.replace(",", " ").split())

    @property
    def secret_key_file(self) -> Path:
        """The key file, which is made when it is first needed."""
        return self.data_dir / "secret.key"


def embedded_database_url(data_dir: Path) -> str:
    """Return the URL of the SQLite database in `data_dir`."""
    return f"sqlite:///{data_dir / 'adit.sqlite'}"


@cache
def get_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        InvalidInput: The environment has malformed ones; names them all, but shows no value.
    """
    return read_settings(Settings)


def read_settings(kind: type[Settings]) -> Settings:
    """Read settings from the environment as it is now; raises what `get_settings` raises."""
    try:
        settings = kind(_secrets_dir=secrets_folder())  # pyright: ignore[reportCallIssue] - pydantic's own
    except OSError as error:
        raise InvalidInput(InputProblem(f"A secret cannot be read: {error}.")) from None
    except ValidationError as error:
        # Without its cause, whose text shows the values: there are passwords among them.
        told = [each for each in error.errors(include_input=False) if each["type"] != _NOT_ASKED]
        raise InvalidInput(*map(_problem, told)) from None
    except SettingsError as error:
        raise InvalidInput(InputProblem(f"{error}: it must be JSON.")) from None
    if settings.production and (problems := list(_unfit_for_production(settings))):
        raise InvalidInput(*problems)
    return settings


def _is_behind_tls(certificate: str, url: str) -> bool:
    """Tell whether browsers reach ADIT over TLS."""
    return bool(certificate) or url.startswith("https:")


def _unfit_for_production(settings: Settings) -> Iterator[InputProblem]:
    """Yield what would let strangers in, or lose something, where more than one person relies on ADIT."""
    if not (settings.database_url and settings.database_url.get_secret_value().startswith("postgresql")):
        yield InputProblem("ADIT_PRODUCTION wants a PostgreSQL server.", field="ADIT_DATABASE_URL")
    if not settings.resolved_secret_keys():
        yield InputProblem(
            "Set the keys that seal secrets; `adit secrets new-key` makes one.", field="ADIT_SECRET_KEYS"
        )
    token = settings.receiver_token.get_secret_value() if settings.receiver_token else ""
    if len(token) < _SHORTEST_TOKEN:
        yield InputProblem(
            f"Set at least {_SHORTEST_TOKEN} characters: whoever has it gets all received images.",
            field="ADIT_RECEIVER_TOKEN",
        )
    if not os.environ.get("PREFECT_API_AUTH_STRING"):
        yield InputProblem(
            "Set USER:PASSWORD: without it, anybody who reaches Prefect can start and end jobs.",
            field="PREFECT_API_AUTH_STRING",
        )
    if not settings.secure_cookies and not settings.web_url.startswith(_OWN_MACHINE):
        yield InputProblem(
            "Passwords would cross the network as clear text: give an https address, and a certificate "
            "(ADIT_WEB_CERTIFICATE) or a reverse proxy that has one.",
            field="ADIT_WEB_URL",
        )


def _problem(error: ErrorDetails) -> InputProblem:
    name = "_".join(map(str, error["loc"])).upper()
    return InputProblem(f"{error['msg'].removeprefix('Value error, ')}.", field=f"ADIT_{name}")


def adopt_stack_environment() -> None:
    """Take over what `make up` left in the data directory, for variables that are not set.

    For clients on the same machine (command line, notebooks); call it before `get_settings`, whose
    errors it raises.
    """
    adopt_secrets_of_prefect()
    path = read_settings(Settings).data_dir / STACK_ENVIRONMENT
    if not path.is_file():
        return
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        os.environ.setdefault(name, "".join(shlex.split(value)))
