"""The bounded pipe between the retrieval of instances and their delivery.

One thread puts in what the source sends (:class:`~adit_core.dicom.ports.Inlet`), another takes out
instances and delivers them. At most ``capacity`` bytes lie in between; then the source is made to
wait, by TCP in the end. An instance is handed on when it has arrived whole, or when it is too large
to wait for: so a source that dies costs the destination a half-sent instance only if that is large.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from threading import Condition, Lock

from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.references import InstanceReference
from adit_core.errors import IncompleteTransfer

CAPACITY = 64 << 20
"""Bytes that may lie in a pipe unless the caller says otherwise."""
_WORTH_A_VIEW = 1 << 12
"""Bytes of a fragment that is kept where it was received."""


class PipeAbandoned(Exception):
    """Raised at the source's end once nobody takes out any more; it ends the retrieval quietly."""


class InstancePipe:
    """Carries instances from one thread to another, each at most once.

    Only instances that are ``wanted`` and that did not come before are carried; of others, nothing
    but the number is kept (``unplanned``, ``duplicates``).
    """

    def __init__(self, wanted: Mapping[str, InstanceResult], capacity: int = CAPACITY) -> None:
        self.unplanned = 0
        self.duplicates = 0
        self._wanted = wanted
        self._capacity = capacity
        self._seen: set[str] = set()
        self._lock = Lock()
        self._room = Condition(self._lock)
        self._arrival = Condition(self._lock)
        self._buffered = 0
        self._ready: deque[PipedInstance] = deque()
        self._arriving: PipedInstance | None = None
        self._is_handed_on = False
        self._is_ended = False
        self._is_abandoned = False
        self._failure: BaseException | None = None

    @property
    def seen(self) -> frozenset[str]:
        """The SOP Instance UIDs of what has come, or begun to come."""
        return frozenset(self._seen)

    def begin(self, header: InstanceHeader) -> None:
        """Announce an instance; one that is not wanted is discarded as it comes."""
        uid = header.sop_instance_uid
        with self._lock:
            self._check_abandoned()
            if uid not in self._wanted:
                self.unplanned += 1
                self._arriving = None
            elif uid in self._seen:
                self.duplicates += 1
                self._arriving = None
            else:
                self._seen.add(uid)
                self._arriving = PipedInstance(self, self._wanted[uid].reference, header)
                self._is_handed_on = False

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes, waiting while the pipe is full."""
        instance = self._arriving
        # A view takes more memory than a few bytes, and keeps more of it.
        kept = fragment if len(fragment) >= _WORTH_A_VIEW else bytes(fragment)
        with self._lock:
            self._check_abandoned()
            if instance is None:
                return
            while self._buffered >= self._capacity and not self._is_abandoned:
                self._hand_on(instance)
                self._room.wait()
            self._check_abandoned()
            instance.queue.append(kept)
            instance.size += len(fragment)
            self._buffered += len(fragment)
            if self._is_handed_on or instance.size >= self._capacity // 4:
                self._hand_on(instance)

    def end(self) -> None:
        """Mark the instance as received completely and hand it on."""
        instance = self._arriving
        with self._lock:
            self._check_abandoned()
            if instance is None:
                return
            instance.is_whole = True
            self._hand_on(instance)
            self._arriving = None

    def close(self, failure: BaseException | None = None) -> None:
        """Say that nothing more will come, because of `failure` if there is one."""
        with self._lock:
            self._is_ended = True
            self._failure = failure
            self._arrival.notify()

    def abandon(self) -> None:
        """Say that nothing more will be taken out; the source's next call raises PipeAbandoned."""
        with self._lock:
            self._is_abandoned = True
            self._room.notify()

    def instances(self) -> Iterator["PipedInstance"]:
        """Yield instances as they come, until the source has ended, however it ended."""
        while (instance := self._next_instance()) is not None:
            yield instance
            for _ in instance.fragments():
                pass  # what the destination did not want of this instance makes room for the next

    def _next_instance(self) -> "PipedInstance | None":
        with self._lock:
            while not self._ready and not self._is_ended:
                self._arrival.wait()
            return self._ready.popleft() if self._ready else None

    def next_fragment(self, instance: "PipedInstance") -> bytes | memoryview | None:
        """Return the next bytes of `instance`, None at its end; raises what ended the source early."""
        with self._lock:
            while not instance.queue and not instance.is_whole and not self._is_ended:
                self._arrival.wait()
            if instance.queue:
                fragment = instance.queue.popleft()
                self._buffered -= len(fragment)
                if self._buffered <= self._capacity // 2:  # one long wait costs less than many short ones
                    self._room.notify()
                return fragment
            if not instance.is_whole:
                raise self._failure or IncompleteTransfer("The source ended in the middle of an instance.")
            return None

    def _hand_on(self, instance: "PipedInstance") -> None:
        """Have an instance taken out, or more of it."""
        if not self._is_handed_on:
            self._is_handed_on = True
            self._ready.append(instance)
        self._arrival.notify()

    def _check_abandoned(self) -> None:
        if self._is_abandoned:
            raise PipeAbandoned


class PipedInstance:
    """An instance in a pipe; implements :class:`~adit_core.dicom.ports.IncomingInstance`."""

    def __init__(self, pipe: InstancePipe, reference: InstanceReference, header: InstanceHeader) -> None:
        self.reference = reference
        self.header = header
        self.size = 0
        """Bytes of the data set that have arrived so far."""
        self.is_whole = False
        self.queue: deque[bytes | memoryview] = deque()
        self._pipe = pipe

    def fragments(self) -> Iterator[bytes | memoryview]:
        """Yield the encoded data set once, waiting for the source where it is slower."""
        while (fragment := self._pipe.next_fragment(self)) is not None:
            yield fragment
