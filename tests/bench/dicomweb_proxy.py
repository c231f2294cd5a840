"""The DICOMweb proxy in front of an Orthanc that is asked by DIMSE, against that Orthanc's own DICOMweb."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import psutil

from adit_core.dicom.credentials import BearerToken
from adit_core.dicom.dicomweb import WebSource
from adit_core.dicom.dimse import DimseSearcher
from adit_core.dicom.node import ConnectionProfile, DicomWebNode
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.query import AttributeQuery, Level
from deployments.demo.studies import StudySpec, write_study
from tests.bench import tools
from tests.bench.contest import Contest
from tests.dicomweb_proxy import Proxy, running_proxy
from tests.factories import ct_study, one_instance_studies, request_for_study
from tests.servers import OrthancServer, orthanc

_AE_TITLE = "SOURCE"
_CLIENTS = 10
_QUERIES = 30
_MOST_WAITED = 0.05


class _Counter:
    """An inlet that counts instances and bytes, and knows when the first one was whole."""

    def __init__(self) -> None:
        self.instances = 0
        self.size = 0
        self.first_at = 0.0

    def begin(self, header: InstanceHeader) -> None:
        pass

    def write(self, fragment: bytes | memoryview) -> None:
        self.size += len(fragment)

    def end(self) -> None:
        self.first_at = self.first_at or time.perf_counter()
        self.instances += 1


def contests(servers: ExitStack, folder: Path, sizes: Sequence[int]) -> Iterator[Contest]:
    """Yield the retrievals of CT studies of so many images by WADO-RS.

    What fits into 128 MB Orthanc has in memory when it is asked for it again.
    """
    source, proxy = _started(servers, folder)
    by_proxy = _node(proxy)
    for images in sizes:
        study = ct_study(images, rows=512, key=f"bench-proxy {images}")
        size = _load(source, study, folder)

        def retrieve(node: DicomWebNode, study: StudySpec = study, images: int = images) -> None:
            assert _retrieved(node, study).instances == images

        yield Contest(
            f"WADO-RS of a study of {images} CT images through the proxy",
            size / 1e6,
            {
                "Orthanc's own WADO-RS": partial(retrieve, source.archive.web_node),
                "ADIT's proxy, C-GET behind it": partial(retrieve, by_proxy),
            },
            lambda: None,
            goals={"ADIT's proxy, C-GET behind it": 0.33},
        )


def figures(folder: Path, *, images: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield times to the first instance, what QIDO-RS costs, and the memory of the web process."""
    with ExitStack() as servers:
        source, proxy = _started(servers, folder)
        study = ct_study(images, rows=512, key="bench-proxy figures")
        _load(source, study, folder)
        node = _node(proxy)
        _retrieved(node, study)
        whole = [_seconds(lambda: _downloaded(source, study)) for _ in range(rounds)]
        first = [_first_instance(node, study) for _ in range(rounds)]
        yield "download of the whole study by getscu, which ADIT answers after, ms", _median(whole) * 1000
        yield "first instance by the proxy, ms", _median(first) * 1000
        yield from _query_figures(source, proxy, folder)
        yield from _memory_figures(proxy, study)


def _downloaded(source: OrthancServer, study: StudySpec) -> None:
    with tools.temporary_folder() as folder:
        tools.getscu([study], source.archive.node, folder)


def _query_figures(source: OrthancServer, proxy: Proxy, folder: Path) -> Iterator[tuple[str, float]]:
    studies = one_instance_studies(100)
    source.archive.load(file for study in studies for file in write_study(study, folder / "queried"))
    uids = [study.study_instance_uid for study in studies[:_QUERIES]]

    def find(uid: str) -> None:
        keys = dict.fromkeys(("PatientID", "PatientName", "StudyDate", "ModalitiesInStudy"), "")
        query = AttributeQuery(Level.STUDY, {**keys, "StudyInstanceUID": uid})
        with DimseSearcher(source.archive.node) as searcher:
            assert len(list(searcher.find_data_sets(query))) == 1

    with proxy.http(_AE_TITLE) as client:

        def ask(uid: str) -> None:
            answer = client.get("qidors/studies", params={"StudyInstanceUID": uid})
            assert len(answer.raise_for_status().json()) == 1

        direct = [_seconds(lambda uid=uid: find(uid)) for uid in uids]
        by_proxy = [_seconds(lambda uid=uid: ask(uid)) for uid in uids]
        every = _seconds(lambda: client.get("qidors/studies").raise_for_status())
    yield "C-FIND of one study, ms", _median(direct) * 1000
    yield "QIDO-RS of one study by the proxy, ms", _median(by_proxy) * 1000
    yield "added to the C-FIND (wanted: less than 30), ms", (_median(by_proxy) - _median(direct)) * 1000
    yield f"QIDO-RS of all {len(studies) + 1} studies by the proxy, ms", every * 1000


def _memory_figures(proxy: Proxy, study: StudySpec) -> Iterator[tuple[str, float]]:
    process = psutil.Process(proxy.web.server.process.pid)
    before = process.memory_full_info()
    yield "memory of the web process before, MB", before.rss / 1e6
    yield "of which nobody else has (private), MB", before.uss / 1e6
    node = _node(proxy)
    start = time.perf_counter()
    with _peak(process) as peak, ThreadPoolExecutor(_CLIENTS) as executor:
        counters = list(executor.map(lambda _: _retrieved(node, study), range(_CLIENTS)))
    seconds = time.perf_counter() - start
    size = sum(counter.size for counter in counters) / 1e6
    assert len({(counter.instances, counter.size) for counter in counters}) == 1
    yield f"private peak while {_CLIENTS} clients retrieve at once (wanted: less than 300), MB", peak[1]
    yield f"peak while {_CLIENTS} clients retrieve at once, with shared libraries, MB", peak[0]
    yield f"{_CLIENTS} clients at once, MB/s", size / seconds
    with _peak(process) as peak, ThreadPoolExecutor(_CLIENTS) as executor:
        list(executor.map(lambda _: _read_slowly(proxy, study), range(_CLIENTS)))
    yield f"private peak while {_CLIENTS} clients read slowly, MB", peak[1]


def _read_slowly(proxy: Proxy, study: StudySpec) -> None:
    path = f"wadors/studies/{study.study_instance_uid}"
    with proxy.http(_AE_TITLE) as client, client.stream("GET", path) as response:
        pieces: Iterator[bytes] = response.iter_raw()
        for _, piece in zip(range(60), pieces, strict=False):
            assert piece
            time.sleep(_MOST_WAITED)


def _started(servers: ExitStack, folder: Path) -> tuple[OrthancServer, Proxy]:
    (folder / "proxy").mkdir(parents=True)
    source = servers.enter_context(orthanc(folder / "proxied", _AE_TITLE))
    proxy = servers.enter_context(running_proxy(folder / "proxy"))
    proxy.add_node(source.archive.node)
    return source, proxy


def _load(source: OrthancServer, study: StudySpec, folder: Path) -> int:
    files = write_study(study, folder / "proxied-study")
    source.archive.load(files)
    return sum(path.stat().st_size for path in files)


def _node(proxy: Proxy) -> DicomWebNode:
    return DicomWebNode(
        name="proxy",
        base_url=f"{proxy.web.url}/api/dicom-web/{_AE_TITLE}",
        qido_prefix="qidors",
        wado_prefix="wadors",
        stow_prefix="stowrs",
        profile=ConnectionProfile(credentials=BearerToken(proxy.token())),
    )


def _retrieved(node: DicomWebNode, study: StudySpec) -> _Counter:
    counter = _Counter()
    with WebSource(node) as source:
        source.retrieve(request_for_study(study), counter)
    return counter


def _first_instance(node: DicomWebNode, study: StudySpec) -> float:
    start = time.perf_counter()
    return _retrieved(node, study).first_at - start


@contextmanager
def _peak(process: psutil.Process) -> Iterator[list[float]]:
    """Yield the largest sizes that were seen, in MB: resident, and private."""
    peak, over = [0.0, 0.0], Event()

    def watch() -> None:
        while not over.wait(0.05):
            size = process.memory_full_info()
            peak[:] = max(peak[0], size.rss / 1e6), max(peak[1], size.uss / 1e6)

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _median(values: list[float]) -> float:
    return statistics.median(values)
