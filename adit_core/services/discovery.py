"""Finding the studies of one partition of a mass transfer, and adding a task for each.

What is found is added in portions, so that transfers can begin, and a day of any size takes no more
memory than its UIDs. It can be done again at any time: only what the job does not have is added, and studies
whose series have grown are transferred anew, which sends only what is missing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from sqlmodel import col

from adit_core.db import DicomNode, Job, NodePolicy, Task, TaskStatus
from adit_core.db.mass import MassTransferOptions
from adit_core.dicom.manifest import found_in
from adit_core.dicom.ports import Searcher
from adit_core.dicom.query import SeriesQuery, SeriesResult, StudyResult
from adit_core.dicom.references import is_valid_uid
from adit_core.dicom.study_windows import StudySweep, StudyWindow
from adit_core.errors import TaskStopped, TooManyResults
from adit_core.services.found_studies import FoundStudy, add_new, grown_tasks
from adit_core.services.job_status import lock_job
from adit_core.services.node_visits import visiting_searcher
from adit_core.services.nodes import node_value
from adit_core.services.partitions import Period, days_of
from adit_core.services.progress import TaskCounts, record_progress
from adit_core.services.pseudonyms import Wish
from adit_core.services.routes import searcher_of
from adit_core.services.series_choice import why_no_series_of, why_not
from adit_core.services.task_status import reset_tasks
from adit_core.services.transfer_request import pseudonyms_of
from adit_core.services.work import TaskOutcome, Work

_PORTION = 50
"""Studies that are added at once."""
_MOST_WINDOWS_TOLD = 5
_NO_UID = "invalid UID"


def execute_discovery(work: Work) -> TaskOutcome:
    """Find the studies of a partition, and add tasks for those with wanted series.

    Series are what is counted: the wanted ones are delivered, the others filtered.

    Raises:
        NodeClosed: The source is closed; the task has to wait.
        TooManyResults: The archive tells only a part of what it has. What it told was added.
        TaskStopped: The claim was lost, or the job is being canceled.
        AditError: The source did not answer as it should.
    """
    db, job, task = work.db, work.job, work.task
    options, period = _order(job, task)
    with db.reading() as session:
        source = session.get_one(DicomNode, job.source_id)
        policy = session.get(NodePolicy, source.id)
    with visiting_searcher(db, source.id, searcher_of(node_value(db, source))) as searcher:
        discovery = Discovery(searcher, options, find_limit(options, policy))
        studies = discovery.studies(period)
        while portion := list(islice(studies, _PORTION)):
            discovery.added += _add(work, portion)
            record_progress(db, task.id, token=work.token, series=(), counts=discovery.counts)
    record_progress(db, task.id, token=work.token, series=(), counts=discovery.counts)
    if discovery.cut_off:
        raise TooManyResults(f"{_cut_off_in_words(source.name, discovery.cut_off)} {discovery.in_words()}")
    return TaskOutcome(discovery.counts, discovery.in_words(), has_remarks=discovery.is_remarkable)


def find_limit(options: MassTransferOptions, policy: NodePolicy | None) -> int | None:
    """Return how many results a source gives to one query at most, None if nobody knows."""
    limits = (options.find_limit, policy.find_limit if policy else None)
    return min((limit for limit in limits if limit is not None), default=None)


@dataclass(slots=True)
class Discovery:
    """Finds studies with wanted series, and keeps account of the series."""

    searcher: Searcher
    options: MassTransferOptions
    limit: int | None
    found: int = 0
    """Studies, wanted or not."""
    chosen: int = 0
    """Series that are wanted."""
    added: int = 0
    """Tasks that the job did not have yet."""
    filtered: Counter[str] = field(default_factory=Counter)
    """Series that are not wanted, by the reason."""
    cut_off: Sequence[StudyWindow] = ()
    """Times of which the archive may know more studies than it told."""
    remarks: list[str] = field(default_factory=list)

    @property
    def counts(self) -> TaskCounts:
        """The account of the series so far."""
        filtered = self.filtered.total()
        return TaskCounts(planned=self.chosen + filtered, delivered=self.chosen, filtered=filtered)

    @property
    def is_remarkable(self) -> bool:
        """True if somebody should read what happened."""
        return bool(self.remarks) or bool(self.filtered[_NO_UID])

    def studies(self, period: Period) -> Iterator[FoundStudy]:
        """Yield the studies of a period that have wanted series, with these."""
        modalities = self.options.include.modalities
        sweep = StudySweep(self.searcher, self.limit, modalities[0] if len(modalities) == 1 else "")
        for study in sweep.studies(StudyWindow(*days_of(period, self.options.time_zone))):
            self.found += 1
            if (wanted := self._wanted(study)).series:
                yield wanted
        self.cut_off = sweep.cut_off
        for day in sorted(sweep.timeless):
            self.remarks.append(
                f"On {day}, studies without a time may be missing: the archive does not tell all at once."
            )

    def in_words(self) -> str:
        """Return what was found, and why series were filtered."""
        counts = self.counts
        reasons = ", ".join(f"{number} by {reason}" for reason, number in self.filtered.most_common())
        sentences = [
            f"{self.found} studies found; {counts.delivered} of {counts.planned} series wanted.",
            f"Filtered: {reasons}." if reasons else "",
            f"{self.added} tasks added." if self.added else "",
            *self.remarks,
        ]
        return " ".join(filter(None, sentences))

    def _wanted(self, study: StudyResult) -> FoundStudy:
        reason = why_no_series_of(study, self.options) if _can_be_named(study) else _NO_UID
        if reason and study.number_of_series is not None:
            self.filtered[reason] += study.number_of_series
            return FoundStudy(study, ())
        series = [self._counted(one) for one in self.searcher.find_series(SeriesQuery(study.reference))]
        reasons = [reason or self._why_not(study, one) for one in series]
        self.filtered.update(filter(None, reasons))
        wanted = tuple(one for one, why in zip(series, reasons, strict=True) if not why)
        self.chosen += len(wanted)
        return FoundStudy(study, wanted)

    def _why_not(self, study: StudyResult, series: SeriesResult) -> str:
        if not is_valid_uid(series.reference.series_instance_uid):
            return _NO_UID
        return why_not(study, series, self.options)

    def _counted(self, series: SeriesResult) -> SeriesResult:
        """Return a series with its number of instances, which not every archive tells."""
        if series.number_of_instances is not None:
            return series
        return replace(series, number_of_instances=len(found_in(self.searcher, [series.reference])))


def _order(job: Job, task: Task) -> tuple[MassTransferOptions, Period]:
    assert job.mass is not None, "a mass transfer says what it looks for"
    assert task.period_start is not None, "a discovery has a period"
    assert task.period_end is not None, "a discovery has a period"
    return job.mass, Period(task.period_start, task.period_end)


def _add(work: Work, studies: Sequence[FoundStudy]) -> int:
    """Add what is new, unless somebody else has the task by now, or nobody wants it any more."""
    with work.db.session() as session:
        job = lock_job(session, work.job.id)
        task = session.get(Task, work.task.id)
        is_mine = task is not None and (task.status, task.claim_token) == (TaskStatus.IN_PROGRESS, work.token)
        if job is None or job.cancel_requested or not is_mine:
            raise TaskStopped("The studies of the period are not wanted any more.")
        wishes = (Wish(study.reference.patient_id) for study in studies if study.reference.patient_id.strip())
        pseudonym_of = pseudonyms_of(session, work.db.keyring, job, wishes)
        if grown := grown_tasks(session, job.id, studies):
            reset_tasks(session, job, col(Task.id).in_(grown), event="The source has more of it by now.")
        added = add_new(session, job.id, studies, pseudonym_of, parent_id=work.task.id)
        session.commit()
    return added


def _can_be_named(study: StudyResult) -> bool:
    return is_valid_uid(study.reference.study_instance_uid)


def _cut_off_in_words(source: str, windows: Sequence[StudyWindow]) -> str:
    told = ", ".join(window.in_words() for window in windows[:_MOST_WINDOWS_TOLD])
    others = (
        f" and {len(windows) - _MOST_WINDOWS_TOLD} other times" if len(windows) > _MOST_WINDOWS_TOLD else ""
    )
    return (
        f"{source} has more studies than it tells at once, however short the time: {told}{others}. "
        "Have its limit raised, or transfer what is missing by a batch file."
    )
