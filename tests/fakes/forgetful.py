"""An archive on a real port that lists instances which it does not hand out, and reports success."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset, FileDataset, dcmread
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.presentation import PresentationContext

from adit_core.dicom.node import ServerNode

_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
_GET = UID("1.2.840.10008.5.1.4.1.2.2.3")
_LEVELS = {
    "STUDY": ("PatientID", "StudyInstanceUID"),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber"),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"),
}


@dataclass
class ForgetfulArchive:
    """The running archive. It withholds the instances `withheld` in the first `times` retrievals."""

    withheld: set[str]
    times: int
    port: int = 0
    asked: list[set[str]] = field(default_factory=list)
    """The SOP Instance UIDs that matched each C-GET, in order."""

    @property
    def node(self) -> ServerNode:
        return ServerNode("FORGETFUL", "FORGETFUL", "127.0.0.1", self.port)


@contextmanager
def forgetful_archive(
    files: Sequence[Path], withheld: set[str], times: int = 1_000
) -> Iterator[ForgetfulArchive]:
    """Run an archive that holds `files`."""
    instances = [dcmread(path) for path in files]
    archive = ForgetfulArchive(withheld, times)

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for answer in _answers(event.identifier, instances):
            yield 0xFF00, answer

    def get(event: evt.Event) -> Iterator[object]:
        matching = [instance for instance in instances if _matches(event.identifier, instance)]
        archive.asked.append({instance.SOPInstanceUID for instance in matching})
        withheld = archive.withheld if len(archive.asked) <= archive.times else set()
        sent = [instance for instance in matching if instance.SOPInstanceUID not in withheld]
        yield len(sent)
        for instance in sent:
            yield 0xFF00, instance

    ae = AE(ae_title="FORGETFUL")
    ae.add_supported_context(_FIND)
    ae.add_supported_context(_GET)
    for context in AllStoragePresentationContexts:
        _support(ae, context)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get)]
    )
    assert server is not None
    assert server.socket is not None
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        server.shutdown()


def _support(ae: AE, context: PresentationContext) -> None:
    assert context.abstract_syntax is not None
    ae.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)


def _answers(keys: Dataset, instances: Sequence[FileDataset]) -> Iterator[Dataset]:
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
