"""Looking ahead at a batch query: what each row asks of the archive, which is asked for nothing yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlmodel import Session, col, select

from adit_core.db import QueryRow
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.query import StudyQuery
from adit_core.services.measured import seconds_per_row
from adit_core.services.node_gate import node_states
from adit_core.services.query_cells import is_selective
from adit_core.services.query_columns import (
    ACCESSION_NUMBER,
    FROM,
    MODALITY,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    PSEUDONYM,
    STUDY_DESCRIPTION,
    STUDY_INSTANCE_UID,
    UNTIL,
)
from adit_core.services.query_criteria import Cells, Criteria
from adit_core.services.query_file import QueryFile, Question
from adit_core.services.submit_query import require_allowed_query

MOST_ROWS = 50
"""How many rows are described, unless the caller wants it otherwise."""


@dataclass(frozen=True, slots=True)
class RowPreview:
    """What a row asks, by the names of columns and without what stands in them."""

    row: int
    """As the spreadsheet counts."""
    finds_series: bool
    """Whether its results are series, and not studies."""
    asked: tuple[str, ...]
    """By which columns the archive chooses."""
    sifted: tuple[str, ...]
    """By which other ones ADIT chooses among what the archive answers."""


@dataclass(frozen=True, slots=True)
class QueryPreview:
    """What a batch query would ask."""

    total: int
    """How many rows."""
    rows: tuple[RowPreview, ...]
    """The first of them."""
    seconds: float | None = None
    """How long all may take, by how fast the archive answered before; None if nothing is known."""
    notes: tuple[str, ...] = ()
    """Why the archive may not be asked for now."""


def preview_query(
    db: Database,
    owner_id: int,
    source: str,
    query: QueryFile,
    *,
    name: str = "",
    urgent: bool = False,
    most: int = MOST_ROWS,
) -> QueryPreview:
    """Look ahead at a batch query, of which `most` rows are described. Raises what submitting it raises."""
    _, node = require_allowed_query(db, owner_id, source, query, name=name, urgent=urgent)
    rows = [_row(question) for question in query.questions]
    with db.reading() as session:
        pace = seconds_per_row(session, node.id)
        (state,) = node_states(session, [node.id])
    seconds = None if pace is None else pace * len(rows)
    reason = state.closed(utc_now())
    return QueryPreview(len(rows), tuple(rows[:most]), seconds, (reason,) if reason else ())


def questions_of_job(session: Session, job_id: int) -> QueryFile:
    """Return what a batch query asks, in the order of its spreadsheet."""
    rows = session.exec(select(QueryRow).where(QueryRow.job_id == job_id).order_by(col(QueryRow.row)))
    return QueryFile(tuple(Question(row.row, row.cells) for row in rows))


def _row(question: Question) -> RowPreview:
    criteria = Criteria.of(question.cells)
    asked = tuple(_asked(criteria.study, question.cells))
    filled = (name for name, text in question.cells.items() if text.strip("*") and name != PSEUDONYM)
    sifted = tuple(name for name in filled if name not in asked)
    return RowPreview(question.row, criteria.wants_series, asked, sifted)


def _asked(query: StudyQuery, cells: Cells) -> Iterator[str]:
    chooses = {
        PATIENT_ID: is_selective(query.patient_id),
        PATIENT_NAME: is_selective(query.patient_name),
        PATIENT_BIRTH_DATE: query.patient_birth_date.start is not None,
        STUDY_INSTANCE_UID: bool(query.study_instance_uid),
        ACCESSION_NUMBER: is_selective(query.accession_number),
        FROM: query.study_date.start is not None,
        UNTIL: query.study_date.end is not None,
        MODALITY: bool(query.modalities),
        STUDY_DESCRIPTION: is_selective(query.study_description),
        **{keyword: is_selective(text) for keyword, text in query.further},
    }
    yield from (name for name in cells if chooses.get(name))
