"""What moves a study stays small, however many instances it has, and however large one of them is."""

import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import pytest

from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import FolderNode, Node
from adit_core.dicom.transfer import transfer_study
from adit_core.services.routes import open_route
from deployments.demo.studies import StudySpec, write_study
from tests.factories import ct_study, study_reference
from tests.servers import dcmqrscp

P = ParamSpec("P")
T = TypeVar("T")
MOST = 200e6
"""Bytes that a process may take at any time."""
LARGE_EDGE = 16_000
"""Rows and columns of an image of 512 MB."""


def peak_of_transfer(source: Node, destination: Node, spec: StudySpec) -> float:
    """Move a study in this process, and return the largest resident size that it ever had, in bytes."""
    with open_route(source, destination) as route:
        outcome = transfer_study(route, study_reference(spec), Selection())
    assert outcome.is_complete, outcome.message()
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) * 1024


def in_new_process(function: Callable[P, T], *arguments: P.args, **further: P.kwargs) -> T:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **further).result()


def test_thousands_of_instances_take_little_memory(tmp_path: Path) -> None:
    many = ct_study(5000, rows=8)
    write_study(many, tmp_path / "source")
    arrivals = tmp_path / "arrivals"
    arrivals.mkdir()
    ends = FolderNode("SOURCE", tmp_path / "source"), FolderNode("ARRIVALS", arrivals)
    assert in_new_process(peak_of_transfer, *ends, many) < MOST
    assert sum(1 for _ in arrivals.rglob("*.dcm")) == 5000


@pytest.mark.system
def test_a_large_instance_takes_little_memory() -> None:
    large = ct_study(1, rows=LARGE_EDGE)
    with TemporaryDirectory() as name, dcmqrscp(Path(name) / "dcmqrscp") as server:
        server.archive.load(in_new_process(write_study, large, Path(name) / "study"))
        arrivals = Path(name) / "arrivals"
        arrivals.mkdir()
        ends = server.archive.node, FolderNode("ARRIVALS", arrivals)
        assert in_new_process(peak_of_transfer, *ends, large) < MOST
        [arrived] = arrivals.rglob("*.dcm")
        assert arrived.stat().st_size > 500e6
