"""Writing down what rows of a batch query were answered."""

from collections.abc import Mapping, Sequence

from sqlmodel import Session, col, update

from adit_core.db import QueryResult, QueryRow
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.services.progress import TaskCounts, record_counts
from adit_core.services.query_answer import Answer, Finding


def record_answers(
    db: Database, task_id: int, *, token: str, answers: Mapping[int, Answer], counts: TaskCounts
) -> bool:
    """Write answers by the ids of their rows if the task is claimed with `token`; tell whether it is."""
    with db.session() as session:
        if not record_counts(session, task_id, token=token, counts=counts):
            return False
        for row_id, answer in answers.items():
            _write(session, row_id, answer)
        session.commit()
    return True


def _write(session: Session, row_id: int, answer: Answer) -> None:
    session.exec(
        update(QueryRow)
        .where(col(QueryRow.id) == row_id)
        .values(status=answer.status, message=storable(answer.message))
    )
    session.add_all(_result_rows(row_id, answer.findings))


def _result_rows(row_id: int, findings: Sequence[Finding]) -> list[QueryResult]:
    return [_result_row(row_id, found) for found in findings]


def _result_row(row_id: int, found: Finding) -> QueryResult:
    study, series = found.study, found.series
    further = (*study.further, *(series.further if series else ()))
    row = QueryResult(
        query_row_id=row_id,
        patient_id=storable(study.reference.patient_id),
        patient_name=storable(study.patient_name),
        patient_birth_date=study.patient_birth_date,
        study_instance_uid=storable(study.reference.study_instance_uid),
        accession_number=storable(study.accession_number),
        study_date=study.study_date,
        study_time=storable(study.study_time),
        study_description=storable(study.study_description),
        modalities=tuple(sorted(study.modalities)),
        number_of_instances=study.number_of_instances,
        further={keyword: storable(value) for keyword, value in further},
    )
    if series is not None:
        row.modalities = (storable(series.modality),)
        row.series_instance_uid = storable(series.reference.series_instance_uid)
        row.series_number = series.series_number
        row.series_description = storable(series.series_description)
        row.number_of_instances = series.number_of_instances
    return row
