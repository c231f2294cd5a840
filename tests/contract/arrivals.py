"""An inlet that tells what arrived."""

from io import BytesIO

from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import InstanceHeader
from tests.factories import dataset_hash


class InletFailed(Exception):
    """What the inlet raises when it is told to fail."""


class Arrivals:
    """Keeps the hash of each instance that came completely, and counts how often it came."""

    def __init__(self, fail_in: int | None = None) -> None:
        self.hashes: dict[str, str] = {}
        self.headers: dict[str, InstanceHeader] = {}
        self.count = 0
        self._fail_in = fail_in
        """The number of the instance at whose first bytes an error is raised, counted from 0."""
        self._header: InstanceHeader | None = None
        self._file = BytesIO()

    def begin(self, header: InstanceHeader) -> None:
        assert self._header is None, "an instance began before the one before it ended"
        self._header = header
        self._file = BytesIO(encode_file_header(header))
        self._file.seek(0, 2)

    def write(self, fragment: bytes | memoryview) -> None:
        assert self._header is not None
        if self.count == self._fail_in:
            raise InletFailed
        self._file.write(fragment)

    def end(self) -> None:
        assert self._header is not None
        uid = self._header.sop_instance_uid
        self._file.seek(0)
        self.hashes[uid] = dataset_hash(self._file)
        self.headers[uid] = self._header
        self.count += 1
        self._header = None
