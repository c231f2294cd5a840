"""`adit profiles …`: connection profiles, by which servers are spoken to."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.asked_secrets import asked_credentials, asked_proxy
from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.dicom import node as values
from adit_core.dicom.tls import TlsSettings
from adit_core.services.profiles import (
    ProfileView,
    add_profile,
    list_profiles,
    remove_profile,
    replace_profile,
)
from adit_core.terminal import cell, new_table, numbers

app = new_app("Connection profiles: timeouts, certificates for TLS, credentials for DICOMweb.")

_USUAL = values.ConnectionProfile()

Name = Annotated[str, typer.Argument(help="What users call the profile.")]

_FILE = {"metavar": "FILE", "exists": True, "dir_okay": False}


@app.command("add")
def add(
    ctx: typer.Context,
    name: Name,
    *,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt connections (BCP 195 profile).")] = False,
    ca: Annotated[
        Path | None,
        typer.Option(help="Certificates to trust, as PEM; by default those of the system.", **_FILE),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Our certificate with those that lead to its CA, as PEM.", **_FILE)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Its private key, as PEM without password.", **_FILE)
    ] = None,
    verify_host_name: Annotated[
        bool, typer.Option(help="Whether a server's certificate must name the host of the node.")
    ] = True,
    connect_timeout: Annotated[
        float, typer.Option(help="Seconds for a connection to be accepted.")
    ] = _USUAL.connect_timeout,
    silence_timeout: Annotated[
        float, typer.Option(help="Seconds that a server may be silent.")
    ] = _USUAL.silence_timeout,
    max_pdu_length: Annotated[
        int, typer.Option(help="Bytes of the longest PDU that is accepted.")
    ] = _USUAL.max_pdu_length,
    verify_attempts: Annotated[
        int, typer.Option(help="How often a destination is asked for what it was sent.")
    ] = _USUAL.verify_attempts,
    verify_delay: Annotated[
        float, typer.Option(help="Seconds before it is asked again; then doubled.")
    ] = _USUAL.verify_delay,
    basic: Annotated[
        str, typer.Option(metavar="USER", help="Tell DICOMweb servers this user and a password.")
    ] = "",
    bearer: Annotated[
        bool, typer.Option("--bearer", help="Tell DICOMweb servers a token that does not change.")
    ] = False,
    header: Annotated[
        str, typer.Option(metavar="NAME", help="Send DICOMweb servers a header, an API key for instance.")
    ] = "",
    client: Annotated[
        str, typer.Option(metavar="ID", help="Get tokens for DICOMweb servers by OAuth client credentials.")
    ] = "",
    token_url: Annotated[str, typer.Option(metavar="URL", help="Where these tokens come from.")] = "",
    scope: Annotated[str, typer.Option(help="What these tokens are asked for, if that must be said.")] = "",
    proxy: Annotated[
        str, typer.Option(metavar="URL", help="The HTTP proxy to DICOMweb servers: http://user@proxy:3128.")
    ] = "",
    busy_timeout: Annotated[
        float, typer.Option(help="Seconds in all that a busy DICOMweb server is waited for.")
    ] = _USUAL.busy_timeout,
    parallel_uploads: Annotated[
        int, typer.Option(help="How many requests bring one study to a DICOMweb server at the same time.")
    ] = _USUAL.parallel_uploads,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of the one that has the name, as a whole.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a connection profile; `adit nodes change NODE --profile NAME` assigns it.

    The secret of --basic, --bearer, --header or --client is asked for, unless it is in ADIT_WEB_SECRET, and
    so is the password of a proxy's user, unless it is in ADIT_PROXY_PASSWORD.
    """
    if not tls and (ca or certificate or key or not verify_host_name):
        raise typer.BadParameter("Certificates and host names are for TLS only.", param_hint="--tls")
    settings = TlsSettings(
        ca=_text(ca),
        certificate=_text(certificate),
        private_key=_text(key),
        verify_host_name=verify_host_name,
    )
    profile = values.ConnectionProfile(
        connect_timeout=connect_timeout,
        silence_timeout=silence_timeout,
        max_pdu_length=max_pdu_length,
        verify_attempts=verify_attempts,
        verify_delay=verify_delay,
        tls=settings if tls else None,
        credentials=asked_credentials(
            basic=basic, bearer=bearer, header=header, client=client, token_url=token_url, scope=scope
        ),
        proxy=asked_proxy(proxy),
        busy_timeout=busy_timeout,
        parallel_uploads=parallel_uploads,
    )
    with open_database() as db:
        keep = replace_profile if replace else add_profile
        row = keep(db, name, profile, actor=acting_user(ctx, db))
    present(ProfileView.of(row), _replaced if replace else _added, as_json=as_json)


@app.command()
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Remove a connection profile that no archive uses."""
    with open_database() as db:
        remove_profile(db, name, actor=acting_user(ctx, db))
    present(
        {"removed": name},
        lambda done: cell(f"Removed the connection profile {done['removed']}."),
        as_json=as_json,
    )


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the connection profiles."""
    with open_database() as db:
        present([ProfileView.of(row) for row in list_profiles(db)], _table, as_json=as_json)


def _text(path: Path | None) -> str:
    # What is no PEM is refused later on, in words; it may be DER, which is no text.
    return path.read_text(errors="replace") if path else ""


def _added(profile: ProfileView) -> RenderableType:
    return cell(f"Added the connection profile {profile.name}.")


def _replaced(profile: ProfileView) -> RenderableType:
    return cell(f"Replaced the connection profile {profile.name}.")


def _table(profiles: list[ProfileView]) -> RenderableType:
    if not profiles:
        return "There are no connection profiles yet: `adit profiles add --help`."
    table = new_table(
        "name",
        "TLS",
        "certificates until",
        "credentials",
        "proxy",
        numbers("connect"),
        numbers("silence"),
        numbers("longest PDU"),
    )
    for profile in profiles:
        table.add_row(
            cell(profile.name),
            cell(_security(profile)),
            cell(f"{profile.expires_at:%Y-%m-%d}" if profile.expires_at else ""),
            cell(profile.credentials),
            cell("yes" if profile.has_proxy else ""),
            cell(f"{profile.connect_timeout:g} s"),
            cell(f"{profile.silence_timeout:g} s"),
            cell(profile.max_pdu_length),
        )
    return table


def _security(profile: ProfileView) -> str:
    if not profile.tls:
        return "no"
    return "yes" if profile.verifies_host_name else "yes, any host name"
