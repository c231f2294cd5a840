"""pynetdicom and DCMTK as senders: what they sent is what is spooled, and they see what they expect.

The same exchanges are had with a provider of pynetdicom, which has to answer the same.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import encode as encode_data_set

from deployments.demo.studies import Form, SeriesSpec, write_study
from tests import factories
from tests.fakes.lost_responses import LostResponse, answered, patiently
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT, J2K, MR
from tests.fakes.sender import RECEIVER, SENDER, VERIFICATION, RunningReceiver, running_receiver
from tests.servers import NO_DELAY, require

SYNTAXES = (EXPLICIT, IMPLICIT, J2K)
FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningReceiver]:
    with running_receiver(tmp_path / "spool") as receiver:
        yield receiver


@contextmanager
def pynetdicom_provider() -> Iterator[int]:
    """Run a provider of pynetdicom that is to do the same as ours, and yield its port."""
    entity = AE(RECEIVER)
    entity.require_called_aet = True
    entity.require_calling_aet = [SENDER]
    for sop_class in (CT, MR, VERIFICATION):
        entity.add_supported_context(sop_class, list(SYNTAXES))
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, lambda _event: 0x0000)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    assert server.socket is not None
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


@contextmanager
def associated(
    port: int,
    contexts: Sequence[tuple[str, str]],
    *,
    calling: str = SENDER,
    called: str = RECEIVER,
    max_pdu: int = 16382,
) -> Iterator[Association]:
    """Have pynetdicom ask for an association."""
    entity = AE(calling)
    entity.dimse_timeout = 3
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate("127.0.0.1", port, ae_title=called, max_pdu=max_pdu)
    yield association
    if association.is_established:
        association.release()


def image(number: int, syntax: str, size: int = 64) -> Dataset:
    """Return an image with random pixels; of a compressed one, in a single item."""
    made = Dataset()
    made.SOPClassUID = CT if number % 2 else MR
    made.SOPInstanceUID = f"1.2.3.1.{number}"
    made.StudyInstanceUID = "1.2.3"
    made.BitsAllocated = 16
    pixels = Random(number).randbytes(size * size * 2)
    made.PixelData = encapsulate([pixels]) if syntax == J2K else pixels
    made["PixelData"].VR = "OB" if syntax == J2K else "OW"
    made["PixelData"].is_undefined_length = syntax == J2K
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    return made


def encoded(data_set: Dataset) -> bytes:
    found = encode_data_set(
        data_set, data_set.file_meta.TransferSyntaxUID.is_implicit_VR, is_little_endian=True
    )
    assert found is not None
    return found


def store_all(port: int, images: Sequence[Dataset], max_pdu: int) -> None:
    with associated(port, STORAGE, max_pdu=max_pdu) as association:
        for each in images:
            assert answered(association.send_c_store(each)).Status == 0x0000


STORAGE = [(sop_class, syntax) for sop_class in (CT, MR) for syntax in SYNTAXES]


@pytest.mark.parametrize("max_pdu", [0, 2048, 16382])
def test_what_pynetdicom_stores_is_spooled_byte_for_byte(running: RunningReceiver, max_pdu: int) -> None:
    images = [image(number, syntax) for number, syntax in enumerate(SYNTAXES * 10)]
    patiently(lambda: store_all(running.receiver.port, images, max_pdu))
    assert running.waiting() == {each.SOPInstanceUID: encoded(each) for each in images}


def answers(port: int) -> list[object]:
    """Have the same exchanges with a provider, and return what pynetdicom says of its answers."""
    found: list[object] = []
    contexts = [*STORAGE, (VERIFICATION, IMPLICIT), (FIND, EXPLICIT)]
    with associated(port, contexts) as association:
        found += [
            (context.context_id, context.abstract_syntax, context.transfer_syntax)
            for context in association.accepted_contexts
        ]
        found += [context.abstract_syntax for context in association.rejected_contexts]
        for number, syntax in enumerate(SYNTAXES):
            found.append(answered(association.send_c_store(image(number, syntax), msg_id=number + 100)))
            found.append(answered(association.send_c_echo()))
        association.release()
        found.append(association.is_released)
    for calling, called in (("STRANGER", RECEIVER), (SENDER, "ELSE")):
        with associated(port, [(CT, EXPLICIT)], calling=calling, called=called) as association:
            rejection = association.acceptor.primitive
            if rejection is None:
                raise LostResponse
            found += [rejection.result, rejection.result_source, rejection.diagnostic]
    return found


def test_the_answers_are_those_of_pynetdicom(running: RunningReceiver) -> None:
    with pynetdicom_provider() as port:
        expected = patiently(lambda: answers(port))
    assert patiently(lambda: answers(running.receiver.port)) == expected


@pytest.mark.system
@pytest.mark.parametrize(
    ("syntax", "option"),
    [
        (ExplicitVRLittleEndian, "-xe"),
        (ImplicitVRLittleEndian, "-xi"),
        (JPEG2000Lossless, "-xv"),
        (RLELossless, "-xr"),
        (DeflatedExplicitVRLittleEndian, "-xd"),
    ],
)
def test_what_storescu_sends_is_spooled(
    running: RunningReceiver, tmp_path: Path, syntax: UID, option: str
) -> None:
    spec = factories.study(
        SeriesSpec(Form.CT, 20, "", 64, 64, transfer_syntax_uid=syntax), key=f"sent {syntax}"
    )
    write_study(spec, tmp_path / "study")
    result = storescu(running.receiver.port, option, "+sd", files=tmp_path / "study")
    assert result.returncode == 0, result.stderr
    spooled = [instance.path for instance in running.spool.scan()]
    assert factories.hashes(spooled) == factories.instances_in(tmp_path / "study")
    assert {instance.header.transfer_syntax_uid for instance in running.spool.scan()} == {syntax}


@pytest.mark.system
@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [
        ("STRANGER", RECEIVER, "Calling AE Title Not Recognized"),
        (SENDER, "ELSE", "Called AE Title Not Recognized"),
    ],
)
def test_storescu_is_told_why_it_is_rejected(
    running: RunningReceiver, tmp_path: Path, calling: str, called: str, reason: str
) -> None:
    (path, *_) = write_study(factories.ct_study(), tmp_path / "study")
    result = storescu(running.receiver.port, files=path, calling=calling, called=called)
    assert result.returncode != 0
    assert reason in result.stderr


def storescu(
    port: int, *options: str, files: Path, calling: str = SENDER, called: str = RECEIVER
) -> "subprocess.CompletedProcess[str]":
    """Run DCMTK's storescu."""
    program = require(shutil.which("storescu"), package="dcmtk")
    return subprocess.run(
        [program, "-aet", calling, "-aec", called, *options, "127.0.0.1", str(port), files],
        env=NO_DELAY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
