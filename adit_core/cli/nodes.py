"""`adit nodes …`: the archives and folders that studies move between."""

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import DicomNode, NodeKind
from adit_core.db.engine import Database
from adit_core.dicom.node import FolderNode, QueryRoot, Service
from adit_core.errors import ActionNotPossible
from adit_core.services.nodes import add_folder, add_server, get_node, list_nodes, node_value
from adit_core.terminal import cell, identifiers, new_table, numbers

app = new_app("Archives and folders that studies move between.")
_add = new_app("Add an archive or a folder.")
app.add_typer(_add, name="add")

Name = Annotated[str, typer.Argument(help="What users call the node.")]
MaxAssociations = Annotated[
    int, typer.Option(help="How many studies may be moved from or to it at the same time.")
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
    services: tuple[Service, ...] = ()
    allows_direct_move: bool | None = None
    path: str = ""

    @classmethod
    def of(cls, db: Database, row: DicomNode) -> "Node":
        """Return what is shown of a row."""
        value = node_value(db, row)
        if isinstance(value, FolderNode):
            return cls(row.name, row.kind, row.max_associations, path=str(value.path))
        return cls(
            name=row.name,
            kind=row.kind,
            max_associations=row.max_associations,
            ae_title=value.ae_title,
            host=value.host,
            port=value.port,
            calling_ae_title=value.calling_ae_title,
            query_root=value.query_root,
            services=tuple(sorted(value.services)),
            allows_direct_move=row.allows_direct_move,
        )


@dataclass(frozen=True, slots=True)
class Echo:
    """An archive has answered a C-ECHO."""

    node: str
    seconds: float
    """From the request to the response, the association being there already."""


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
            allows_direct_move=direct_move,
            actor=acting_user(ctx, db),
        )
        present(Node.of(db, row), _added, as_json=as_json)


@_add.command("folder")
def folder(
    ctx: typer.Context,
    name: Name,
    path: Annotated[str, typer.Argument(help="An absolute path that the workers can write to.")],
    max_associations: MaxAssociations = 2,
    as_json: AsJson = False,
) -> None:
    """Add a folder, which studies can be transferred to."""
    with open_database() as db:
        row = add_folder(db, name, path=path, max_associations=max_associations, actor=acting_user(ctx, db))
        present(Node.of(db, row), _added, as_json=as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the nodes."""
    with open_database() as db:
        present([Node.of(db, row) for row in list_nodes(db)], _table, as_json=as_json)


@app.command()
def echo(name: Name, as_json: AsJson = False) -> None:
    """Verify that an archive answers (C-ECHO), and how fast. Exit status 1 if it does not."""
    from adit_core.dicom import dimse  # noqa: PLC0415 - slow to import, and only needed here

    with open_database() as db:
        node = node_value(db, get_node(db, name))
        if isinstance(node, FolderNode):
            raise ActionNotPossible(f"{name} is a folder; only archives answer a C-ECHO.")
        answer = Echo(name, dimse.echo(node))
    present(
        answer,
        lambda echo: cell(f"{echo.node} answered after {echo.seconds * 1000:.1f} ms."),
        as_json=as_json,
    )


def _added(node: Node) -> RenderableType:
    return cell(f"Added the {node.kind.value} {node.name}.")


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
        numbers("limit"),
    )
    for node in nodes:
        table.add_row(
            cell(node.name),
            cell(node.kind.value),
            cell(node.ae_title),
            cell(node.path or f"{node.host}:{node.port}"),
            cell(node.calling_ae_title),
            cell(" ".join(node.services)),
            cell(node.query_root),
            cell(node.max_associations),
        )
    return table
