"""Projects that studies are pseudonymized for, what they would make of a study, and who was who."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from adit_core.api.v1.callers import Administrator, Reader, Wired
from adit_core.api.v1.creating import OneCreation
from adit_core.api.v1.values import Given, Mark, NodeName, Shown, Text, Uid
from adit_core.db import PseudonymProject
from adit_core.db.projects import PseudonymSource
from adit_core.deid.profile import DeidProfile
from adit_core.dicom.references import StudyReference
from adit_core.services.dry_run import dry_run
from adit_core.services.links import delete_links, export_links, find_links
from adit_core.services.projects import (
    ProjectChanges,
    add_project,
    change_project,
    profile_named,
    remove_project,
    set_project_access,
    usable_projects,
)
from adit_core.services.routes import receiver_address
from adit_core.services.text_sheet import SheetFormat

Name = Annotated[
    str,
    Path(
        min_length=1,
        max_length=64,
        pattern=r"^[^\x00-\x1f\x7f/]+$",
        description="Its name.",
        examples=["Trial"],
    ),
]

GroupName = Annotated[
    str,
    Path(max_length=150, pattern=r"^[^\x00-\x1f\x7f/]+$", description="Of a group.", examples=["Neuro"]),
]

router = APIRouter(prefix="/projects", tags=["projects"])


class ProjectSettings(Given):
    """What is said of a project; what is null stays as it is, or is as usual."""

    profile: Text | DeidProfile | None = Field(default=None, examples=["research"])
    """The name of a profile that ADIT brings, or a profile."""
    pseudonyms: PseudonymSource | None = None
    """Where pseudonyms come from that nobody gives."""
    trial_protocol_id: Mark | None = None
    trial_protocol_name: Mark | None = None

    def changes(self) -> ProjectChanges:
        """Return what is to be changed; raises InvalidInput if there is no such profile."""
        profile = profile_named(self.profile) if isinstance(self.profile, str) else self.profile
        return ProjectChanges(
            profile=profile,
            pseudonyms=self.pseudonyms,
            trial_protocol_id=self.trial_protocol_id,
            trial_protocol_name=self.trial_protocol_name,
        )


class NewProject(ProjectSettings):
    """A project that is to be added."""

    name: NodeName = Field(examples=["Trial"])


class Project(Shown):
    """A project; its secret is never shown."""

    name: str
    profile: DeidProfile
    pseudonyms: PseudonymSource
    trial_protocol_id: str
    trial_protocol_name: str
    created_at: datetime

    @classmethod
    def of(cls, row: PseudonymProject) -> "Project":
        """Return what is shown of a row."""
        return cls.model_validate(row)


class DryRun(Given):
    """Which study is to be looked at."""

    source: NodeName
    """The node that has it."""
    patient_id: Text = Field(examples=["1234567"])
    study_instance_uid: Uid


class Change(Shown):
    """One attribute, before and after; `after` is null if it was removed."""

    path: str
    before: str
    after: str | None
    rule: str


class SeriesDryRun(Shown):
    """What would become of a series, by its first instance."""

    series_instance_uid: str
    modality: str
    sop_instance_uid: str
    pixels: str
    """What would become of the pixels, in words."""
    filtered: str
    """Why the series would not leave; empty if it would."""
    failure: str
    """Why the instance could not be de-identified; empty if it could."""
    changes: list[Change]


class LinkSearch(Given):
    """Whom to look for."""

    term: Text = Field(examples=["ANON-7"])
    """A Patient ID, a pseudonym, or a Study Instance UID that a study left under."""


class LinkedStudy(Shown):
    """A study that left under another UID."""

    study_instance_uid: str
    pseudonymized_study_instance_uid: str
    linked_at: datetime


class LinkedPatient(Shown):
    """A patient, what stands for them, and their studies."""

    patient_id: str
    pseudonym: str
    linked_at: datetime
    studies: list[LinkedStudy]


class Forgetting(Given):
    """Whose links are to be deleted."""

    pseudonyms: list[Text] | None = Field(max_length=100_000, examples=[["ANON-7"]])
    """Null for all of the project."""


class Forgotten(Shown):
    """What was deleted."""

    patients: int


@router.get("")
def list_usable(wiring: Wired, caller: Reader) -> list[Project]:
    """List the projects that you may pseudonymize for, by name."""
    return [Project.of(row) for row in usable_projects(wiring.database, caller.user)]


@router.post("", status_code=201)
def add(wiring: Wired, caller: Administrator, creation: OneCreation, project: NewProject) -> Project:
    """Add a project, with a secret of its own."""

    def create() -> Project:
        return Project.of(add_project(wiring.database, project.name, project.changes(), actor=caller.user))

    return creation.once(project, Project, create)


@router.patch("/{name}")
def change(wiring: Wired, caller: Administrator, name: Name, settings: ProjectSettings) -> Project:
    """Change a project; jobs that wait go by what it says when they are done."""
    return Project.of(change_project(wiring.database, name, settings.changes(), actor=caller.user))


@router.delete("/{name}", status_code=204)
def remove(wiring: Wired, caller: Administrator, name: Name) -> None:
    """Remove a project that has no jobs and no links."""
    remove_project(wiring.database, name, actor=caller.user)


@router.put("/{name}/groups/{group}", status_code=204)
def allow(
    wiring: Wired,
    caller: Administrator,
    name: Name,
    group: GroupName,
) -> None:
    """Let the members of a group pseudonymize for a project."""
    set_project_access(wiring.database, group, name, allowed=True, actor=caller.user)


@router.delete("/{name}/groups/{group}", status_code=204)
def forbid(
    wiring: Wired,
    caller: Administrator,
    name: Name,
    group: GroupName,
) -> None:
    """Take that back."""
    set_project_access(wiring.database, group, name, allowed=False, actor=caller.user)


@router.post("/{name}/dry-run")
def try_out(wiring: Wired, caller: Reader, name: Name, wanted: DryRun) -> list[SeriesDryRun]:
    """Tell what the project would make of a study: each attribute before and after, and the rule."""
    found = dry_run(
        wiring.database,
        caller.user,
        project=name,
        source=wanted.source,
        study=StudyReference(wanted.study_instance_uid, wanted.patient_id),
        receiver=receiver_address(wiring.settings),
        address=caller.address,
    )
    return [SeriesDryRun.model_validate(series) for series in found]


@router.post("/{name}/links/search")
def search_links(wiring: Wired, caller: Reader, name: Name, wanted: LinkSearch) -> list[LinkedPatient]:
    """Tell who a patient is, or was; the audit trail tells that you asked."""
    found = find_links(wiring.database, caller.user, name, wanted.term, address=caller.address)
    return [LinkedPatient.model_validate(patient) for patient in found]


@router.get("/{name}/links/export", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def export(wiring: Wired, caller: Reader, name: Name) -> Response:
    """Return all links of a project as CSV."""
    content = export_links(wiring.database, caller.user, name, SheetFormat.CSV, address=caller.address)
    headers = {"Content-Disposition": 'attachment; filename="links.csv"'}
    return Response(content, media_type="text/csv", headers=headers)


@router.post("/{name}/links/delete")
def forget(wiring: Wired, caller: Administrator, name: Name, wanted: Forgetting) -> Forgotten:
    """Delete links for good: nobody can tell any more who a patient was."""
    number = delete_links(wiring.database, caller.user, name, wanted.pseudonyms, address=caller.address)
    return Forgotten(patients=number)
