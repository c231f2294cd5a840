"""`adit projects …`: what studies are pseudonymized for, and how."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import PseudonymProject
from adit_core.db.projects import PseudonymSource
from adit_core.deid.profile import DeidProfile, builtin_profiles, read_profile
from adit_core.dicom.references import StudyReference
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.projects import (
    DEFAULT_PROFILE,
    ProjectChanges,
    add_project,
    change_project,
    list_projects,
    remove_project,
    set_project_access,
)
from adit_core.settings import get_settings
from adit_core.terminal import cell, new_table

app = new_app("What studies are pseudonymized for, and how.")

Name = Annotated[str, typer.Argument(help="What users call the project.")]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help=f"How data are de-identified: {', '.join(builtin_profiles())}, or a YAML file.",
        show_default=False,
    ),
]
Pseudonyms = Annotated[
    PseudonymSource | None,
    typer.Option(help="Where pseudonyms come from that nobody gives.", show_default=False),
]
ProtocolId = Annotated[
    str | None, typer.Option(help="Clinical Trial Protocol ID to write into data.", show_default=False)
]
ProtocolName = Annotated[
    str | None, typer.Option(help="Clinical Trial Protocol Name to write into data.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class Project:
    """What is shown of a project; its secret is not."""

    name: str
    profile: DeidProfile
    pseudonyms: PseudonymSource
    trial_protocol_id: str
    trial_protocol_name: str
    created_at: datetime

    @classmethod
    def of(cls, row: PseudonymProject) -> "Project":
        """Return what is shown of a row."""
        return cls(
            row.name,
            row.profile,
            row.pseudonyms,
            row.trial_protocol_id,
            row.trial_protocol_name,
            row.created_at,
        )


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    *,
    profile: Profile = None,
    pseudonyms: Pseudonyms = None,
    trial_protocol_id: ProtocolId = None,
    trial_protocol_name: ProtocolName = None,
    as_json: AsJson = False,
) -> None:
    """Add a project, by default with the profile research and keyed pseudonyms."""
    changes = _changes(profile, pseudonyms, trial_protocol_id, trial_protocol_name)
    with open_database() as db:
        row = add_project(db, name, changes, actor=acting_user(ctx, db))
    present(Project.of(row), lambda project: cell(f"Added the project {project.name}."), as_json=as_json)


@app.command()
def change(
    ctx: typer.Context,
    name: Name,
    *,
    profile: Profile = None,
    pseudonyms: Pseudonyms = None,
    trial_protocol_id: ProtocolId = None,
    trial_protocol_name: ProtocolName = None,
    as_json: AsJson = False,
) -> None:
    """Change a project; what is not mentioned stays as it is. Jobs that wait go by what it says then."""
    changes = _changes(profile, pseudonyms, trial_protocol_id, trial_protocol_name)
    with open_database() as db:
        row = change_project(db, name, changes, actor=acting_user(ctx, db))
    present(Project.of(row), lambda project: cell(f"Changed the project {project.name}."), as_json=as_json)


@app.command()
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Remove a project that has no jobs and no links."""
    with open_database() as db:
        remove_project(db, name, actor=acting_user(ctx, db))
    present({"removed": name}, lambda done: cell(f"Removed the project {done['removed']}."), as_json=as_json)


@app.command()
def allow(
    ctx: typer.Context,
    name: Name,
    group: Annotated[str, typer.Argument(help="The group whose members may use it.")],
    *,
    forbid: Annotated[bool, typer.Option("--forbid", help="They may not any more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the members of a group pseudonymize for a project; staff may for all."""
    with open_database() as db:
        set_project_access(db, group, name, allowed=not forbid, actor=acting_user(ctx, db))
    done = f"Group {group} may {'not ' if forbid else ''}use project {name}."
    present({"project": name, "group": group, "allowed": not forbid}, lambda _: cell(done), as_json=as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the projects."""
    with open_database() as db:
        projects = [Project.of(row) for row in list_projects(db)]
    present(projects, _table, as_json=as_json)


@app.command("dry-run")
def try_out(
    ctx: typer.Context,
    name: Name,
    *,
    source: Annotated[str, typer.Option("--from", metavar="NODE", help="The node that has the study.")],
    study: Annotated[str, typer.Option(metavar="UID", help="Its Study Instance UID.")],
    patient_id: Annotated[str, typer.Option(help="The patient whose study it is.")],
    everything: Annotated[bool, typer.Option("--all", help="Show what stays as it is, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a project would make of a study: each attribute before and after, and the rule.

    The first instance of each series is looked at. Nothing leaves. What is shown is patient data.
    """
    # To import what fetches and decodes images takes longer than the other commands take.
    from adit_core.services.dry_run import SeriesDryRun, dry_run  # noqa: PLC0415
    from adit_core.services.routes import receiver_address  # noqa: PLC0415

    def shown(found: list[SeriesDryRun]) -> RenderableType:
        return Group(*(part for series in found for part in parts(series)))

    def parts(series: SeriesDryRun) -> list[RenderableType]:
        title = f"{series.modality} series {series.series_instance_uid}"
        if series.filtered or series.failure:
            return [cell(f"{title}: {series.filtered or series.failure}.")]
        table = new_table("attribute", "before", "after", "rule")
        for change in series.changes:
            if everything or change.before != change.after:
                after = "(removed)" if change.after is None else change.after
                table.add_row(cell(change.path), cell(change.before), cell(after), cell(change.rule))
        return [cell(f"{title}: the pixels {_verb(series.pixels)}{series.pixels}."), table]

    with open_database() as db:
        found = dry_run(
            db,
            acting_user(ctx, db),
            project=name,
            source=source,
            study=StudyReference(study, patient_id),
            receiver=receiver_address(get_settings()),
        )
    present(found, shown, as_json=as_json)


def _verb(pixels: str) -> str:
    return "" if pixels.startswith("pass") else "are "


def _changes(
    profile: str | None,
    pseudonyms: PseudonymSource | None,
    trial_protocol_id: str | None,
    trial_protocol_name: str | None,
) -> ProjectChanges:
    return ProjectChanges(
        profile=None if profile is None else _profile(profile),
        pseudonyms=pseudonyms,
        trial_protocol_id=trial_protocol_id,
        trial_protocol_name=trial_protocol_name,
    )


def _profile(name: str) -> DeidProfile:
    if name in builtin_profiles():
        return builtin_profiles()[name]
    try:
        return read_profile(Path(name).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(builtin_profiles())
        problem = f"There is no profile {name}, and no such YAML file. Known profiles: {known}."
        raise InvalidInput(InputProblem(problem, field="profile")) from error


def _table(projects: list[Project]) -> RenderableType:
    if not projects:
        return f"There are no projects yet: `adit projects add NAME` adds one (profile {DEFAULT_PROFILE})."
    table = new_table("name", "profile", "pseudonyms", "trial protocol")
    for project in projects:
        protocol = " ".join(filter(None, (project.trial_protocol_id, project.trial_protocol_name)))
        table.add_row(
            cell(project.name),
            cell(f"{project.profile.name} {project.profile.version}"),
            cell(project.pseudonyms.value),
            cell(protocol),
        )
    return table
