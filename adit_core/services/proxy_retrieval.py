"""Instances of an archive on their way to somebody who waits for them: retrieved, handed on.

Whoever asked takes the instances off the association as they come (`proxy_ahead.py`), or, where they have to
be planned before, out of a pipe into which a thread retrieves. So the first instance can be passed on while
the archive still looks for the last one, and no study is held in memory or on disk. It ends in one of these
ways:

==============================================  ====================================================
all that was planned came                       the iterator ends
the archive failed, or sent less than it has    the iterator raises, so that nobody takes a part for
                                                the whole
whoever asked goes away                         `cancel` breaks the connection to the archive
==============================================  ====================================================
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from threading import Thread
from typing import Self

from adit_core.dicom.changing import Withheld
from adit_core.dicom.interruption import Interruption
from adit_core.dicom.manifest import Manifest, Selection, plan
from adit_core.dicom.nifti import WITHOUT_IMAGES
from adit_core.dicom.node import Node, QueryRoot, ServerNode
from adit_core.dicom.pipe import InstancePipe, PipeAbandoned, PipedInstance
from adit_core.dicom.ports import IncomingInstance, RetrieveRequest
from adit_core.dicom.query import InstanceResult, StudyQuery, StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.errors import ActionNotPossible, AditError, IncompleteTransfer, StudyNotFound, TaskStopped
from adit_core.services.node_places import places_at
from adit_core.services.node_visits import NodeVisit, VisitingSearcher, VisitingSource
from adit_core.services.nodes import node_value
from adit_core.services.proxy_access import ProxyAccess
from adit_core.services.proxy_ahead import ArrivingInstance, RetrievalAhead, retrieval_ahead
from adit_core.services.proxy_disguise import Disguise, DisguiseWish, disguise_for
from adit_core.services.routes import searcher_of, source_of

_CAPACITY = 2 << 20
"""Bytes that a retrieval holds at most; many may go on at the same time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A study, a series of it, or one instance of a series."""

    study_instance_uid: str
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    is_one_for_all: bool = False
    """Whether one image is wanted that stands for all of it."""


_Incoming = Generator[ArrivingInstance | PipedInstance, None, None]
"""What comes from the archive, instance by instance."""


class Retrieval:
    """One retrieval. Use it as a context manager: leaving it ends whatever is still under way.

    All but `cancel` belongs to one thread at a time. `receiver` is where archives can send to that support
    C-MOVE only.
    """

    def __init__(
        self,
        access: ProxyAccess,
        receiver: ReceiverAddress | None,
        wanted: Wanted,
        wish: DisguiseWish | None = None,
    ) -> None:
        self.withheld = 0
        """How many instances were held back so far."""
        self._access = access
        self._receiver = receiver
        self._wanted = wanted
        self._wish = wish or DisguiseWish()
        self._interruption = Interruption()
        self._stack = ExitStack()
        self._count = 0
        self._size = 0
        self._expected = 0
        self._is_complete = False
        self._thread: _Thread | None = None
        self._pipe: InstancePipe | None = None
        self._incoming: _Incoming | None = None
        self._disguise: Disguise | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def renames(self) -> bool:
        """Whether instances get other UIDs than those that are planned."""
        return bool(self._wish.pseudonym)

    def start(self) -> Manifest:
        """Plan the retrieval, and return the plan; it begins when the first of the instances is taken.

        Raises:
            StudyNotFound: The archive has nothing of what is wanted.
            TaskStopped: It was cancelled.
            AditError: The archive could not be asked.
        """
        value, visit = self._visited()
        with self._asking(value, visit) as searcher:
            manifest = self._plan(searcher, value)
        self._begin(self._planned(value, visit, manifest))
        return manifest

    def start_at_once(self) -> None:
        """Do without a plan, if what will come need not be known before; else as `start`.

        What comes is then told without its series. Raises what `start` raises.
        """
        value, visit = self._visited()
        with self._asking(value, visit) as searcher:
            ahead = self._ahead(searcher, value, visit)
            if ahead is not None:
                incoming = self._arriving(value, visit, ahead)
            else:
                incoming = self._planned(value, visit, self._plan(searcher, value))
        self._begin(incoming)

    def instances(self) -> Iterator[IncomingInstance]:
        """Yield the instances as they come, changed as was asked for.

        Raises:
            IncompleteTransfer: Some of them did not come.
            DeidentificationFailed: One of them cannot be changed completely.
            ActionNotPossible: All of them were held back.
            TaskStopped: It was cancelled.
            AditError: The archive failed.
        """
        assert self._incoming is not None
        assert self._disguise is not None
        reason = ""
        with self._interrupted_as_stop():
            for instance in self._incoming:
                changed = self._disguise.changed(instance)
                if isinstance(changed, Withheld):
                    self.withheld += 1
                    reason = changed.reason
                else:
                    self._count += 1
                    yield changed
                self._size += instance.size
            self._check_complete()
        if self.withheld and not self._count:
            raise ActionNotPossible(f"All {self.withheld} instances were held back: {reason}")
        self._is_complete = True

    def cancel(self) -> None:
        """Break it off, from any thread; whoever waits for an instance gets TaskStopped."""
        self._interruption.interrupt()
        if self._pipe is not None:
            self._pipe.abandon()

    def close(self) -> None:
        """End what is still under way, and audit what was done."""
        if not self._is_complete:
            self.cancel()
        if self._thread is not None:
            self._thread.join()
        self._stack.close()
        self._access.record(
            succeeded=self._is_complete,
            study_instance_uid=self._wanted.study_instance_uid,
            instances=self._count,
            bytes=self._size,
            withheld=self.withheld,
            pseudonymized="yes" if self._wish.pseudonym else "no",
        )

    def _visited(self) -> tuple[Node, NodeVisit]:
        db, node = self._access.db, self._access.node
        self._stack.enter_context(places_at(db, [node], "proxy", self._interruption))
        return node_value(db, node), self._access.visit()

    @contextmanager
    def _asking(self, node: Node, visit: NodeVisit) -> Iterator[VisitingSearcher]:
        """Yield what asks the archive, until the retrieval is interrupted."""
        with (
            self._interrupted_as_stop(),
            self._interruption.applying(),
            VisitingSearcher(searcher_of(node), visit) as searcher,
        ):
            yield searcher

    def _ahead(self, searcher: VisitingSearcher, node: Node, visit: NodeVisit) -> RetrievalAhead | None:
        wanted = self._wanted
        is_simple = self._wish.is_empty and not (wanted.sop_instance_uid or wanted.is_one_for_all)
        if not is_simple:
            return None
        self._disguise = disguise_for(self._wish, "", self._access.db.keyring)
        return retrieval_ahead(searcher, node, visit, wanted.study_instance_uid, wanted.series_instance_uid)

    def _begin(self, incoming: _Incoming) -> None:
        self._incoming = self._stack.enter_context(closing(incoming))

    def _arriving(self, node: Node, visit: NodeVisit, ahead: RetrievalAhead) -> _Incoming:
        """Yield what comes, and what is missing then by a plan."""
        self._expected = ahead.expected
        with closing(ahead.instances()) as arriving:
            with self._interruption.applying():  # to the association, which is opened now
                first = next(arriving, None)
            if first is not None:
                yield first
                yield from arriving
        if len(ahead.seen) == ahead.expected:
            return
        wanted = self._wanted
        selection = Selection(frozenset({wanted.series_instance_uid} - {""}))
        with self._asking(node, visit) as searcher:
            manifest = plan(searcher, StudyReference(wanted.study_instance_uid), selection)
        # What came besides is part of the study as well: it has grown meanwhile.
        seen = frozenset(ahead.seen)
        self._expected = len(manifest.wanted().keys() | seen)
        request = manifest.request(without=seen)
        if request.parts:
            yield from self._piped(node, visit, manifest, request)

    def _planned(self, node: Node, visit: NodeVisit, manifest: Manifest) -> _Incoming:
        self._expected = len(manifest.wanted())
        return self._piped(node, visit, manifest, self._request(manifest))

    def _piped(self, node: Node, visit: NodeVisit, manifest: Manifest, request: RetrieveRequest) -> _Incoming:
        """Yield the instances of `request` as a thread retrieves them."""
        source = self._stack.enter_context(source_of(node, self._receiver))
        visiting = VisitingSource(source, visit, visit.check_hours if visit.stops_outside_hours else None)
        self._pipe = InstancePipe(manifest.wanted(), _CAPACITY)
        self._thread = _Thread(visiting, request, self._pipe, self._interruption)
        self._thread.start()
        yield from self._pipe.instances()
        self._thread.join()
        if self._thread.error is not None:
            raise self._thread.error

    def _plan(self, searcher: VisitingSearcher, node: Node) -> Manifest:
        wanted = self._wanted
        needs_patient = isinstance(node, ServerNode) and node.query_root is QueryRoot.PATIENT
        study = StudyReference(wanted.study_instance_uid)
        if needs_patient or self._wish.pseudonym:
            study = _known(searcher, wanted.study_instance_uid).reference
        self._disguise = disguise_for(self._wish, study.patient_id, self._access.db.keyring)
        chosen = {wanted.series_instance_uid} if wanted.series_instance_uid else frozenset[str]()
        selection = Selection(frozenset(chosen), self._disguise.excluded_modalities)
        manifest = _narrowed(plan(searcher, study, selection), wanted)
        if not manifest.wanted():
            reason = next((entry.filtered for entry in manifest.series if entry.filtered), "nothing is there")
            raise ActionNotPossible(f"Nothing of this may leave with a pseudonym: {reason}.")
        return manifest

    def _request(self, manifest: Manifest) -> RetrieveRequest:
        request = manifest.request(without=frozenset())
        if not (self._wanted.sop_instance_uid or self._wanted.is_one_for_all):
            return request
        parts = tuple(replace(part, whole=False) for part in request.parts)
        return RetrieveRequest(request.study, parts, whole=False)

    def _check_complete(self) -> None:
        missing = self._expected - self._count - self.withheld
        if missing > 0:
            raise IncompleteTransfer(f"{self._access.node.name} did not send {missing} of the instances.")

    def _interrupted_as_stop(self) -> "_InterruptedAsStop":
        return _InterruptedAsStop(self._interruption)


class _InterruptedAsStop:
    """Turns what an interruption breaks into TaskStopped."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __enter__(self) -> None:
        pass

    def __exit__(self, exc_type: object, error: BaseException | None, traceback: object) -> None:
        if self._interruption.is_interrupted and isinstance(error, AditError):
            raise TaskStopped("It was cancelled.") from error


class _Thread(Thread):
    """Fills a pipe with what a source has. ``error`` is what ended it early."""

    def __init__(
        self, source: VisitingSource, request: RetrieveRequest, pipe: InstancePipe, interruption: Interruption
    ) -> None:
        super().__init__(name="retrieval", daemon=True)
        self.error: Exception | None = None
        self._source = source
        self._request = request
        self._pipe = pipe
        self._interruption = interruption

    def run(self) -> None:
        try:
            with self._interruption.applying():
                self._source.retrieve(self._request, self._pipe)
        except PipeAbandoned:
            self.error = TaskStopped("It was cancelled.")
        except Exception as error:  # noqa: BLE001 - the edge of a thread: the caller raises it again
            self.error = error
        self._pipe.close(self.error)


def _known(searcher: VisitingSearcher, study_instance_uid: str) -> StudyResult:
    for study in searcher.find_studies(StudyQuery(study_instance_uid=study_instance_uid)):
        return study
    raise StudyNotFound(f"The source has no study {study_instance_uid}.")


def _narrowed(manifest: Manifest, wanted: Wanted) -> Manifest:
    """Return the manifest of one instance, if only one is wanted.

    Raises:
        StudyNotFound: The series does not have it.
    """
    uid = wanted.sop_instance_uid or (_representative(manifest) if wanted.is_one_for_all else "")
    if not uid:
        return manifest
    series = tuple(
        replace(entry, instances=tuple(one for one in entry.instances if _uid(one) == uid))
        for entry in manifest.series
    )
    if not any(entry.instances for entry in series):
        raise StudyNotFound(f"The series has no instance {uid}.")
    return replace(manifest, series=series, whole=False)


def _representative(manifest: Manifest) -> str:
    """Return the instance in the middle of the first series with images, or of the first of all."""
    entries = [entry for entry in manifest.series if entry.instances and not entry.filtered]
    images = [entry for entry in entries if entry.series.modality not in WITHOUT_IMAGES]
    for entry in images or entries:
        instances = sorted(entry.instances, key=lambda one: (one.instance_number or 0, _uid(one)))
        return _uid(instances[len(instances) // 2])
    return ""


def _uid(instance: InstanceResult) -> str:
    return instance.reference.sop_instance_uid
