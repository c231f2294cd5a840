"""`make bench`: ADIT against DCMTK, plain pynetdicom and dicomweb-client, each in turn in the same run.

Tables go to the terminal; `bench-results/` gets the last run (JSON and a plot) and a line of history.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests.bench import archives, dashboard, dicomweb_proxy, large_job, queries, services, web
from tests.bench.contest import Result, hold
from tests.bench.report import circumstances_table, figures_table, keep, speed_table

_PARTS = ("services", "web", "proxy", "archives", "orchestration", "memory", "queries", "dashboard", "large")
Figures = dict[str, dict[str, float]]


def main() -> None:
    """Run the parts that were asked for, print their tables and keep the results."""
    options = _options()
    console = Console()
    results: list[Result] = []
    with ExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="adit-bench-")))
        for result in _contests(options, folder):
            console.print(speed_table(result))
            results.append(result)
        figures = _figures(options, folder)
    for title, values in figures.items():
        console.print(figures_table(title, values))
    console.print(circumstances_table())
    console.print(f"Results: {keep(vars(options), results, figures)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--instances", type=int, default=40, help="CT images of 512 x 512 in each study")
    parser.add_argument("--small", type=int, default=200, help="studies of one instance")
    parser.add_argument("--rows", type=int, default=500, help="rows of a batch query")
    parser.add_argument("--sessions", type=int, default=30, help="browsers that watch a job")
    parser.add_argument("--tasks", type=int, default=10_000, help="studies of a large job")
    return parser.parse_args()


def _contests(options: argparse.Namespace, folder: Path) -> Iterator[Result]:
    if "services" in options.parts:
        with ExitStack() as servers:
            for contest in services.contests(servers, folder, options.studies, options.instances):
                yield hold(contest, options.rounds)
    if "web" in options.parts:
        with ExitStack() as servers:
            for contest in web.contests(servers, folder, options.instances):
                yield hold(contest, options.rounds)
    if "proxy" in options.parts:
        sizes = 3 * options.instances, 12 * options.instances
        with ExitStack() as servers:
            for contest in dicomweb_proxy.contests(servers, folder / "proxy", sizes):
                yield hold(contest, options.rounds)
    if "archives" in options.parts:
        with ExitStack() as servers:
            arena = servers.enter_context(archives.open_arena(folder / "archives"))
            yield hold(archives.contest(servers, arena, options.studies, options.instances), options.rounds)


def _figures(options: argparse.Namespace, folder: Path) -> Figures:
    figures: Figures = {}
    if "proxy" in options.parts:
        images = 3 * options.instances
        title = f"DICOMweb proxy, a study of {images} CT images"
        rounds = min(5, options.rounds)
        figures[title] = dict(dicomweb_proxy.figures(folder / "figures-proxy", images=images, rounds=rounds))
    if "queries" in options.parts:
        title = f"Batch query of {options.rows} rows, {queries.SEVERAL} associations"
        rounds = min(3, options.rounds)
        figures[title] = dict(queries.figures(folder / "queries", rows=options.rows, rounds=rounds))
    if "dashboard" in options.parts:
        title = f"{options.sessions} browsers that watch a job each"
        figures[title] = dashboard.figures(folder / "dashboard", sessions=options.sessions, seconds=60)
    if "large" in options.parts:
        figures |= large_job.in_database(folder, options.tasks, large_jobs=25)
    if not {"orchestration", "memory", "large"} & set(options.parts):
        return figures
    with archives.open_arena(folder / "figures") as arena:
        if "orchestration" in options.parts:
            figures["Orchestration, studies of 100 CT images"] = archives.orchestration(
                arena, studies=options.studies, instances=100, rounds=options.rounds
            )
            figures["Orchestration, studies of one instance"] = archives.small_studies(arena, options.small)
        if "memory" in options.parts:
            figures["Peak memory, MB"] = archives.peak_memory(arena, instances=5000, megabytes=500)
        if "large" in options.parts:
            title = f"A job of {options.tasks} studies that are not there"
            figures[title] = large_job.flow_memory(arena, options.tasks)
    return figures


if __name__ == "__main__":
    main()
