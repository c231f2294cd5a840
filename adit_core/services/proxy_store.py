"""Storing instances in an archive, as STOW-RS does (PS3.18 10.5): each is passed on as soon as it is whole.

An instance waits in a file of its own until all of it has come and is known to be DICOM; so what breaks
off leaves nothing at the archive but the whole instances before it. What becomes of each is told by a
code of PS3.18 tables I.2-1 and I.2-2, which is what the archive said, or else:

==========================================================  ======
the instance                                                reason
==========================================================  ======
is no DICOM file, is damaged, or has no Study Instance UID  0xC000
is of another study than the path names                     0xA900
is of a SOP class or transfer syntax that is not supported  0x0122
was refused by the archive, which may take it later         0xA700
was refused by the archive for another reason               0x0110
was stored by the archive with a remark                     0xB000
came when the window of the archive had ended, which then   0x0110
stops what is under way (`OutsideWindow.STOP`)
==========================================================  ======
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO

from adit_core.dicom.completeness import is_whole
from adit_core.dicom.interruption import Interruption
from adit_core.dicom.multipart import MalformedBody, MultipartReader, Part, TruncatedBody
from adit_core.dicom.part10 import read_file_layout, read_study_instance_uid
from adit_core.dicom.ports import Delivery, InstanceHeader
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import AditError, InputProblem, InvalidInput, TaskStopped
from adit_core.services.node_places import places_at
from adit_core.services.node_visits import VisitingDestination
from adit_core.services.nodes import node_value
from adit_core.services.proxy_access import ProxyAccess
from adit_core.services.routes import destination_of

_IN_MEMORY = 1 << 20
_FRAGMENT = 1 << 18
_MEDIA_TYPES = ("", "application/dicom")

NOT_UNDERSTOOD = 0xC000
OTHER_STUDY = 0xA900
OUT_OF_RESOURCES = 0xA700
REFUSED = 0x0110
COERCED = 0xB000


class _BodyTooLarge(Exception):
    """More came than may be stored at once."""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """What became of one instance: without ``failure``, it was stored; its UIDs are empty if it has none."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    failure: int = 0
    warning: int = 0
    message: str = ""


@dataclass(slots=True)
class StoreReport:
    """What became of all instances, in order."""

    instances: list[StoredInstance] = field(default_factory=list)
    broken_off: str = ""
    """Why the body was not read to its end, if it was not."""
    is_too_large: bool = False
    """Whether that is because it is larger than what may be stored at once."""

    @property
    def stored(self) -> int:
        """How many instances were stored."""
        return sum(not each.failure for each in self.instances)


class Storing:
    """Stores what one request brings. `cancel` may be called from another thread."""

    def __init__(self, access: ProxyAccess, *, study_instance_uid: str = "", most_bytes: int) -> None:
        self._access = access
        self._study = study_instance_uid
        self._most = self._left = most_bytes
        self._interruption = Interruption()
        self._report = StoreReport()
        self._pending: dict[str, StoredInstance] = {}

    def cancel(self) -> None:
        """Break it off."""
        self._interruption.interrupt()

    def run(self, read: Callable[[], bytes], boundary: str) -> StoreReport:
        """Store the parts of a body that `read` returns piece by piece, nothing at its end.

        Raises:
            TaskStopped: It was cancelled.
            AditError: The archive failed before anything was stored.
        """
        try:
            self._run(MultipartReader(self._limited(read), boundary).parts())
        finally:
            self._record()
        return self._report

    def _run(self, parts: Iterator[Part]) -> None:
        db, node = self._access.db, self._access.node
        instances = self._incoming(parts)
        with ExitStack() as stack:
            stack.enter_context(places_at(db, [node], "proxy", self._interruption))
            stack.enter_context(self._interruption.applying())
            destination = stack.enter_context(destination_of(node_value(db, node)))
            visit = self._access.visit()
            visiting = VisitingDestination(destination, visit, visit.check_hours)
            try:
                for delivery in visiting.deliver(instances):
                    self._settle(delivery)
            except AditError as error:
                if self._interruption.is_interrupted:
                    raise TaskStopped("It was cancelled.") from error
                if not self._report.stored:
                    raise
                self._give_up(self._incoming(parts), str(error))

    def _limited(self, read: Callable[[], bytes]) -> Callable[[], bytes]:
        def limited() -> bytes:
            piece = read()
            self._left -= len(piece)
            if self._left < 0:
                raise _BodyTooLarge
            return piece

        return limited

    def _incoming(self, parts: Iterator[Part]) -> "Iterator[_SpooledInstance]":
        """Yield the instances that can be stored, each when it has come; enter the others as failed."""
        try:
            for part in parts:
                with SpooledTemporaryFile(_IN_MEMORY, prefix="adit-stow-") as file:
                    file.writelines(part.content)
                    instance = self._checked(part, file)
                    if instance is not None:
                        yield instance
        except _BodyTooLarge:
            self._report.is_too_large = True
            self._report.broken_off = f"The body is larger than {self._most} bytes, the most that is taken."
        except TruncatedBody:
            self._report.broken_off = "The body ended in the middle of a part, or without its last boundary."
        except MalformedBody as error:
            self._report.broken_off = f"The body is no multipart as RFC 2046 describes it: {error}."

    def _checked(self, part: Part, file: IO[bytes]) -> "_SpooledInstance | None":
        media_type = part.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in _MEDIA_TYPES:
            self._fail(StoredInstance("", "", "", NOT_UNDERSTOOD, message=f"a part is {media_type[:60]}"))
            return None
        try:
            layout = read_file_layout(file)  # type: ignore[arg-type]
            study = read_study_instance_uid(file, layout)  # type: ignore[arg-type]
        except InvalidInput as error:
            self._fail(StoredInstance("", "", "", NOT_UNDERSTOOD, message=str(error)))
            return None
        header = layout.header
        known = StoredInstance(header.sop_class_uid, header.sop_instance_uid, study)
        file.seek(layout.data_set_offset)
        if not study:
            return self._fail(known, NOT_UNDERSTOOD, "it has no Study Instance UID")
        if not is_whole(file, header.transfer_syntax_uid):  # type: ignore[arg-type]
            return self._fail(known, NOT_UNDERSTOOD, "it is damaged, or not whole")
        if self._study and study != self._study:
            return self._fail(known, OTHER_STUDY, "it is of another study than the path names")
        self._pending[header.sop_instance_uid] = known
        reference = InstanceReference(SeriesReference(StudyReference(study), ""), header.sop_instance_uid)
        return _SpooledInstance(reference, header, file, layout.data_set_offset)

    def _fail(self, instance: StoredInstance, reason: int = 0, message: str = "") -> None:
        uids = (instance.sop_class_uid, instance.sop_instance_uid, instance.study_instance_uid)
        failed = StoredInstance(
            *uids, failure=reason or instance.failure, message=message or instance.message
        )
        self._report.instances.append(failed)

    def _settle(self, delivery: Delivery) -> None:
        instance = self._pending.pop(delivery.sop_instance_uid)
        if delivery.failure:
            self._fail(instance, _reason(delivery), delivery.failure)
        elif delivery.warning:
            uids = (instance.sop_class_uid, instance.sop_instance_uid, instance.study_instance_uid)
            warned = StoredInstance(*uids, warning=delivery.status or COERCED, message=delivery.warning)
            self._report.instances.append(warned)
        else:
            self._report.instances.append(instance)

    def _give_up(self, instances: "Iterator[_SpooledInstance]", message: str) -> None:
        """Enter what was under way, and what is still to come, as failed."""
        for _ in instances:
            pass
        for instance in self._pending.values():
            self._fail(instance, REFUSED, message)
        self._pending.clear()

    def _record(self) -> None:
        """Audit what was stored, study by study; if nothing was, that it was tried."""
        stored = Counter(each.study_instance_uid for each in self._report.instances if not each.failure)
        failed = sum(bool(each.failure) for each in self._report.instances)
        for study, count in stored.items():
            self._access.record(succeeded=True, study_instance_uid=study, instances=count)
        if failed or not stored:
            self._access.record(succeeded=False, instances=failed)


@dataclass(frozen=True, slots=True)
class _SpooledInstance:
    """An instance that waits in a file; implements :class:`~adit_core.dicom.ports.IncomingInstance`."""

    reference: InstanceReference
    header: InstanceHeader
    file: IO[bytes]
    data_set_offset: int

    def fragments(self) -> Iterator[bytes]:
        """Yield the encoded data set."""
        self.file.seek(self.data_set_offset)
        while fragment := self.file.read(_FRAGMENT):
            yield fragment


def _reason(delivery: Delivery) -> int:
    return delivery.status or (OUT_OF_RESOURCES if delivery.retryable else REFUSED)


def require_boundary(boundary: str) -> str:
    """Return the boundary of a multipart body. Raises InvalidInput if there is none."""
    if not boundary or len(boundary) > 70:
        problem = "Name the boundary of the parts, of 70 characters at most: multipart/related; boundary=…"
        raise InvalidInput(InputProblem(problem, field="Content-Type"))
    return boundary
