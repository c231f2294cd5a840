"""How a study moves: plan, skip what is there, retrieve, deliver while retrieving, verify.

Where the source can send to the destination by itself, it is asked to do so first, and what then is
still missing takes the way through here.

What passes through is asked whose it is (:mod:`adit_core.dicom.named_patient`). Instances that name another
patient than the source did are delivered as they are, and warned of. What the source sends directly, and
what the destination held before, is not seen here, so nothing can be said of it.

This is the main path of ADIT. It needs a searcher and a source on one side and a destination on the
other (:mod:`adit_core.dicom.ports`), and holds at most the capacity of its pipe in memory, however
large the study. It may be run again at any time: only what is missing is moved then.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Thread

from adit_core.dicom.manifest import Manifest, Selection, describe, plan
from adit_core.dicom.named_patient import NamedInstance
from adit_core.dicom.outcome import Ledger, StudyOutcome
from adit_core.dicom.pipe import CAPACITY, InstancePipe, PipeAbandoned, PipedInstance
from adit_core.dicom.ports import Delivery, Destination, DirectMover, RetrieveRequest, Searcher, Source
from adit_core.dicom.query import StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.errors import AditError

_PROGRESS_INTERVAL = 2.0

Progress = Callable[[StudyOutcome], None]
"""Is called about every two seconds, and never concurrently, with the account so far."""


@dataclass(frozen=True, slots=True)
class Verification:
    """How often a destination is asked for what it took; archives may index with a delay.

    ``delay`` is in seconds, before the second question, and doubles before each further one.
    """

    attempts: int = 6
    delay: float = 0.5


@dataclass(frozen=True, slots=True)
class Route:
    """The two ends of a transfer.

    ``direct`` is only for transfers that change nothing, to a destination that can be asked what it
    holds. What it moves is counted in instances, not in bytes, for nobody tells their size, and nobody
    sees which patient they name.
    """

    searcher: Searcher
    source: Source
    destination: Destination
    verification: Verification = Verification()
    capacity: int = CAPACITY
    direct: DirectMover | None = None
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
    route.searcher.rest()  # one association at a time: the next one retrieves
    ledger = Ledger(manifest, held=_held(route.destination, manifest) or frozenset())
    ledger.warnings += [f"The source has no series {uid}." for uid in manifest.missing_series]
    report = _Reporter(ledger, on_progress)
    report.now()
    request = manifest.request(without=ledger.held)
    if request.parts and route.direct is not None:
        _move_directly(route, route.direct, request, ledger)
        report.now()
        request = manifest.request(without=ledger.held | ledger.accepted())
    if request.parts:
        _move(route, request, ledger, report)
    return ledger.close(_confirmed(route, ledger))


def _agreed(route: Route, manifest: Manifest) -> Manifest:
    """Tell the destination what will come, and filter what it says that it does not take."""
    study = manifest.study
    description = describe(route.searcher, study) if route.describes_study else StudyResult(study)
    return manifest.filtering(route.destination.expect(manifest.expected(description)))


def _move_directly(route: Route, direct: DirectMover, request: RetrieveRequest, ledger: Ledger) -> None:
    """Have the source send what it can to the destination, and enter what is found there."""
    try:
        failure = direct.move(request)
    except AditError as error:
        failure = error
    wanted = frozenset(
        instance.reference.sop_instance_uid for part in request.parts for instance in part.instances
    )
    # If the source says that something failed, waiting for it would be in vain.
    attempts = route.verification.attempts if failure is None else 1
    found = wanted & (_await_held(route, ledger.manifest, wanted, attempts) or frozenset())
    for uid in found:
        ledger.enter(Delivery(uid), size=0)
    if not found:
        ledger.direct_failure = str(failure or "The source reported success, but nothing arrived.")
    elif found < wanted:
        ledger.notes.append(
            f"The source sent {len(found)} of {len(wanted)} instances directly. {failure or ''}"
        )
    else:
        ledger.notes.append(f"The source sent all {len(wanted)} instances directly.")


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
    passed: dict[str, tuple[PipedInstance, NamedInstance]] = {}

    def passing() -> Iterator[NamedInstance]:
        for instance in pipe.instances():
            named = NamedInstance(instance)
            passed[instance.header.sop_instance_uid] = instance, named
            yield named

    for delivery in destination.deliver(passing()):
        instance, named = passed.pop(delivery.sop_instance_uid)
        ledger.enter(delivery, instance.size, named.patient_id)
        report.now_and_then()


def _held(destination: Destination, manifest: Manifest) -> frozenset[str] | None:
    """Return which wanted instances the destination has, None if it cannot be asked."""
    series = [entry.series.reference for entry in manifest.series if not entry.filtered]
    held = destination.held(manifest.study, series)
    return None if held is None else held & manifest.wanted().keys()


def _confirmed(route: Route, ledger: Ledger) -> frozenset[str]:
    """Return the wanted instances that are at the destination, waiting a while for what it took."""
    accepted = ledger.accepted()
    if not accepted:
        return ledger.held
    try:
        found = _await_held(route, ledger.manifest, accepted, route.verification.attempts)
    except AditError as error:
        ledger.error = ledger.error or error
        return ledger.held
    return ledger.held | accepted if found is None else found


def _await_held(
    route: Route, manifest: Manifest, expected: frozenset[str], attempts: int
) -> frozenset[str] | None:
    """Return which wanted instances the destination has, after asking until it has all `expected`."""
    delay = route.verification.delay
    found = _held(route.destination, manifest)
    for _ in range(attempts - 1):
        if found is None or expected <= found:
            break
        time.sleep(delay)
        delay *= 2
        found = _held(route.destination, manifest)
    return found


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
