"""How a study moves: plan, skip what is there, retrieve, deliver while retrieving, verify.

This is the main path of ADIT. It needs a searcher and a source on one side and a destination on the
other (:mod:`adit_core.dicom.ports`), and holds at most the capacity of its pipe in memory, however
large the study. It may be run again at any time: only what is missing is moved then.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Thread

from adit_core.dicom.manifest import Manifest, Selection, describe, plan
from adit_core.dicom.outcome import Ledger, StudyOutcome
from adit_core.dicom.pipe import CAPACITY, InstancePipe, PipeAbandoned, PipedInstance
from adit_core.dicom.ports import Destination, RetrieveRequest, Searcher, Source
from adit_core.dicom.query import StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.errors import AditError

_PROGRESS_INTERVAL = 1.0

Progress = Callable[[StudyOutcome], None]
"""Is called about once a second, and never concurrently, with the account so far."""


@dataclass(frozen=True, slots=True)
class Verification:
    """How often a destination is asked for what it took; archives may index with a delay.

    ``delay`` is in seconds, before the second question, and doubles before each further one.
    """

    attempts: int = 6
    delay: float = 0.5


@dataclass(frozen=True, slots=True)
class Route:
    """The two ends of a transfer."""

    searcher: Searcher
    source: Source
    destination: Destination
    verification: Verification = Verification()
    capacity: int = CAPACITY
    describes_study: bool = False
    """True if the destination is told more of a study than its reference, which takes a query."""


def transfer_study(
    route: Route, study: StudyReference, selection: Selection, on_progress: Progress | None = None
) -> StudyOutcome:
    """Move what `selection` chooses of `study`, and account for every instance of it.

    An error on the way is not raised but told by the outcome, together with what was delivered
    nevertheless; only before the manifest is known there is nothing to tell.

    Raises:
        AditError: The source or the destination could not be asked what they have.
    """
    manifest = _agreed(route, plan(route.searcher, study, selection))
    ledger = Ledger(manifest, held=_held(route.destination, manifest) or frozenset())
    ledger.warnings += [f"The source has no series {uid}." for uid in manifest.missing_series]
    report = _Reporter(ledger, on_progress)
    report.now()
    request = manifest.request(without=ledger.held)
    if request.parts:
        _move(route, request, ledger, report)
    return ledger.close(_confirmed(route, ledger))


def _agreed(route: Route, manifest: Manifest) -> Manifest:
    """Tell the destination what will come, and filter what it says that it does not take."""
    study = manifest.study
    description = describe(route.searcher, study) if route.describes_study else StudyResult(study)
    return manifest.filtering(route.destination.expect(manifest.expected(description)))


def _move(route: Route, request: RetrieveRequest, ledger: Ledger, report: "_Reporter") -> None:
    """Retrieve in a thread of its own and deliver in this one, until either ends."""
    pipe = InstancePipe(ledger.manifest.wanted(), route.capacity)
    retrieval = _Retrieval(route.source, request, pipe)
    retrieval.start()
    try:
        _deliver(route.destination, pipe, ledger, report)
    except AditError as error:
        ledger.error = error
    finally:
        pipe.abandon()
        retrieval.join()
    # What the destination says comes first: a retrieval that was abandoned has no error of its own.
    ledger.error = ledger.error or retrieval.error
    if retrieval.bug is not None:
        raise retrieval.bug
    if pipe.unplanned:
        ledger.warnings.append(f"The source sent {pipe.unplanned} instances that are not in its own list.")


def _deliver(destination: Destination, pipe: InstancePipe, ledger: Ledger, report: "_Reporter") -> None:
    sizes: dict[str, PipedInstance] = {}

    def passing() -> Iterator[PipedInstance]:
        for instance in pipe.instances():
            sizes[instance.header.sop_instance_uid] = instance
            yield instance

    for delivery in destination.deliver(passing()):
        ledger.enter(delivery, sizes.pop(delivery.sop_instance_uid).size)
        report.now_and_then()


def _held(destination: Destination, manifest: Manifest) -> frozenset[str] | None:
    """Return which wanted instances the destination has, None if it cannot be asked."""
    series = [entry.series.reference for entry in manifest.series if not entry.filtered]
    held = destination.held(manifest.study, series)
    return None if held is None else held & manifest.wanted().keys()


def _confirmed(route: Route, ledger: Ledger) -> frozenset[str]:
    """Return the wanted instances that are at the destination, waiting a while for what it took."""
    accepted = ledger.accepted()
    confirmed = ledger.held
    if not accepted:
        return confirmed
    delay = route.verification.delay
    for attempt in range(route.verification.attempts):
        if attempt:
            time.sleep(delay)
            delay *= 2
        try:
            found = _held(route.destination, ledger.manifest)
        except AditError as error:
            ledger.error = ledger.error or error
            return confirmed
        if found is None:
            return confirmed | accepted
        confirmed = found
        if accepted <= confirmed:
            break
    return confirmed


class _Retrieval(Thread):
    """Fills a pipe from a source. ``error`` is what ended it early, ``bug`` what nobody foresaw."""

    def __init__(self, source: Source, request: RetrieveRequest, pipe: InstancePipe) -> None:
        super().__init__(name="retrieval", daemon=True)
        self.error: AditError | None = None
        self.bug: Exception | None = None
        self._source = source
        self._request = request
        self._pipe = pipe

    def run(self) -> None:
        try:
            self._source.retrieve(self._request, self._pipe)
        except PipeAbandoned:
            self._pipe.close()
        except AditError as error:
            self.error = error
            self._pipe.close(error)
        except Exception as error:  # noqa: BLE001 - the edge of a thread: the caller raises it again
            self.bug = error
            self._pipe.close(error)
        else:
            self._pipe.close()


class _Reporter:
    """Tells how far a transfer is, not too often."""

    def __init__(self, ledger: Ledger, on_progress: Progress | None) -> None:
        self._ledger = ledger
        self._on_progress = on_progress
        self._last = 0.0

    def now(self) -> None:
        if self._on_progress is not None:
            self._last = time.monotonic()
            self._on_progress(self._ledger.so_far())

    def now_and_then(self) -> None:
        if time.monotonic() - self._last >= _PROGRESS_INTERVAL:
            self.now()
