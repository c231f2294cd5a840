"""`make bench`: ADIT against DCMTK and plain pynetdicom, on the same studies in the same run.

The contestants take turns, several rounds; what counts are ratios within one run, for machines
differ and are noisy. Nothing is asserted about speed, but every arrival is compared with the source.
Results go to `bench-results/`: the last run as JSON, and all runs as lines of a history.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adit_core.services.nodes import add_server
from deployments.demo.studies import StudySpec, write_study
from tests.bench.contestants import by_core, by_dcmtk, by_job, by_pynetdicom
from tests.bench.memory import PeakMemory, watch_memory
from tests.factories import ct_study, one_instance_studies
from tests.servers import OrthancServer, orthanc
from tests.stack import RunningStack, running_stack

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
_PACKAGES = ("prefect", "pydicom", "pynetdicom")


@dataclass(frozen=True)
class Timing:
    """How long a contestant took for the same studies, in seconds, one value a round."""

    contestant: str
    seconds: tuple[float, ...]
    studies: int
    megabytes: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def megabytes_per_second(self) -> float:
        return self.megabytes / self.median

    @property
    def studies_per_second(self) -> float:
        return self.studies / self.median


@dataclass(frozen=True)
class Arena:
    """The two archives, and ADIT with them as nodes."""

    source: OrthancServer
    destination: OrthancServer
    adit: RunningStack


def main() -> None:
    """Run the benchmark and print its tables."""
    options = _options()
    console = Console()
    with ExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="adit-bench-")))
        arena = _open_arena(servers, folder, options.associations)
        console.print("Making and loading studies …")
        studies = [
            ct_study(options.instances, rows=512, key=f"bench-{number}", patient_id=f"BENCH{number:03}")
            for number in range(options.studies)
        ]
        megabytes = _load(arena.source, studies, folder / "studies")
        peak = PeakMemory()
        timings = _compare(arena, studies, megabytes, options.rounds, peak)
        console.print(_speed_table(timings))
        small = one_instance_studies(options.small)
        _load(arena.source, small, folder / "small")
        orchestration = _orchestration(arena, small, peak)
    console.print(_orchestration_table(orchestration))
    console.print(f"Peak memory: flow run {peak.flow_run:.0f} MB, child {peak.child:.0f} MB.")
    _keep(options, timings, orchestration, peak)
    console.print(f"Results: {RESULTS / 'latest.json'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--instances", type=int, default=40, help="CT images of 512 x 512 in each study")
    parser.add_argument("--small", type=int, default=200, help="studies of one instance")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--associations", type=int, default=4, help="that each node allows")
    return parser.parse_args()


def _open_arena(servers: ExitStack, folder: Path, associations: int) -> Arena:
    source = servers.enter_context(orthanc(folder / "source", "SOURCE"))
    destination = servers.enter_context(orthanc(folder / "destination", "DESTINATION"))
    adit = servers.enter_context(running_stack(folder / "stack", {}))
    for server in (source, destination):
        node = server.archive.node
        add_server(
            adit.db,
            node.name,
            ae_title=node.ae_title,
            host=node.host,
            port=node.port,
            max_associations=associations,
        )
    return Arena(source, destination, adit)


def _load(archive: OrthancServer, studies: Sequence[StudySpec], folder: Path) -> float:
    """Load studies into an archive and return their size in MB of 1,000,000 bytes."""
    size = 0
    for study in studies:
        files = write_study(study, folder)
        archive.archive.load(files)
        size += sum(path.stat().st_size for path in files)
        for path in files:
            path.unlink()
    return size / 1e6


def _compare(
    arena: Arena, studies: Sequence[StudySpec], megabytes: float, rounds: int, peak: PeakMemory
) -> list[Timing]:
    """Let the contestants take turns; each begins with an empty destination."""
    source, destination = arena.source.archive.node, arena.destination.archive.node
    expected = arena.source.contents()
    contestants: dict[str, Callable[[], object]] = {
        "getscu + storescu": lambda: by_dcmtk(studies, source, destination),
        "pynetdicom": lambda: by_pynetdicom(studies, source, destination),
        "ADIT core": lambda: by_core(studies, source, destination),
        "ADIT job": lambda: _by_watched_job(arena, studies, peak),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            arena.destination.clear()
            start = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - start)
            assert arena.destination.contents() == expected, f"{name} did not move everything as it was"
    return [Timing(name, tuple(values), len(studies), megabytes) for name, values in seconds.items()]


def _by_watched_job(arena: Arena, studies: Sequence[StudySpec], peak: PeakMemory) -> None:
    worker = arena.adit.worker
    assert worker is not None
    with watch_memory(worker.pid) as seen:
        by_job(arena.adit, studies, "SOURCE", "DESTINATION")
    peak.flow_run = max(peak.flow_run, seen.flow_run)
    peak.child = max(peak.child, seen.child)


@dataclass(frozen=True)
class Orchestration:
    """What a job adds to the moving itself, from many studies of one instance."""

    studies: int
    core_seconds: float
    """By the core alone, one study after the other."""
    job_seconds: float
    """By a job, from its submission to its end."""
    start_seconds: float
    """Of that, until the first study began: submission, scheduling, the start of the flow run."""

    @property
    def milliseconds_per_study(self) -> float:
        """What the job took for a study once it had begun, moving included."""
        return (self.job_seconds - self.start_seconds) / self.studies * 1000


def _orchestration(arena: Arena, studies: Sequence[StudySpec], peak: PeakMemory) -> Orchestration:
    source, destination = arena.source.archive.node, arena.destination.archive.node
    arena.destination.clear()
    start = time.perf_counter()
    by_core(studies, source, destination)
    core_seconds = time.perf_counter() - start
    arena.destination.clear()
    worker = arena.adit.worker
    assert worker is not None
    start = time.perf_counter()
    with watch_memory(worker.pid) as seen:
        job = by_job(arena.adit, studies, "SOURCE", "DESTINATION")
    job_seconds = time.perf_counter() - start
    peak.flow_run = max(peak.flow_run, seen.flow_run)
    peak.child = max(peak.child, seen.child)
    assert job.started_at is not None
    start_seconds = (job.started_at - job.created_at).total_seconds()
    return Orchestration(len(studies), core_seconds, job_seconds, start_seconds)


def _speed_table(timings: Sequence[Timing]) -> Table:
    yardstick = timings[0]
    table = Table(title=f"{yardstick.studies} CT studies, {yardstick.megabytes:.0f} MB, archive to archive")
    for title in ("", "seconds (median)", "all", "studies/s", "MB/s", f"times {yardstick.contestant}"):
        table.add_column(title, justify="left" if not title else "right")
    for timing in timings:
        table.add_row(
            timing.contestant,
            f"{timing.median:.2f}",
            " ".join(f"{value:.2f}" for value in timing.seconds),
            f"{timing.studies_per_second:.2f}",
            f"{timing.megabytes_per_second:.1f}",
            f"{yardstick.median / timing.median:.2f}",
        )
    return table


def _orchestration_table(result: Orchestration) -> Table:
    table = Table(title=f"{result.studies} studies of one instance", show_header=False)
    table.add_row("core alone, ms a study", f"{result.core_seconds / result.studies * 1000:.1f}")
    table.add_row("job, ms a study once it had begun", f"{result.milliseconds_per_study:.1f}")
    table.add_row("until it had begun, s", f"{result.start_seconds:.1f}")
    table.add_row("job, studies/s from submission to end", f"{result.studies / result.job_seconds:.1f}")
    return table


def _keep(
    options: argparse.Namespace, timings: Sequence[Timing], orchestration: Orchestration, peak: PeakMemory
) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": vars(options),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": sys.version.split()[0]},
        "versions": {
            "dcmtk": _first_line("getscu", "--version"),
            **{name: version(name) for name in _PACKAGES},
        },
        "timings": [asdict(timing) | {"median": timing.median} for timing in timings],
        "orchestration": asdict(orchestration)
        | {"milliseconds_per_study": orchestration.milliseconds_per_study},
        "peak_memory_mb": asdict(peak),
    }
    (RESULTS / "latest.json").write_text(json.dumps(result, indent=2) + "\n")
    with (RESULTS / "history.jsonl").open("a") as history:
        history.write(json.dumps(result) + "\n")


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


if __name__ == "__main__":
    main()
