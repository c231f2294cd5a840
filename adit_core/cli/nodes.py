"""`adit nodes …`: the archives and folders that studies move between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import typer
from rich.console import RenderableType

from adit_core.cli.asked_secrets import ARCHIVE_VARIABLE, asked_secret
from adit_core.cli.command import new_app
from adit_core.cli.node_policy import policy
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import DicomNode, NodeKind, StorageForm
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot, Service, SidecarContent, WebService
from adit_core.services.node_gate import closed_nodes
from adit_core.services.node_removal import Removal, remove_node, restore_node
from adit_core.services.node_settings import change_folder, change_server, change_web_server
from adit_core.services.nodes import (
    KINDS_IN_WORDS,
    add_folder,
    add_server,
    add_web_server,
    get_node,
    list_nodes,
    retired_nodes,
    services_of,
)
from adit_core.services.profiles import list_profiles
from adit_core.services.storage import ARCHIVES, Storage
from adit_core.services.web_nodes import web_services_of
from adit_core.terminal import cell, identifiers, new_table, numbers

app = new_app("Archives and folders that studies move between.")
_add = new_app("Add an archive or a folder.")
app.add_typer(_add, name="add")
app.command("policy")(policy)

S = TypeVar("S", Service, WebService)


Name = Annotated[str, typer.Argument(help="What users call the node.")]
Template = Annotated[
    str | None, typer.Option(help="How this level is named; an empty one leaves out patient or study.")
]
MaxAssociations = Annotated[
    int, typer.Option(help="How many studies may be moved from or to it at the same time.")
]

Profile = Annotated[
    str, typer.Option(help="A connection profile, for TLS, credentials or other timeouts than usual.")
]


@dataclass(frozen=True, slots=True)
class Node:
    """What is shown of a node; what only the other kind has is empty."""

    name: str
    kind: NodeKind
    max_associations: int
    ae_title: str = ""
    host: str = ""
    port: int | None = None
    calling_ae_title: str = ""
    query_root: QueryRoot | None = None
    services: tuple[Service | WebService, ...] = ()
    allows_direct_move: bool | None = None
    profile: str = ""
    url: str = ""
    path: str = ""
    storage: StorageForm | None = None
    closed: str = ""
    """Why it may not be used now; empty if it may."""

    @classmethod
    def of(cls, db: Database, row: DicomNode) -> "Node":
        """Return what is shown of a row."""
        return cls.all_of(db, [row])[0]

    @classmethod
    def all_of(cls, db: Database, rows: Sequence[DicomNode]) -> list["Node"]:
        """Return what is shown of rows."""
        profiles = {profile.id: profile.name for profile in list_profiles(db)}
        closed = closed_nodes(db)
        nodes = [cls._of(row, profiles.get(row.connection_profile_id or 0, "")) for row in rows]
        return [replace(node, closed=closed.get(node.name, "")) for node in nodes]

    @classmethod
    def _of(cls, row: DicomNode, profile: str) -> "Node":
        if row.kind is NodeKind.FOLDER:
            return cls(row.name, row.kind, row.max_associations, path=row.path, storage=row.storage)
        if row.kind is NodeKind.WEB:
            services = tuple(sorted(web_services_of(row)))
            return cls(
                row.name,
                row.kind,
                row.max_associations,
                services=services,
                profile=profile,
                url=row.base_url,
            )
        return cls(
            name=row.name,
            kind=row.kind,
            max_associations=row.max_associations,
            ae_title=row.ae_title,
            host=row.host,
            port=row.port,
            calling_ae_title=row.calling_ae_title,
            query_root=row.query_root,
            services=tuple(sorted(services_of(row))),
            allows_direct_move=row.allows_direct_move,
            profile=profile,
        )


@dataclass(frozen=True, slots=True)
class Echo:
    """An archive has answered a C-ECHO."""

    node: str
    seconds: float
    """From the request to the response, the association being there already."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a node."""

    node: str
    outcome: Removal


@_add.command("server")
def server(
    ctx: typer.Context,
    name: Name,
    *,
    ae_title: Annotated[str, typer.Option(help="What it calls itself.")],
    host: Annotated[str, typer.Option(help="A host name or an address.")],
    port: Annotated[int, typer.Option(help="Where it listens.")],
    calling_ae_title: Annotated[str, typer.Option(help="What ADIT calls itself to it.")] = "ADIT",
    find: Annotated[bool, typer.Option(help="Whether it supports C-FIND.")] = True,
    get: Annotated[bool, typer.Option(help="Whether it supports C-GET.")] = True,
    move: Annotated[bool, typer.Option(help="Whether it supports C-MOVE.")] = False,
    store: Annotated[bool, typer.Option(help="Whether it supports C-STORE.")] = True,
    patient_root: Annotated[
        bool, typer.Option("--patient-root", help="It knows the patient root information model only.")
    ] = False,
    max_associations: MaxAssociations = 2,
    profile: Profile = "",
    direct_move: Annotated[
        bool, typer.Option(help="Whether archives may send straight to each other, if it is one of them.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Add an archive that speaks DIMSE."""
    supported = {Service.FIND: find, Service.GET: get, Service.MOVE: move, Service.STORE: store}
    with open_database() as db:
        row = add_server(
            db,
            name,
            ae_title=ae_title,
            host=host,
            port=port,
            calling_ae_title=calling_ae_title,
            services=[service for service, yes in supported.items() if yes],
            query_root=QueryRoot.PATIENT if patient_root else QueryRoot.STUDY,
            max_associations=max_associations,
            connection_profile=profile,
            allows_direct_move=direct_move,
            actor=acting_user(ctx, db),
        )
        present(Node.of(db, row), _added, as_json=as_json)


@_add.command("web")
def web(
    ctx: typer.Context,
    name: Name,
    base_url: Annotated[str, typer.Argument(help="Of its services: https://pacs.example.org/dicom-web.")],
    *,
    qido: Annotated[bool, typer.Option(help="Whether it supports QIDO-RS.")] = True,
    wado: Annotated[bool, typer.Option(help="Whether it supports WADO-RS.")] = True,
    stow: Annotated[bool, typer.Option(help="Whether it supports STOW-RS.")] = True,
    qido_prefix: Annotated[str, typer.Option(help="What follows the URL for QIDO-RS.")] = "",
    wado_prefix: Annotated[str, typer.Option(help="What follows the URL for WADO-RS.")] = "",
    stow_prefix: Annotated[str, typer.Option(help="What follows the URL for STOW-RS.")] = "",
    max_associations: MaxAssociations = 2,
    profile: Profile = "",
    as_json: AsJson = False,
) -> None:
    """Add an archive that speaks DICOMweb."""
    supported = {WebService.QIDO: qido, WebService.WADO: wado, WebService.STOW: stow}
    prefixes = {WebService.QIDO: qido_prefix, WebService.WADO: wado_prefix, WebService.STOW: stow_prefix}
    with open_database() as db:
        row = add_web_server(
            db,
            name,
            base_url=base_url,
            prefixes=prefixes,
            services=[service for service, yes in supported.items() if yes],
            max_associations=max_associations,
            connection_profile=profile,
            actor=acting_user(ctx, db),
        )
        present(Node.of(db, row), _added, as_json=as_json)


@_add.command("folder")
def folder(
    ctx: typer.Context,
    name: Name,
    path: Annotated[str, typer.Argument(help="An absolute path that the workers can write to.")],
    *,
    holds: Annotated[
        StorageForm, typer.Option("--as", help="How it keeps studies; only files can be read again.")
    ] = StorageForm.FILES,
    patient: Template = None,
    study: Template = None,
    series: Template = None,
    instance: Template = None,
    archive: Annotated[
        str | None, typer.Option(help="How archive files are named; a fixed text for one of all studies.")
    ] = None,
    full_sidecars: Annotated[
        bool, typer.Option("--full-sidecars", help="Let files beside NIfTI volumes name the patient.")
    ] = False,
    max_associations: MaxAssociations = 2,
    as_json: AsJson = False,
) -> None:
    """Add a folder, which studies can be transferred to, and from if it holds files.

    The password of archive files is asked for, unless it is in ADIT_ARCHIVE_PASSWORD. Names are templates
    with attributes in braces, such as '{StudyDate} {StudyDescription}' or '{SeriesNumber:03}_{Modality}'.
    """
    storage = Storage(
        form=holds,
        patient=patient,
        study=study,
        series=series,
        instance=instance,
        archive=archive,
        password=asked_secret(ARCHIVE_VARIABLE, "Password", is_new=True) if holds in ARCHIVES else "",
        sidecars=SidecarContent.EVERYTHING if full_sidecars else SidecarContent.TECHNICAL,
    )
    with open_database() as db:
        row = add_folder(
            db,
            name,
            path=path,
            storage=storage,
            max_associations=max_associations,
            actor=acting_user(ctx, db),
        )
        present(Node.of(db, row), _added, as_json=as_json)


@app.command()
def change(
    ctx: typer.Context,
    name: Name,
    *,
    ae_title: Annotated[str | None, typer.Option(help="What it calls itself.")] = None,
    host: Annotated[str | None, typer.Option(help="A host name or an address.")] = None,
    port: Annotated[int | None, typer.Option(help="Where it listens.")] = None,
    calling_ae_title: Annotated[str | None, typer.Option(help="What ADIT calls itself to it.")] = None,
    url: Annotated[str | None, typer.Option(help="Of a DICOMweb server: where it is.")] = None,
    path: Annotated[str | None, typer.Option(help="Of a folder: where it is.")] = None,
    find: Annotated[bool | None, typer.Option(help="Whether it supports C-FIND.")] = None,
    get: Annotated[bool | None, typer.Option(help="Whether it supports C-GET.")] = None,
    move: Annotated[bool | None, typer.Option(help="Whether it supports C-MOVE.")] = None,
    store: Annotated[bool | None, typer.Option(help="Whether it supports C-STORE.")] = None,
    root: Annotated[QueryRoot | None, typer.Option(help="The information model that it is asked in.")] = None,
    qido: Annotated[bool | None, typer.Option(help="Whether it supports QIDO-RS.")] = None,
    wado: Annotated[bool | None, typer.Option(help="Whether it supports WADO-RS.")] = None,
    stow: Annotated[bool | None, typer.Option(help="Whether it supports STOW-RS.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="A connection profile; empty for the usual settings.")
    ] = None,
    direct_move: Annotated[
        bool | None,
        typer.Option(help="Whether archives may send straight to each other, if it is one of them."),
    ] = None,
    max_associations: Annotated[
        int | None, typer.Option(help="How many studies may be moved from or to it at the same time.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change where a node is and how it is spoken to; what is not given stays as it is."""
    services = {Service.FIND: find, Service.GET: get, Service.MOVE: move, Service.STORE: store}
    web_services = {WebService.QIDO: qido, WebService.WADO: wado, WebService.STOW: stow}
    of_servers = (ae_title, host, port, calling_ae_title, root, direct_move, *services.values())
    of_web_servers = (url, *web_services.values())
    with open_database() as db:
        before = get_node(db, name)
        actor = acting_user(ctx, db)
        if before.kind is NodeKind.FOLDER:
            _refuse_options_of_others(before, profile, *of_servers, *of_web_servers)
            row = change_folder(db, name, path=path, max_associations=max_associations, actor=actor)
        elif before.kind is NodeKind.WEB:
            _refuse_options_of_others(before, path, *of_servers)
            row = change_web_server(
                db,
                name,
                base_url=url,
                services=_as_said(web_services, web_services_of(before)),
                max_associations=max_associations,
                connection_profile=profile,
                actor=actor,
            )
        else:
            _refuse_options_of_others(before, path, *of_web_servers)
            row = change_server(
                db,
                name,
                ae_title=ae_title,
                host=host,
                port=port,
                calling_ae_title=calling_ae_title,
                services=_as_said(services, services_of(before)),
                query_root=root,
                max_associations=max_associations,
                allows_direct_move=direct_move,
                connection_profile=profile,
                actor=actor,
            )
        present(Node.of(db, row), _changed, as_json=as_json)


@app.command("list")
def list_all(
    retired: Annotated[bool, typer.Option("--retired", help="List those that are retired instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the nodes."""
    with open_database() as db:
        present(Node.all_of(db, (retired_nodes if retired else list_nodes)(db)), _table, as_json=as_json)


@app.command()
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a node; one that jobs refer to is retired instead: nobody uses it, but its jobs name it."""
    with open_database() as db:
        removed = Removed(name, remove_node(db, name, actor=acting_user(ctx, db)))
    present(removed, _removed, as_json=as_json)


@app.command()
def restore(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Let a retired node be used again, as it was."""
    with open_database() as db:
        row = restore_node(db, name, actor=acting_user(ctx, db))
        present(Node.of(db, row), lambda node: cell(f"{node.name} can be used again."), as_json=as_json)


@app.command()
def echo(name: Name, as_json: AsJson = False) -> None:
    """Verify that an archive answers (C-ECHO), and how fast. Exit status 1 if it does not.

    If it was paused after failures, its answer ends the pause.
    """
    from adit_core.services.node_check import echo_node  # noqa: PLC0415 - slow to import, and only needed here

    with open_database() as db:
        answer = Echo(name, echo_node(db, name))
    present(
        answer,
        lambda echo: cell(f"{echo.node} answered after {echo.seconds * 1000:.1f} ms."),
        as_json=as_json,
    )


@app.command()
def check(
    name: Name,
    *,
    move_destination: Annotated[
        str,
        typer.Option(
            metavar="AE_TITLE",
            help="Where a C-MOVE would go to; by default what we call ourselves.",
            show_default=False,
        ),
    ] = "",
    web_url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="The base of DICOMweb services that an archive has besides DIMSE.",
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Find out what a node really supports, and what of that differs from its configuration.

    Archives are asked for each service; of folders it is found out whether they can be read and written on
    this machine. Nothing is stored, sent or changed.

    Exit status 1 if jobs would fail because of a difference.
    """
    from adit_core.cli.node_check import shown  # noqa: PLC0415 - slow to import, and only needed here
    from adit_core.services.node_check import check_node  # noqa: PLC0415 - as above

    with open_database() as db:
        found = check_node(db, name, move_destination=move_destination, web_url=web_url)
    present(found, shown, as_json=as_json)
    if not found.is_good:
        raise typer.Exit(1)


def _as_said(said: Mapping[S, bool | None], before: frozenset[S]) -> list[S]:
    """Return the services of which it was said that they are supported, or nothing was said and they were."""
    return [service for service, yes in said.items() if (service in before if yes is None else yes)]


def _refuse_options_of_others(row: DicomNode, *options: object) -> None:
    if any(option is not None for option in options):
        raise typer.BadParameter(
            f"{row.name} is {KINDS_IN_WORDS[row.kind]}; some of these options are of others."
        )


def _added(node: Node) -> RenderableType:
    return cell(f"Added the {node.kind.value} {node.name}.")


def _removed(removed: Removed) -> RenderableType:
    if removed.outcome is Removal.DELETED:
        return cell(f"Deleted {removed.node}.")
    return cell(f"Retired {removed.node}: its jobs name it. `adit nodes restore` brings it back.")


def _kind_in_words(node: Node) -> str:
    return f"{node.kind.value} ({node.storage.value})" if node.storage else node.kind.value


def _changed(node: Node) -> RenderableType:
    return cell(f"Changed the {node.kind.value} {node.name}.")


def _table(nodes: list[Node]) -> RenderableType:
    if not nodes:
        return "There are no nodes yet: `adit nodes add --help`."
    table = new_table(
        "name",
        "kind",
        "AE title",
        "address or path",
        "calls it",
        identifiers("services"),
        "root",
        "profile",
        numbers("limit"),
        "closed",
    )
    for node in nodes:
        table.add_row(
            cell(node.name),
            cell(_kind_in_words(node)),
            cell(node.ae_title),
            cell(node.path or node.url or f"{node.host}:{node.port}"),
            cell(node.calling_ae_title),
            cell(" ".join(node.services)),
            cell(node.query_root),
            cell(node.profile),
            cell(node.max_associations),
            cell(node.closed),
        )
    return table
