"""Submitting mass transfers: whatever a range of days and filters choose."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlmodel import Session

from adit_core.db import DicomNode, Job, JobKind, NodeKind, PseudonymProject, PseudonymSource, Task, TaskKind
from adit_core.db.engine import Database
from adit_core.db.mass import MassTransferOptions
from adit_core.dicom.node import QueryRoot
from adit_core.errors import InputProblem, InvalidInput, refuse
from adit_core.services.launching import Launcher
from adit_core.services.partitions import partitions
from adit_core.services.transfer_request import (
    AllowedTransfer,
    PseudonymOf,
    TransferRequest,
    require_allowed,
    write_and_launch,
)

_LARGEST_FILE = 1 << 20


def mass_options(values: Mapping[str, Any]) -> MassTransferOptions:
    """Return what a mass transfer looks for, from the names and values of its fields.

    Raises:
        InvalidInput: With all that is wrong, by field.
    """
    try:
        return MassTransferOptions.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidInput(*map(_problem, error.errors(include_input=False, include_url=False))) from None


def read_mass_file(path: Path) -> dict[str, Any]:
    """Return the names and values of a YAML file that says what a mass transfer looks for.

    Raises:
        InvalidInput: It cannot be read, or it is not YAML of names and values.
    """
    try:
        with path.open("rb") as file:
            values = yaml.safe_load(file.read(_LARGEST_FILE))
    except OSError as error:
        raise InvalidInput(InputProblem(f"{path.name} cannot be read: {error.strerror}.")) from error
    except (yaml.YAMLError, UnicodeDecodeError):
        # Without its cause, whose text shows a part of the file.
        raise InvalidInput(InputProblem(f"{path.name} is no YAML.")) from None
    if not isinstance(values, dict):
        raise InvalidInput(
            InputProblem(f"{path.name} has no names and values, such as `first_day: 2024-01-31`.")
        )
    return values


def submit_mass_transfer(
    db: Database, launcher: Launcher, request: TransferRequest, options: MassTransferOptions
) -> int:
    """Have all studies of a range of days transferred that filters choose, and return the id of the job.

    Each partition of the range becomes a task that finds its studies and adds a task for each.

    Raises:
        NotFound: There is no such user or node.
        NotAllowed: The user may not do this.
        InvalidInput: The nodes do not allow it, with all that is wrong.
    """
    transfer = require_allowed_mass(db, request)

    def write_tasks(session: Session, job: Job, _: PseudonymOf) -> None:
        session.add_all(
            Task(job_id=job.id, kind=TaskKind.DISCOVERY, period_start=period.start, period_end=period.end)
            for period in partitions(options)
        )

    return write_and_launch(
        db,
        launcher,
        transfer,
        write_tasks=write_tasks,
        studies=None,
        mass=options,
    )


def require_allowed_mass(db: Database, request: TransferRequest) -> AllowedTransfer:
    """Return what a request for a mass transfer asks for, if it may be done.

    Raises what `submit_mass_transfer` raises.
    """
    transfer = require_allowed(db, request, JobKind.MASS_TRANSFER)
    refuse(*_source_problems(transfer.source), *_project_problems(transfer.project))
    return transfer


def _source_problems(node: DicomNode | None) -> Iterator[InputProblem]:
    if node is None:
        yield InputProblem("Name the node that has the studies.", field="source")
    elif node.kind is NodeKind.SERVER and node.query_root is QueryRoot.PATIENT:
        # It would have to list all its patients first, of whom no limit can be narrowed down.
        problem = f"{node.name} is asked by patients only, and cannot be searched by days."
        yield InputProblem(problem, field="source")


def _project_problems(project: PseudonymProject | None) -> Iterator[InputProblem]:
    if project is not None and project.pseudonyms is PseudonymSource.GIVEN:
        problem = f"Project {project.name} makes no pseudonyms, and here nobody gives any."
        yield InputProblem(problem, field="project")


def _problem(error: ErrorDetails) -> InputProblem:
    field = ".".join(str(part) for part in error["loc"])
    return InputProblem(f"{error['msg'].removeprefix('Value error, ')}.", field=field)
