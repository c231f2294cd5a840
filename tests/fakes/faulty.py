"""An archive on a real port, built with pynetdicom, that does wrong what archives have been seen to do wrong.

It holds the instances that it was given and those that were sent to it, and offers C-FIND, C-GET,
C-MOVE and C-STORE.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from pydicom import Dataset, dcmread
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, StoragePresentationContexts, evt

from adit_core.dicom.node import ServerNode, Service
from tests.factories import dataset_hash

_AE_TITLE = "FAULTY_1"
_HOST = "127.0.0.1"
_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")
_GET = UID("1.2.840.10008.5.1.4.1.2.2.3")
_LEVELS = {
    "STUDY": ("PatientID", "StudyInstanceUID"),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber"),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"),
}
_ALWAYS = 1_000_000


@dataclass
class FaultyArchive:
    """The running archive. What is wrong may be changed before it is used.

    What is wrong with retrievals is so in the first `times` of them, and right afterwards; the same
    holds for each instance that is dropped.
    """

    instances: dict[str, Dataset] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)
    """Instances that are listed but not handed out; the retrieval ends as if there were none."""
    status: int = 0
    """What retrievals end with."""
    sends_twice: bool = False
    """Whether retrievals bring everything twice."""
    overlooked: int = 0
    """How many instances of a study it does not count if it is asked for their number."""
    lateness: float = 0.0
    """By so many seconds, C-MOVE is answered before anything is sent."""
    drops: set[str] = field(default_factory=set)
    """Instances that are answered by success when they come, and not kept."""
    says: dict[str, int] = field(default_factory=dict)
    """What is answered when instances come, if it is not success; failures are not kept."""
    times: int = _ALWAYS
    receiver_port: int = 0
    """Where C-MOVE sends to, whatever the destination is called."""
    port: int = 0
    asked: list[set[str]] = field(default_factory=list)
    """The SOP Instance UIDs that matched each retrieval, in order."""
    taken: Counter[str] = field(default_factory=Counter)
    """How often each instance was sent to it."""

    def node(self, *services: Service) -> ServerNode:
        """Return the node by which it is reached, with these services besides C-FIND and C-STORE."""
        offered = frozenset({Service.FIND, Service.STORE, *services})
        return ServerNode("FAULTY", _AE_TITLE, _HOST, self.port, services=offered)

    def contents(self) -> dict[str, str]:
        """Return the data set hash of each instance by its SOP Instance UID."""
        return {uid: dataset_hash(instance) for uid, instance in self.instances.items()}

    def retrieved(self, keys: Dataset) -> list[Dataset]:
        """Return what is handed out of what matches."""
        matching = [instance for instance in self.instances.values() if _matches(keys, instance)]
        self.asked.append({instance.SOPInstanceUID for instance in matching})
        return [instance for instance in matching if instance.SOPInstanceUID not in self._withheld()]

    def final_status(self) -> int:
        """Return what the retrieval under way ends with."""
        return self.status if self._is_wrong() else 0

    def store(self, instance: Dataset) -> int:
        """Keep an instance, or drop it, and return the status."""
        uid = instance.SOPInstanceUID
        status = self.says.get(uid, 0)
        self.taken[uid] += 1
        is_kept = status == 0 or status & 0xF000 == 0xB000
        if is_kept and (uid not in self.drops or self.taken[uid] > self.times):
            self.instances[uid] = instance
        return status

    def _withheld(self) -> set[str]:
        return self.withheld if self._is_wrong() else set()

    def _is_wrong(self) -> bool:
        return len(self.asked) <= self.times


@contextmanager
def faulty_archive(
    files: Sequence[Path] = (), *, storage_classes: Sequence[str] | None = None
) -> Iterator[FaultyArchive]:
    """Run an archive that holds `files`, and takes and gives instances of these classes, or of all."""
    archive = FaultyArchive({(read := dcmread(path)).SOPInstanceUID: read for path in files})
    server = _entity(storage_classes).start_server(
        (_HOST, 0),
        block=False,
        evt_handlers=[
            (evt.EVT_C_FIND, _find, [archive]),
            (evt.EVT_C_GET, _get, [archive]),
            (evt.EVT_C_MOVE, _move, [archive]),
            (evt.EVT_C_STORE, _store, [archive]),
        ],
    )
    assert server is not None
    assert server.socket is not None
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        server.shutdown()


def _entity(storage_classes: Sequence[str] | None) -> AE:
    ae = AE(ae_title=_AE_TITLE)
    for service in (_FIND, _GET, _MOVE):
        ae.add_supported_context(service)
    if storage_classes is None:
        storage_classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    for storage_class in storage_classes:
        ae.add_supported_context(storage_class, scu_role=True, scp_role=True)
    ae.requested_contexts = StoragePresentationContexts[:120]
    return ae


def _find(event: evt.Event, archive: FaultyArchive) -> Iterator[tuple[int, Dataset | None]]:
    for answer in _answers(event.identifier, list(archive.instances.values())):
        if "SOPClassesInStudy" in event.identifier:
            _describe_study(archive, answer)
        yield 0xFF00, answer


def _describe_study(archive: FaultyArchive, answer: Dataset) -> None:
    held = [each for each in archive.instances.values() if each.StudyInstanceUID == answer.StudyInstanceUID]
    answer.SOPClassesInStudy = sorted({each.SOPClassUID for each in held})
    answer.NumberOfStudyRelatedInstances = len(held) - archive.overlooked


def _get(event: evt.Event, archive: FaultyArchive) -> Iterator[object]:
    sent = archive.retrieved(event.identifier) * (2 if archive.sends_twice else 1)
    yield _announced(archive, sent)
    for instance in sent:
        yield 0xFF00, instance
    if status := archive.final_status():
        yield status, Dataset()


def _move(event: evt.Event, archive: FaultyArchive) -> Iterator[object]:
    sent = archive.retrieved(event.identifier) * (2 if archive.sends_twice else 1)
    yield _HOST, archive.receiver_port
    if archive.lateness:
        Thread(target=_send_late, args=(archive, str(event.move_destination).strip(), sent)).start()
        sent = []
    yield _announced(archive, sent)
    for instance in sent:
        yield 0xFF00, instance
    if status := archive.final_status():
        yield status, Dataset()


def _announced(archive: FaultyArchive, sent: Sequence[Dataset]) -> int:
    """Return a number of sub-operations with which pynetdicom goes on to ask for the final status."""
    return max(len(sent), 1 if archive.final_status() else 0)


def _send_late(archive: FaultyArchive, destination: str, instances: Sequence[Dataset]) -> None:
    time.sleep(archive.lateness)
    association = _entity(None).associate(_HOST, archive.receiver_port, ae_title=destination)
    assert association.is_established
    for instance in instances:
        association.send_c_store(instance)
    association.release()


def _store(event: evt.Event, archive: FaultyArchive) -> int:
    instance = event.dataset
    instance.file_meta = event.file_meta
    return archive.store(instance)


def _answers(keys: Dataset, instances: Sequence[Dataset]) -> Iterator[Dataset]:
    """Yield one answer for each entity of the level that the keys ask for."""
    seen = set()
    for instance in instances:
        if not _matches(keys, instance):
            continue
        answer = Dataset()
        answer.QueryRetrieveLevel = keys.QueryRetrieveLevel
        for keyword in _LEVELS[keys.QueryRetrieveLevel]:
            setattr(answer, keyword, instance[keyword].value)
        if (text := str(answer)) not in seen:
            seen.add(text)
            yield answer


def _matches(keys: Dataset, instance: Dataset) -> bool:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        wanted = keys.get(keyword)
        if not wanted:
            continue
        if str(instance[keyword].value) not in ([wanted] if isinstance(wanted, str) else list(wanted)):
            return False
    return True
