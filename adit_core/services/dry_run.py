"""What de-identification would do to a study: a table of every attribute, before and after, and the rule.

One instance of each series is fetched and looked at; nothing leaves, and nobody is given a pseudonym.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from adit_core.db import User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.deid.changes import AttributeChange
from adit_core.deid.engine import Deidentifier
from adit_core.deid.pixels.policy import Blank, HoldBack, decide
from adit_core.deid.pixels.stream_policy import suspicion_of
from adit_core.deid.profile import DeidProfile
from adit_core.deid.subject import Subject
from adit_core.dicom.query import SeriesQuery
from adit_core.dicom.references import StudyReference, is_valid_uid
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.errors import DeidentificationFailed, InputProblem, NotFound, refuse
from adit_core.services import audit
from adit_core.services.fetch_instance import Origin, origin_at
from adit_core.services.nodes import get_node
from adit_core.services.projects import deid_project, get_project
from adit_core.services.pseudonyms import Wish, foreseen_pseudonyms
from adit_core.services.rights import NodeRole, require_node, require_project


@dataclass(frozen=True, slots=True)
class SeriesDryRun:
    """What would become of a series, by its first instance."""

    series_instance_uid: str
    modality: str
    sop_instance_uid: str = ""
    pixels: str = "pass as they are"
    """What would become of the pixels, in words."""
    filtered: str = ""
    """Why the series would not leave at all; empty if it would."""
    failure: str = ""
    """Why the instance could not be de-identified; empty if it could."""
    changes: tuple[AttributeChange, ...] = ()


def dry_run(
    db: Database,
    user: User,
    *,
    project: str,
    source: str,
    study: StudyReference,
    receiver: ReceiverAddress | None = None,
    address: str = "",
) -> list[SeriesDryRun]:
    """Return what a project would make of a study.

    Raises:
        NotFound: There is no such project, node or study.
        NotAllowed: The user may not use the project, or the node as a source.
        InvalidInput: The study has no Patient ID, or a project that makes no pseudonyms does not know it.
        NodeClosed: The source may not be used now.
    """
    row, node = get_project(db, project), get_node(db, source)
    require_project(db, user, row)
    require_node(db, user, node, NodeRole.SOURCE)
    if not is_valid_uid(study.study_instance_uid):
        refuse(InputProblem("A UID is numbers with dots between them.", field="study"))
    pseudonyms, problems = foreseen_pseudonyms(db, row, [Wish(study.patient_id)])
    refuse(*problems)
    patient_id = study.patient_id.strip()
    engine = Deidentifier(deid_project(db.keyring, row), Subject(patient_id, pseudonyms[patient_id]))
    with db.session() as session:
        audit.record(
            session,
            AuditAction.QUERIED,
            actor=user,
            object_kind="study",
            object_id=study.study_instance_uid,
            address=address,
            node=node.name,
            level="dry run",
        )
        session.commit()
    with origin_at(db, node, receiver) as origin:
        found = list(_series(origin, study, engine, row.profile))
    if not found:
        raise NotFound(f"{node.name} has no study {study.study_instance_uid}.")
    return found


def _series(
    origin: Origin, study: StudyReference, engine: Deidentifier, profile: DeidProfile
) -> Iterator[SeriesDryRun]:
    for series in list(origin.searcher.find_series(SeriesQuery(study))):
        uid = series.reference.series_instance_uid
        if series.modality in profile.excluded_modalities:
            reason = f"modality {series.modality} is excluded"
            yield SeriesDryRun(uid, series.modality, filtered=reason)
            continue
        for instance in origin.instances(series.reference)[:1]:
            dataset = origin.fetch(instance)
            sop_instance_uid = instance.reference.sop_instance_uid
            pixels = _pixels(profile, dataset)
            try:
                changes = tuple(engine.trace(dataset))
                yield SeriesDryRun(uid, series.modality, sop_instance_uid, pixels, changes=changes)
            except DeidentificationFailed as error:
                yield SeriesDryRun(uid, series.modality, sop_instance_uid, pixels, failure=str(error))


def _pixels(profile: DeidProfile, dataset: Dataset) -> str:
    match decide(dataset, suspicion=suspicion_of(profile.burned_in_text)):
        case HoldBack(reason=reason):
            return f"held back: {reason}"
        case Blank(regions=regions, rule=rule):
            return f"{len(regions)} regions blanked by {rule}"
        case _:
            return "pass as they are"
