"""What a benchmark leaves behind: tables, a plot, the last results and a history of all."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from rich.table import Table

from tests.bench.contest import Result

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
_PACKAGES = ("adit", "dicognito", "dicom-anonymizer", "dicomweb-client", "prefect", "pydicom", "pynetdicom")


def speed_table(result: Result) -> Table:
    """Return the medians of a contest, and how they stand to the yardstick and to what is wanted."""
    table = Table(title=f"{result.name} ({result.megabytes:.0f} MB)")
    for title in ("", "seconds (median)", "fastest", "slowest", "MB/s", "ratio", "wanted"):
        table.add_column(title, justify="right" if title else "left")
    for timing in result.timings:
        goal = result.goals.get(timing.contestant)
        table.add_row(
            timing.contestant,
            f"{timing.median:.2f}",
            f"{min(timing.seconds):.2f}",
            f"{max(timing.seconds):.2f}",
            f"{result.megabytes_per_second(timing):.1f}",
            f"{result.ratio(timing):.2f}",
            "" if goal is None else f"{goal:.1f}",
        )
    return table


def figures_table(title: str, figures: Mapping[str, float]) -> Table:
    """Return single figures with their names."""
    table = Table(title=title, show_header=False)
    for name, figure in figures.items():
        table.add_row(name, f"{figure:.1f}")
    return table


def circumstances_table() -> Table:
    """Return what the figures were measured on: the machine and the versions."""
    table = Table(title="Measured on", show_header=False)
    for name, value in {**_machine(), **_versions()}.items():
        table.add_row(name, str(value))
    return table


def keep(
    options: Mapping[str, object],
    results: Sequence[Result],
    figures: Mapping[str, Mapping[str, float]],
    name: str = "latest",
) -> Path:
    """Write results and plot under this name, and a line of history; return the folder they are in."""
    RESULTS.mkdir(exist_ok=True)
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": options,
        "machine": _machine(),
        "versions": _versions(),
        "contests": [_summary(result) for result in results],
        "figures": figures,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    with (RESULTS / "history.jsonl").open("a") as history:
        history.write(json.dumps(record) + "\n")
    if results:
        _plot(results, RESULTS / f"{name}.png")
    return RESULTS


def _summary(result: Result) -> dict[str, object]:
    ratios = {timing.contestant: round(result.ratio(timing), 3) for timing in result.timings}
    return {**asdict(result), "ratios": ratios}


def _machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


def _versions() -> dict[str, str]:
    return {
        "dcmtk": _first_line("getscu", "--version"),
        "orthanc": _first_line("Orthanc", "--version"),
        **{name: version(name) for name in _PACKAGES},
    }


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _plot(results: Sequence[Result], path: Path) -> None:
    """Draw the MB/s of all contestants of all contests, with the yardstick in another color."""
    rows = sum(len(result.timings) for result in results)
    heights = [len(result.timings) for result in results]
    figure, axes = plt.subplots(
        len(results), figsize=(9, 1.2 * len(results) + 0.3 * rows), height_ratios=heights, squeeze=False
    )
    for axis, result in zip(axes[:, 0], results, strict=True):
        _draw(axis, result)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw(axis: Axes, result: Result) -> None:
    names = [timing.contestant for timing in result.timings]
    speeds = [result.megabytes_per_second(timing) for timing in result.timings]
    colors = ["tab:gray" if name == names[0] else "tab:blue" for name in names]
    bars = axis.barh(names, speeds, color=colors)
    axis.bar_label(bars, [f"{result.ratio(timing):.2f} x" for timing in result.timings], padding=3)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_title(f"{result.name} (MB/s, and times {names[0]})", fontsize=10, loc="left")
