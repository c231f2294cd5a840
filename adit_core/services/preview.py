"""Looking ahead: what a transfer would move, filter and find in its way, without moving or writing anything.

At most so many studies are asked about; a mass transfer is judged by one day. What comes of it is then
a sample, and says so.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol

from adit_core.db import JobKind, MassTransferOptions, NodePolicy, Partition
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.deid.subject import Subject
from adit_core.dicom.manifest import found_in
from adit_core.dicom.node import FolderNode, QueryRoot
from adit_core.dicom.ports import Destination, ExpectedSeries, ExpectedStudy, Searcher
from adit_core.dicom.query import SeriesQuery, SeriesResult, StudyQuery, StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.errors import AditError, InputProblem, InvalidInput
from adit_core.services import audit
from adit_core.services.deidentify import StudyDeidentifier
from adit_core.services.discovery import Discovery, find_limit
from adit_core.services.job_storage import JobArchive, destination_value
from adit_core.services.measured import Measured, measured
from adit_core.services.node_gate import require_open
from adit_core.services.node_places import SHORT_PATIENCE, places_at
from adit_core.services.node_visits import visiting_searcher
from adit_core.services.nodes import node_value
from adit_core.services.partitions import partitions
from adit_core.services.projects import deid_project
from adit_core.services.pseudonymize import excluded_modalities
from adit_core.services.pseudonyms import Wish, foreseen_pseudonyms
from adit_core.services.routes import destination_of, searcher_of
from adit_core.services.submit_mass import require_allowed_mass
from adit_core.services.transfer_preview import SeriesPreview, StudyPreview, TransferPreview
from adit_core.services.transfer_request import AllowedTransfer, TransferRequest, require_allowed
from adit_core.services.uploads import unused_upload

MOST_STUDIES = 50
"""How many studies are asked about, unless the caller wants it otherwise."""


class WantedStudy(Protocol):
    """A study of which all series are wanted, or some; batch files and picks name such."""

    @property
    def patient_id(self) -> str: ...  # noqa: D102
    @property
    def study_instance_uid(self) -> str: ...  # noqa: D102
    @property
    def series_instance_uids(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def pseudonym(self) -> str: ...  # noqa: D102


def preview_studies(
    db: Database,
    request: TransferRequest,
    kind: JobKind,
    studies: Sequence[WantedStudy],
    *problems: InputProblem,
    wishes: Iterable[Wish] = (),
    uploaded: FolderNode | None = None,
    most: int = MOST_STUDIES,
) -> TransferPreview:
    """Look ahead at a job of this kind about named studies, with which there may be `problems`.

    `wishes` are their patients, with the pseudonyms that are given. Without a source, they were `uploaded`.
    Raises what submitting it raises, and what its nodes do.
    """
    transfer = require_allowed(db, request, kind, *problems, wishes=wishes)
    with _asking(db, transfer, uploaded) as ask:
        previews = [ask.about(study) for study in studies[:most]]
        sample = f"The first {most} of {len(studies)} studies." if len(studies) > most else ""
        return ask.preview(previews, sample)


def preview_mass_transfer(
    db: Database,
    request: TransferRequest,
    options: MassTransferOptions,
    *,
    day: date | None = None,
    most: int = MOST_STUDIES,
) -> TransferPreview:
    """Look ahead at one day of a mass transfer, by default its first one that is no weekend.

    Raises:
        InvalidInput: The day is none of the range. Besides, what submitting it raises, and what its nodes do.
    """
    transfer = require_allowed_mass(db, request)
    day = day or _typical_day(options)
    if not options.first_day <= day <= options.last_day:
        raise InvalidInput(InputProblem("This is no day of the range.", field="day"))
    of_day = options.model_copy(update={"first_day": day, "last_day": day, "partition": Partition.DAILY})
    (period,) = partitions(of_day)
    with _asking(db, transfer) as ask:
        discovery = Discovery(ask.searcher, of_day, _limit(db, transfer, options))
        found = list(islice(discovery.studies(period), most + 1))
        previews = [ask.about_found(study.study, study.series) for study in found[:most]]
        days = (options.last_day - options.first_day).days + 1
        part = f"The first {most} studies of {day}" if len(found) > most else f"{day}"
        times = [f"Not all is told of {window.in_words()}." for window in discovery.cut_off]
        ask.notes += [*discovery.remarks, *times]
        return ask.preview(previews, f"{part}, one of {days} days." if days > 1 else "", discovery.filtered)


def preview_upload(
    db: Database, request: TransferRequest, upload_id: str, *, most: int = MOST_STUDIES
) -> TransferPreview:
    """Look ahead at the transfer of an upload. Raises what submitting it raises, and what its node does."""
    transfer = require_allowed(db, request, JobKind.UPLOAD)
    upload = unused_upload(db, transfer.owner, upload_id)
    picked = [_Whole(study.patient_id, study.study_instance_uid) for study in upload.studies]
    with _asking(db, transfer, FolderNode("upload", Path(upload.folder))) as ask:
        sample = f"The first {most} of {len(picked)} studies." if len(picked) > most else ""
        return ask.preview([ask.about(study) for study in picked[:most]], sample)


@dataclass(frozen=True, slots=True)
class _Whole:
    patient_id: str
    study_instance_uid: str
    series_instance_uids: tuple[str, ...] = ()
    pseudonym: str = ""


@dataclass(slots=True)
class _Questions:
    """Asks both ends of a transfer."""

    db: Database
    searcher: Searcher
    destination: Destination
    transfer: AllowedTransfer
    measured: Measured
    notes: list[str] = field(default_factory=list)
    _destination_answers: bool = True

    def about(self, study: WantedStudy) -> StudyPreview:
        """Return what would become of a study."""
        asked = StudyReference(study.study_instance_uid, study.patient_id)
        described = self._described(asked)
        known = list(self.searcher.find_series(SeriesQuery(asked)))
        wanted = frozenset(study.series_instance_uids)
        chosen = [one for one in known if not wanted or one.reference.series_instance_uid in wanted]
        missing = wanted - {one.reference.series_instance_uid for one in known}
        conflicts = [
            *([] if known else ["The source does not have this study."]),
            *([_OTHER_PATIENT] if described.reference.patient_id != study.patient_id else []),
            *(f"The source does not have series {uid}." for uid in sorted(missing) if known),
        ]
        return self.about_found(described, chosen, conflicts, Wish(study.patient_id, study.pseudonym))

    def about_found(
        self,
        study: StudyResult,
        series: Iterable[SeriesResult],
        conflicts: Iterable[str] = (),
        wish: Wish | None = None,
    ) -> StudyPreview:
        """Return what would become of these series of a study, whose patient may have a wish."""
        chosen = list(series)
        arriving = self._arriving(study, chosen, wish or Wish(study.reference.patient_id))
        if arriving is None:
            conflicts = (*conflicts, _NO_PSEUDONYM)
        reasons = self._reasons(chosen, arriving)
        previews = tuple(self._series(one, reasons) for one in chosen)
        held = self._held(chosen, arriving, reasons)
        preview = StudyPreview(
            study.reference.study_instance_uid,
            study.reference.patient_id,
            study.study_date,
            previews,
            held,
            tuple(conflicts),
        )
        is_there = bool(held) and held == preview.instances
        return replace(preview, conflicts=(*preview.conflicts, _ALREADY_THERE)) if is_there else preview

    def preview(
        self, studies: Sequence[StudyPreview], sample: str, filtered: Mapping[str, int] | None = None
    ) -> TransferPreview:
        """Return the whole, with the series that were `filtered` before these were looked at."""
        reasons = Counter(one.filtered for study in studies for one in study.series if one.filtered)
        reasons.update(filtered or {})
        size = _sum(self._size(study) for study in studies)
        return TransferPreview(
            tuple(studies), sample, dict(reasons), size, self.measured.seconds_for(size), tuple(self.notes)
        )

    def _described(self, asked: StudyReference) -> StudyResult:
        """Return what the source says of a study, whoever the patient is, if it can be asked so."""
        source = self.transfer.source
        needs_patient = source is not None and source.query_root is QueryRoot.PATIENT
        query = StudyQuery(
            study_instance_uid=asked.study_instance_uid,
            patient_id=asked.patient_id if needs_patient else "",
        )
        # To leave answers unread would cost an association.
        found = list(self.searcher.find_studies(query))
        return found[0] if found else StudyResult(asked)

    def _arriving(
        self, study: StudyResult, series: Iterable[SeriesResult], wish: Wish
    ) -> ExpectedStudy | None:
        """Return the study as the destination would know it; None if nobody knows under which pseudonym."""
        expected = ExpectedStudy(study, tuple(ExpectedSeries(one, ()) for one in series))
        project = self.transfer.project
        if project is None:
            return expected
        pseudonyms, problems = foreseen_pseudonyms(self.db, project, [wish])
        if problems:
            return None
        patient_id = wish.patient_id.strip()
        subject = Subject(patient_id, pseudonyms[patient_id])
        return StudyDeidentifier(deid_project(self.db.keyring, project), subject).expected(expected)

    def _reasons(self, series: Sequence[SeriesResult], arriving: ExpectedStudy | None) -> dict[str, str]:
        """Return by UID why series would be filtered."""
        options, project = self.transfer.request.options, self.transfer.project
        excluded = excluded_modalities(options, project)
        by_request = {
            one.reference.series_instance_uid: f"modality {one.modality} is excluded"
            for one in series
            if one.modality in excluded
        }
        if arriving is None:
            return by_request
        names = {
            there.series.reference.series_instance_uid: here.reference.series_instance_uid
            for here, there in zip(series, arriving.series, strict=True)
        }
        refused = self.destination.expect(arriving)
        return {**{names[uid]: reason for uid, reason in refused.items()}, **by_request}

    def _series(self, series: SeriesResult, reasons: Mapping[str, str]) -> SeriesPreview:
        uid = series.reference.series_instance_uid
        number = series.number_of_instances
        if number is None:
            number = len(found_in(self.searcher, [series.reference]))
        return SeriesPreview(uid, series.modality, series.series_number, number, reasons.get(uid, ""))

    def _held(
        self, series: Sequence[SeriesResult], arriving: ExpectedStudy | None, filtered: Container[str]
    ) -> int | None:
        """Return how much the destination has; once it has failed to answer, it is not asked any more."""
        if arriving is None or not self._destination_answers:
            return None
        wanted = [
            there.series.reference
            for here, there in zip(series, arriving.series, strict=True)
            if here.reference.series_instance_uid not in filtered
        ]
        try:
            held = self.destination.held(arriving.study.reference, wanted)
        except AditError as error:
            self._destination_answers = False
            self.notes.append(f"What the destination has already is not known. {error}")
            return None
        return None if held is None else len(held)

    def _size(self, study: StudyPreview) -> float | None:
        if not study.instances:
            return 0.0
        whole = _sum(self.measured.size_of(series.modality, series.instances) for series in study.wanted)
        missing = max(study.instances - (study.held or 0), 0)
        return None if whole is None else whole * missing / study.instances


_ALREADY_THERE = "All of it is at the destination already."
_OTHER_PATIENT = "The source has it under another Patient ID."
_NO_PSEUDONYM = "There is no pseudonym for the patient."


@contextmanager
def _asking(
    db: Database, transfer: AllowedTransfer, uploaded: FolderNode | None = None
) -> Iterator[_Questions]:
    """Yield who asks both ends, if they are open; the audit trail is told."""
    source, destination = transfer.source, transfer.destination
    nodes = [node for node in (source, destination) if node is not None]
    for node in nodes:
        require_open(db, node.id)
    with db.reading() as session:
        known = measured(session, source and source.id, destination.id)
    with ExitStack() as stack:
        stack.enter_context(places_at(db, nodes, "preview", patience=SHORT_PATIENCE))
        if source is not None:
            searching = searcher_of(node_value(db, source))
            searcher = stack.enter_context(visiting_searcher(db, source.id, searching))
        else:
            assert uploaded is not None, "what has no source was uploaded"
            searcher = stack.enter_context(searcher_of(uploaded))
        password = transfer.request.archive_password
        archive = JobArchive(password) if password else None
        value = destination_value(db, destination, transfer.request.options, archive)
        delivering = stack.enter_context(destination_of(value))
        _audit(db, transfer)
        yield _Questions(db, searcher, delivering, transfer, known)


def _audit(db: Database, transfer: AllowedTransfer) -> None:
    with db.session() as session:
        for node in filter(None, (transfer.source, transfer.destination)):
            audit.record(
                session,
                AuditAction.QUERIED,
                actor=transfer.owner,
                object_kind="node",
                object_id=node.name,
                address=transfer.request.address,
                level="preview",
            )
        session.commit()


def _limit(db: Database, transfer: AllowedTransfer, options: MassTransferOptions) -> int | None:
    with db.reading() as session:
        policy = session.get(NodePolicy, transfer.source.id) if transfer.source else None
    return find_limit(options, policy)


def _typical_day(options: MassTransferOptions) -> date:
    days = (options.first_day + timedelta(days=number) for number in range(7))
    return next((day for day in days if day.weekday() < 5 and day <= options.last_day), options.first_day)


def _sum(numbers: Iterable[float | None]) -> float | None:
    """Return the sum, None if one of the numbers is not known."""
    total = 0.0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total
