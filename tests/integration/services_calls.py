"""How the services of the table are called: nothing is wrong with it, so only rights can refuse it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from adit_core.db import JobKind, Permission, TokenScope, TransferOptions, User
from adit_core.db.engine import Database
from adit_core.db.mass import MassTransferOptions
from adit_core.dicom.node import ConnectionProfile, QueryRoot, Service, WebService
from adit_core.dicom.query import InstanceResult, PatientQuery, SeriesQuery, StudyQuery
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.services import (
    active_group,
    adit_import,
    announcements,
    approval_choice,
    attention,
    audit_trail,
    batch_preview,
    disk_space,
    dry_run,
    groups,
    held,
    identities,
    job_actions,
    job_export,
    job_history,
    job_preview,
    job_series,
    jobs,
    links,
    maintenance,
    node_overview,
    node_policies,
    node_removal,
    node_settings,
    nodes,
    own_account,
    preview,
    profiles,
    projects,
    query_export,
    query_preview,
    query_results,
    remembered,
    search,
    secret_rotation,
    submit,
    submit_mass,
    submit_query,
    submit_selective,
    submit_upload,
    task_actions,
    tokens,
    transfer_choices,
    uploads,
    users,
    validation,
    view_instance,
)
from adit_core.services.adit_dump import Dump
from adit_core.services.adit_report import ImportWish
from adit_core.services.batch_file import BatchFile, read_batch_file
from adit_core.services.query_file import QueryFile
from adit_core.services.rights import NodeRole
from adit_core.services.sessions import SessionLimits, open_session, session_id_of
from adit_core.services.storage import Storage
from adit_core.services.submit_selective import PickedStudy
from adit_core.services.text_sheet import SheetFormat
from adit_core.services.transfer_request import TransferRequest
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.integration.rights_bodies import PATIENT
from tests.queries import query_of, sheet_of

_PASSWORD = "correct horse battery staple"
_TRIAL = {"project": "Trial"}
_AS_NIFTI = {"options": TransferOptions(as_nifti=True)}
_IN_ARCHIVE = {"archive_password": _PASSWORD}
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Asking:
    """Who asks, and what for."""

    db: Database
    user: User
    things: Mapping[str, str]
    """The ids of what is the user's own, or somebody else's; see `rights_world`."""
    instance: bytes
    """A DICOM file."""
    settings: Settings
    launcher: FakeLauncher
    source: str = "PACS"
    patient_id: str = PATIENT
    study_instance_uid: str = "1.2"
    series_instance_uid: str = "1.3"
    sop_instance_uid: str = "1.4"

    def id(self, name: str) -> int:
        """Return the id of a thing."""
        return int(self.things[name])

    @property
    def study(self) -> StudyReference:
        """A study."""
        return StudyReference(self.study_instance_uid, patient_id=self.patient_id)

    @property
    def series(self) -> SeriesReference:
        """A series of the study."""
        return SeriesReference(self.study, self.series_instance_uid)

    @property
    def found(self) -> InstanceResult:
        """An instance of the series."""
        return InstanceResult(InstanceReference(self.series, self.sop_instance_uid))

    @property
    def picked(self) -> list[PickedStudy]:
        """The study, picked."""
        return [PickedStudy(self.patient_id, self.study_instance_uid)]

    @property
    def batch(self) -> BatchFile:
        """A spreadsheet with the study."""
        row = {
            "PatientID": self.patient_id,
            "StudyInstanceUID": self.study_instance_uid,
        }
        return read_batch_file(sheet_of(row))

    @property
    def query(self) -> QueryFile:
        """A spreadsheet that asks for the patient."""
        return query_of({"PatientID": self.patient_id})

    @property
    def node(self) -> tuple[Database, User, str]:
        """What searches are called with first."""
        return self.db, self.user, self.source

    @property
    def admin(self) -> dict[str, Any]:
        """Who acts, for the services of administration."""
        return {"actor": self.user}

    def session_of(self, user: User) -> str:
        """Return the id of a new session."""
        return session_id_of(open_session(self.db, user, SessionLimits.of(self.settings), address=""))

    def way(self, **more: Any) -> TransferRequest:
        """Return what transfers are told."""
        way: dict[str, Any] = {"source": self.source, "destination": "Export", "owner_id": self.user.id}
        return TransferRequest(**{**way, **more})

    def uploaded(self, **more: Any) -> TransferRequest:
        """Return what a transfer of an upload is told."""
        return self.way(source=None, **more)

    def choices(self, kind: JobKind) -> transfer_choices.TransferChoices:
        """Return what may be chosen from for a job of a kind."""
        return transfer_choices.transfer_choices(self.db, self.user, kind)

    def of_job(self, name: str) -> tuple[Database, User, int]:
        """Return what services about the job or task of this name are called with."""
        return self.db, self.user, self.id(name)

    def on_job(self, name: str) -> tuple[Database, FakeLauncher, User, int]:
        """Return what actions on the job or task of this name are called with."""
        return self.db, self.launcher, self.user, self.id(name)


Call = Callable[[Asking], Any]
_MASS = MassTransferOptions(first_day=date(2024, 1, 2), last_day=date(2024, 1, 2))
_SERVER = node_settings.ServerSettings(
    ae_title="PACS",
    host="localhost",
    port=104,
    calling_ae_title="ADIT",
    services=frozenset({Service.FIND}),
    query_root=QueryRoot.STUDY,
    max_associations=2,
    allows_direct_move=True,
    connection_profile="",
)
_WEB = node_settings.WebServerSettings(
    base_url="http://127.0.0.1:1/new",
    prefixes={},
    services=frozenset(WebService),
    max_associations=2,
    connection_profile="",
)
_FOLDER = node_settings.FolderSettings(path="/export", storage=Storage(), max_associations=2)
_ACCESS = groups.UsableBy("PACS", as_source=True, as_destination=True)
_CSV = SheetFormat.CSV

_ADMINISTRATION: Mapping[str, Call] = {
    "announcements.add_announcement": lambda a: announcements.add_announcement(a.db, a.user, "Hello."),
    "announcements.list_announcements": lambda a: announcements.list_announcements(a.db, a.user),
    "announcements.remove_announcement": lambda a: announcements.remove_announcement(a.db, a.user, 1),
    "maintenance.begin_maintenance": lambda a: maintenance.begin_maintenance(a.db, a.user, "Moving."),
    "maintenance.end_maintenance": lambda a: maintenance.end_maintenance(a.db, a.user),
    "adit_import.import_dump": lambda a: adit_import.import_dump(a.db, Dump(), ImportWish(), **a.admin),
    "secret_rotation.rotate_secrets": lambda a: secret_rotation.rotate_secrets(a.db, **a.admin),
    "audit_trail.list_events": lambda a: audit_trail.list_events(a.db, a.user),
    "disk_space.disks": lambda a: disk_space.disks(a.db, a.user, a.settings),
    "users.create_user": lambda a: users.create_user(a.db, username="new", password=None, **a.admin),
    "users.change_user": lambda a: users.change_user(
        a.db, "newcomer", users.UserChanges(email="a@example.org"), **a.admin
    ),
    "users.change_user of oneself": lambda a: users.change_user(
        a.db, a.user.username, users.UserChanges(time_zone="Europe/Berlin"), **a.admin
    ),
    "users.change_user to be staff": lambda a: users.change_user(
        a.db, a.user.username, users.UserChanges(is_staff=True), **a.admin
    ),
    "users.set_password": lambda a: users.set_password(a.db, "newcomer", _PASSWORD, **a.admin),
    "identities.link_identity": lambda a: identities.link_identity(
        a.db, "newcomer", issuer="https://sign-in", subject="1", **a.admin
    ),
    "identities.unlink_identity": lambda a: identities.unlink_identity(
        a.db, "everything", issuer="https://sign-in", subject="everything", **a.admin
    ),
    "groups.add_group": lambda a: groups.add_group(a.db, "New", **a.admin),
    "groups.remove_group": lambda a: groups.remove_group(a.db, 1, **a.admin),
    "groups.set_permissions": lambda a: groups.set_permissions(a.db, 1, [Permission.QUERY], **a.admin),
    "groups.add_member": lambda a: groups.add_member(a.db, 1, a.user.username, **a.admin),
    "groups.remove_member": lambda a: groups.remove_member(a.db, 1, "everything", **a.admin),
    "groups.set_members": lambda a: groups.set_members(a.db, 1, [a.user.username], **a.admin),
    "groups.set_node_access": lambda a: groups.set_node_access(a.db, 1, _ACCESS, **a.admin),
    "groups.set_all_node_access": lambda a: groups.set_all_node_access(
        a.db, 1, sources=["PACS"], destinations=["PACS"], **a.admin
    ),
    "nodes.add_server": lambda a: nodes.add_server(
        a.db, "New", ae_title="NEW", host="localhost", port=104, **a.admin
    ),
    "nodes.add_web_server": lambda a: nodes.add_web_server(
        a.db, "New", base_url="http://127.0.0.1:1/new", **a.admin
    ),
    "nodes.add_folder": lambda a: nodes.add_folder(a.db, "New", path="/new", **a.admin),
    "node_settings.change_server": lambda a: node_settings.change_server(
        a.db, "PACS", query_root=QueryRoot.PATIENT, **a.admin
    ),
    "node_settings.change_web_server": lambda a: node_settings.change_web_server(
        a.db, "Web", connection_profile="Slow", **a.admin
    ),
    "node_settings.change_folder": lambda a: node_settings.change_folder(
        a.db, "Export", path="/new", **a.admin
    ),
    "node_settings.replace_server": lambda a: node_settings.replace_server(a.db, "PACS", _SERVER, **a.admin),
    "node_settings.replace_web_server": lambda a: node_settings.replace_web_server(
        a.db, "Web", _WEB, **a.admin
    ),
    "node_settings.replace_folder": lambda a: node_settings.replace_folder(
        a.db, "Export", _FOLDER, **a.admin
    ),
    "node_policies.change_policy": lambda a: node_policies.change_policy(
        a.db, "PACS", find_limit=100, **a.admin
    ),
    "node_removal.remove_node": lambda a: node_removal.remove_node(a.db, "Web", **a.admin),
    "node_removal.restore_node": lambda a: node_removal.restore_node(a.db, "Old", **a.admin),
    "profiles.add_profile": lambda a: profiles.add_profile(a.db, "New", ConnectionProfile(), **a.admin),
    "profiles.replace_profile": lambda a: profiles.replace_profile(
        a.db, "Slow", ConnectionProfile(), **a.admin
    ),
    "profiles.revise_profile": lambda a: profiles.revise_profile(
        a.db, "Slow", ConnectionProfile(), keep=(), **a.admin
    ),
    "profiles.remove_profile": lambda a: profiles.remove_profile(a.db, "Slow", **a.admin),
    "projects.add_project": lambda a: projects.add_project(a.db, "New", **a.admin),
    "projects.change_project": lambda a: projects.change_project(
        a.db, "Trial", projects.ProjectChanges(trial_protocol_id="T"), **a.admin
    ),
    "projects.remove_project": lambda a: projects.remove_project(a.db, "Unused", **a.admin),
    "projects.set_project_access": lambda a: projects.set_project_access(
        a.db, "Everybody", "Trial", allowed=True, **a.admin
    ),
    "projects.set_project_groups": lambda a: projects.set_project_groups(
        a.db, "Trial", ["Everybody"], **a.admin
    ),
}

_ONESELF: Mapping[str, Call] = {
    "own_account.end_session": lambda a: own_account.end_session(a.db, a.user, a.session_of(a.user)),
    "own_account.end_session of another": lambda a: own_account.end_session(
        a.db, a.user, a.session_of(users.get_user(a.db, "newcomer"))
    ),
    "active_group.choose_active_group of all": lambda a: active_group.choose_active_group(a.db, a.user, ""),
    "active_group.choose_active_group of others": lambda a: active_group.choose_active_group(
        a.db, a.user, "Everybody"
    ),
    "tokens.create_token": lambda a: tokens.create_token(a.db, a.user, name="new", scopes=[TokenScope.READ]),
    "tokens.create_token of another": lambda a: tokens.create_token(
        a.db, users.get_user(a.db, "newcomer"), name="new", scopes=[TokenScope.READ], **a.admin
    ),
    "tokens.list_tokens": lambda a: [
        token for token in tokens.list_tokens(a.db, a.user) if token.id == a.id("token")
    ],
    "tokens.list_tokens of all": lambda a: tokens.list_tokens(a.db, a.user, all_users=True),
    "tokens.revoke_token": lambda a: tokens.revoke_token(a.db, a.user, a.id("token")),
}


_LOOKING: Mapping[str, Call] = {
    "nodes.usable_nodes": lambda a: nodes.usable_nodes(a.db, a.user, NodeRole.SOURCE),
    "projects.usable_projects": lambda a: projects.usable_projects(a.db, a.user),
    "node_overview.node_reports": lambda a: [
        report for report in node_overview.node_reports(a.db, a.user) if NodeRole.SOURCE in report.roles
    ],
    "transfer_choices.transfer_choices": lambda a: a.choices(JobKind.BATCH_TRANSFER),
    "transfer_choices.transfer_choices to pick": lambda a: a.choices(JobKind.SELECTIVE_TRANSFER),
    "transfer_choices.transfer_choices of days": lambda a: a.choices(JobKind.MASS_TRANSFER),
    "transfer_choices.transfer_choices to upload": lambda a: a.choices(JobKind.UPLOAD),
    "transfer_choices.transfer_choices to ask": lambda a: a.choices(JobKind.BATCH_QUERY),
    "transfer_choices.transfer_choices of sources": lambda a: a.choices(JobKind.BATCH_TRANSFER).sources,
    "transfer_choices.transfer_choices of projects": lambda a: a.choices(JobKind.BATCH_TRANSFER).projects,
    "search.find_patients": lambda a: search.find_patients(*a.node, PatientQuery(a.patient_id)),
    "search.find_studies": lambda a: search.find_studies(*a.node, StudyQuery(a.patient_id)),
    "search.find_series": lambda a: search.find_series(*a.node, SeriesQuery(a.study)),
    "search.find_instances": lambda a: search.find_instances(*a.node, a.series),
    "remembered.remembered_studies": lambda a: remembered.remembered_studies(
        *a.node, StudyQuery(a.patient_id), max_age=_DAY
    ),
    "remembered.remembered_patients": lambda a: remembered.remembered_patients(
        *a.node, PatientQuery(a.patient_id), max_age=_DAY
    ),
    "remembered.remembered_series": lambda a: remembered.remembered_series(
        *a.node, SeriesQuery(a.study), max_age=_DAY
    ),
    "view_instance.view_instance": lambda a: view_instance.view_instance(*a.node, a.found),
    "dry_run.dry_run": lambda a: dry_run.dry_run(
        a.db, a.user, project="Trial", source=a.source, study=a.study
    ),
}

_ORDERING: Mapping[str, Call] = {
    "submit.submit_batch_transfer": lambda a: submit.submit_batch_transfer(
        a.db, a.launcher, a.way(), a.batch
    ),
    "submit.submit_batch_transfer urgently": lambda a: submit.submit_batch_transfer(
        a.db, a.launcher, a.way(**_TRIAL, urgent=True), a.batch
    ),
    "submit_selective.submit_selective_transfer": lambda a: submit_selective.submit_selective_transfer(
        a.db, a.launcher, a.way(**_TRIAL), a.picked
    ),
    "submit_selective.submit_selective_transfer as NIfTI": lambda a: (
        submit_selective.submit_selective_transfer(a.db, a.launcher, a.way(**_TRIAL, **_AS_NIFTI), a.picked)
    ),
    "submit_mass.submit_mass_transfer in an archive": lambda a: submit_mass.submit_mass_transfer(
        a.db, a.launcher, a.way(**_TRIAL, **_IN_ARCHIVE), _MASS
    ),
    "submit_mass.submit_mass_transfer": lambda a: submit_mass.submit_mass_transfer(
        a.db, a.launcher, a.way(**_TRIAL), _MASS
    ),
    "submit_query.submit_batch_query": lambda a: submit_query.submit_batch_query(
        a.db, a.launcher, owner_id=a.user.id, source=a.source, query=a.query
    ),
    "submit_query.submit_batch_query urgently": lambda a: submit_query.submit_batch_query(
        a.db, a.launcher, owner_id=a.user.id, source=a.source, query=a.query, urgent=True
    ),
    "submit_upload.submit_upload": lambda a: submit_upload.submit_upload(
        a.db, a.launcher, a.uploaded(), a.things["upload"]
    ),
    "submit_upload.submit_upload as NIfTI": lambda a: submit_upload.submit_upload(
        a.db, a.launcher, a.uploaded(**_AS_NIFTI), a.things["upload"]
    ),
    "validation.check_batch_transfer": lambda a: validation.check_batch_transfer(
        a.db, a.way(**_TRIAL), a.batch
    ),
    "validation.check_selective_transfer": lambda a: validation.check_selective_transfer(
        a.db, a.way(), a.picked
    ),
    "validation.check_mass_transfer": lambda a: validation.check_mass_transfer(a.db, a.way(**_TRIAL), _MASS),
    "validation.check_batch_query": lambda a: validation.check_batch_query(
        a.db, a.user.id, a.source, a.query
    ),
    "validation.check_upload": lambda a: validation.check_upload(
        a.db, a.uploaded(**_TRIAL), a.things["upload"]
    ),
    "preview.preview_studies": lambda a: preview.preview_studies(
        a.db, a.way(), JobKind.BATCH_TRANSFER, a.picked
    ),
    "preview.preview_studies that were picked": lambda a: preview.preview_studies(
        a.db, a.way(), JobKind.SELECTIVE_TRANSFER, a.picked
    ),
    "batch_preview.preview_batch": lambda a: batch_preview.preview_batch(a.db, a.way(), a.batch),
    "query_preview.preview_query": lambda a: query_preview.preview_query(a.db, a.user.id, a.source, a.query),
    "preview.preview_mass_transfer": lambda a: preview.preview_mass_transfer(a.db, a.way(**_TRIAL), _MASS),
    "preview.preview_upload": lambda a: preview.preview_upload(a.db, a.uploaded(), a.things["upload"]),
    "uploads.receive_upload": lambda a: uploads.receive_upload(
        a.db,
        a.user,
        [("1.dcm", BytesIO(a.instance))],
        root=a.settings.uploads or Path(),
        limits=uploads.upload_limits(a.settings),
    ),
    "uploads.describe_upload": lambda a: uploads.describe_upload(a.db, a.user, a.things["upload"]),
    "uploads.discard_upload": lambda a: uploads.discard_upload(a.db, a.user, a.things["upload"]),
}

_JOBS: Mapping[str, Call] = {
    "jobs.list_jobs": lambda a: [job for job in jobs.list_jobs(a.db, a.user) if job.id == a.id("waiting")],
    "jobs.list_jobs of all": lambda a: jobs.list_jobs(a.db, a.user, all_users=True),
    "jobs.show_job": lambda a: jobs.show_job(*a.of_job("waiting")),
    "jobs.list_tasks": lambda a: jobs.list_tasks(*a.of_job("waiting")),
    "jobs.tasks_of_job": lambda a: jobs.tasks_of_job(*a.of_job("waiting")),
    "jobs.show_task": lambda a: jobs.show_task(*a.of_job("waiting_task")),
    "jobs.series_of_task": lambda a: jobs.series_of_task(*a.of_job("waiting_task")),
    "jobs.modalities_of_tasks": lambda a: jobs.modalities_of_tasks(*a.of_job("waiting")),
    "approval_choice.approval_choice": lambda a: approval_choice.approval_choice(*a.of_job("unverified")),
    "attention.attention to failures": lambda a: attention.attention(a.db, a.user).failed_jobs,
    "attention.attention to approvals": lambda a: attention.attention(a.db, a.user).jobs_to_approve,
    "attention.attention to images": lambda a: attention.attention(a.db, a.user).images_to_review,
    "job_history.history_of_job": lambda a: job_history.history_of_job(*a.of_job("waiting")),
    "job_history.latest_of_job": lambda a: job_history.latest_of_job(*a.of_job("waiting")),
    "job_export.export_tasks": lambda a: job_export.export_tasks(*a.of_job("waiting"), _CSV),
    "job_export.export_series": lambda a: job_export.export_series(*a.of_job("waiting"), _CSV),
    "job_series.list_series": lambda a: job_series.list_series(*a.of_job("waiting")),
    "job_series.series_of_job": lambda a: list(job_series.series_of_job(*a.of_job("waiting"))),
    "job_preview.preview_job": lambda a: job_preview.preview_job(*a.of_job("unverified")),
    "query_export.export_results": lambda a: query_export.export_results(*a.of_job("answered"), _CSV),
    "query_export.results_sheet": lambda a: query_export.results_sheet(*a.of_job("answered")),
    "query_export.result_lines": lambda a: list(query_export.result_lines(*a.of_job("answered"))),
    "query_results.list_rows": lambda a: query_results.list_rows(*a.of_job("answered")),
    "query_results.all_rows": lambda a: list(query_results.all_rows(*a.of_job("answered"))),
    "query_results.count_outcomes": lambda a: query_results.count_outcomes(*a.of_job("answered")),
    "job_actions.verify_job": lambda a: job_actions.verify_job(*a.on_job("unverified")),
    "job_actions.delete_job": lambda a: job_actions.delete_job(*a.on_job("waiting")),
    "job_actions.cancel_job": lambda a: job_actions.cancel_job(*a.on_job("waiting")),
    "job_actions.resume_job": lambda a: job_actions.resume_job(*a.on_job("canceled")),
    "job_actions.retry_failed": lambda a: job_actions.retry_failed(*a.on_job("failed")),
    "job_actions.restart_job": lambda a: job_actions.restart_job(*a.on_job("failed")),
    "job_actions.search_again": lambda a: job_actions.search_again(*a.on_job("failed")),
    "job_actions.make_urgent": lambda a: job_actions.make_urgent(*a.on_job("waiting")),
    "task_actions.refusals_of_task": lambda a: task_actions.refusals_of_task(*a.of_job("waiting_task")),
    "task_actions.delete_task": lambda a: task_actions.delete_task(*a.on_job("waiting_task")),
    "task_actions.reset_task": lambda a: task_actions.reset_task(*a.on_job("failed_task")),
    "task_actions.kill_task": lambda a: task_actions.kill_task(*a.on_job("running_task")),
}

_PATIENTS: Mapping[str, Call] = {
    "links.find_links": lambda a: links.find_links(a.db, a.user, "Trial", a.patient_id),
    "links.export_links": lambda a: links.export_links(a.db, a.user, "Trial", _CSV),
    "links.delete_links": lambda a: links.delete_links(a.db, a.user, "Trial", None),
    "held.list_held": lambda a: held.list_held(a.db, a.user),
    "held.picture_of_held": lambda a: held.picture_of_held(*a.of_job("held"), receiver=None),
    "held.look_at_held": lambda a: held.look_at_held(*a.of_job("held"), receiver=None),
    "held.foresee_release": lambda a: held.foresee_release(*a.of_job("held"), [], receiver=None),
    "held.release_held": lambda a: held.release_held(a.db, a.launcher, a.user, [a.id("held")]),
    "held.reject_held": lambda a: held.reject_held(a.db, a.user, [a.id("held")]),
}

CALLS: Mapping[str, Call] = {**_ADMINISTRATION, **_ONESELF, **_LOOKING, **_ORDERING, **_JOBS, **_PATIENTS}
"""By the words of the first column; the first word is the service."""
