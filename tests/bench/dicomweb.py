"""`python -m tests.bench.dicomweb`: WADO-RS and STOW-RS against dicomweb-client, with one Orthanc.

The contestants take turns, several rounds, on the same CT studies; what counts are ratios within one
run. Nothing is asserted about speed, but everything that arrives is compared with what was sent.
Results are added to `bench-results/dicomweb.jsonl`.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread
from rich.console import Console
from rich.table import Table

from adit_core.dicom.dicomweb import WebDestination, WebSource
from adit_core.dicom.part10 import encode_file_header, read_file_instance
from adit_core.dicom.ports import InstanceHeader
from deployments.demo.studies import StudySpec, write_study
from tests.factories import ct_study, hashes, request_for_study
from tests.servers import OrthancServer, orthanc

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
_MEMORY = Path("/dev/shm")  # a file system of Linux
_PACKAGES = ("dicomweb-client", "pydicom", "requests", "urllib3")


@dataclass(frozen=True)
class Timing:
    """How long a contestant took for each study, in seconds."""

    contestant: str
    seconds: tuple[float, ...]
    megabytes: float
    """Of one study, 1,000,000 bytes each."""

    @property
    def megabytes_per_second(self) -> float:
        return self.megabytes / statistics.median(self.seconds)


class Files:
    """An inlet that writes each instance to a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO

    def begin(self, header: InstanceHeader) -> None:
        self._file = (self._folder / header.sop_instance_uid).open("wb", buffering=0)
        self._file.write(encode_file_header(header))

    def write(self, fragment: bytes | bytearray | memoryview) -> None:
        self._file.write(fragment)

    def end(self) -> None:
        self._file.close()


def main() -> None:
    """Run the comparison and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=40, help="CT images of 512 x 512 in each study")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    console = Console()
    # In memory, if possible: what is to be compared is not the disk.
    with (
        tempfile.TemporaryDirectory(prefix="adit-bench-", dir=_MEMORY if _MEMORY.is_dir() else None) as name,
        orthanc(Path(name) / "orthanc") as server,
    ):
        study = ct_study(options.instances, rows=512, key="bench-web")
        files = write_study(study, Path(name) / "study")
        retrieving = compare_retrieval(server, study, files, options.rounds)
        console.print(_table("WADO-RS", retrieving))
        storing = compare_storage(server, files, options.rounds)
        console.print(_table("STOW-RS", storing))
    _keep(options, retrieving, storing)


def compare_retrieval(
    server: OrthancServer, study: StudySpec, files: Sequence[Path], rounds: int
) -> list[Timing]:
    """Let the contestants retrieve a study into files in turns; each begins with an empty folder."""
    server.archive.load(files)
    node, uid = server.archive.web_node, study.study_instance_uid
    client = DICOMwebClient(node.base_url)
    folder = files[0].parent / "retrieved"
    folder.mkdir()

    def save(data_sets: Iterable[Dataset]) -> None:
        for data_set in data_sets:
            data_set.save_as(folder / data_set.SOPInstanceUID)

    def by_adit() -> None:
        with WebSource(node) as source:
            source.retrieve(request_for_study(study), Files(folder))

    def clear() -> None:
        for path in folder.iterdir():
            path.unlink()

    contestants = {
        "dicomweb-client, retrieve_study": lambda: save(client.retrieve_study(uid)),
        "dicomweb-client, iter_study": lambda: save(client.iter_study(uid)),
        "ADIT": by_adit,
    }
    timings = _take_turns(contestants, files, rounds, before_each=clear)
    assert hashes(folder.iterdir()) == hashes(files), "not everything was retrieved as it is"
    return timings


def compare_storage(server: OrthancServer, files: Sequence[Path], rounds: int) -> list[Timing]:
    """Let the contestants store a study in turns; each begins with an empty archive."""
    node = server.archive.web_node
    client = DICOMwebClient(node.base_url)
    expected = hashes(files)
    data_sets = [dcmread(path) for path in files]

    def by_client_from_memory() -> None:
        client.store_instances(data_sets)

    def by_client_from_files() -> None:
        client.store_instances([dcmread(path) for path in files])

    def by_adit() -> None:
        with WebDestination(node) as destination:
            deliveries = list(destination.deliver(map(read_file_instance, files)))
        assert not any(delivery.failure for delivery in deliveries)

    contestants = {
        "dicomweb-client, from memory": by_client_from_memory,
        "dicomweb-client, from files": by_client_from_files,
        "ADIT": by_adit,
    }
    timings = _take_turns(contestants, files, rounds, before_each=server.clear)
    assert server.contents() == expected, "not everything was stored as it was"
    return timings


def _take_turns(
    contestants: dict[str, Callable[[], None]],
    files: Sequence[Path],
    rounds: int,
    before_each: Callable[[], None] = lambda: None,
) -> list[Timing]:
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            before_each()
            start = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - start)
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    return [Timing(name, tuple(values), megabytes) for name, values in seconds.items()]


def _table(service: str, timings: Sequence[Timing]) -> Table:
    *others, adit = timings
    table = Table(title=f"{service}, a study of {adit.megabytes:.0f} MB")
    for title in ("", "ms (median)", "fastest", "slowest", "MB/s", "ADIT is faster by"):
        table.add_column(title, justify="right" if title else "left")
    for timing in timings:
        milliseconds = [value * 1000 for value in timing.seconds]
        table.add_row(
            timing.contestant,
            f"{statistics.median(milliseconds):.0f}",
            f"{min(milliseconds):.0f}",
            f"{max(milliseconds):.0f}",
            f"{timing.megabytes_per_second:.0f}",
            f"{adit.megabytes_per_second / timing.megabytes_per_second:.1f}" if timing in others else "",
        )
    return table


def _keep(options: argparse.Namespace, retrieving: Sequence[Timing], storing: Sequence[Timing]) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": vars(options),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": sys.version.split()[0]},
        "versions": {name: version(name) for name in _PACKAGES},
        "wado": [asdict(timing) for timing in retrieving],
        "stow": [asdict(timing) for timing in storing],
    }
    with (RESULTS / "dicomweb.jsonl").open("a") as history:
        history.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
