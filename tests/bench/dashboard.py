"""Many people watching jobs that run: how long a page takes to renew itself, and what the web process needs.

Each session is a websocket that speaks Streamlit's protocol as a browser does: it opens the page of a job
and asks for its live part as often as the page says. Meanwhile all jobs go on, as workers have it.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from adit_core.db import SeriesProgress
from adit_core.services.claims import claim_task, unfinished_task_ids
from adit_core.services.progress import TaskCounts, record_progress
from tests.rows import make_job
from tests.web_process import COOKIE, WebProcess, web_process

_STUDIES = 50
"""Of each job: what one page of its list shows."""
_IMAGES = 400
_FINISHED = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
_PATIENCE = 120.0


@dataclass
class _Session:
    """A browser on the page of a job; times are in seconds."""

    url: str
    cookie: str
    job_id: int
    opening: float = 0.0
    renewals: list[float] = field(default_factory=list)
    _socket: ClientConnection = field(init=False)
    _fragment: str = ""
    _interval: float = 0.0

    async def open(self) -> None:
        self._socket = await connect(
            f"{self.url.replace('http', 'ws', 1)}/_stcore/stream",
            origin=self.url,  # type: ignore[arg-type]
            subprotocols=["streamlit"],  # type: ignore[list-item]
            additional_headers={"Cookie": f"{COOKIE}={self.cookie}"},
            max_size=None,
            proxy=None,
        )
        self.opening = await self._run("")
        assert self._fragment, "the page of a running job does not renew itself"

    async def watch(self, *, phase: float, until: float) -> None:
        """Renew the page until a moment; `phase` is when in the interval, for people come one by one."""
        await asyncio.sleep(phase * self._interval)
        while time.monotonic() < until:
            self.renewals.append(await self._run(self._fragment))
            await asyncio.sleep(max(0.0, self._interval - self.renewals[-1]))
        await self._socket.close()

    async def _run(self, fragment: str) -> float:
        """Ask for a run of the page, or of a part of it, and return how long it took to be complete."""
        asked = BackMsg()
        asked.rerun_script.query_string = f"id={self.job_id}"
        asked.rerun_script.page_name = "job"
        asked.rerun_script.context_info.url = f"{self.url}/job?id={self.job_id}"
        asked.rerun_script.context_info.timezone = "Europe/Berlin"
        asked.rerun_script.fragment_id = fragment
        asked.rerun_script.is_auto_rerun = bool(fragment)
        began = time.perf_counter()
        await self._socket.send(asked.SerializeToString())
        async with asyncio.timeout(_PATIENCE):
            while True:
                told = ForwardMsg.FromString(await self._socket.recv(decode=False))
                if told.HasField("auto_rerun"):
                    self._fragment = told.auto_rerun.fragment_id
                    self._interval = told.auto_rerun.interval
                if told.WhichOneof("type") == "script_finished" and told.script_finished in _FINISHED:
                    return time.perf_counter() - began


def figures(folder: Path, *, sessions: int, seconds: float) -> dict[str, float]:
    """Return how long pages took to open and to renew themselves, and what the web process needed."""
    folder.mkdir(parents=True)
    with web_process(folder) as web, _jobs(web, sessions) as job_ids:
        process = psutil.Process(web.server.process.pid)
        before = process.memory_info().rss
        watching = asyncio.run(_watch(web, job_ids, process, seconds))
        opening = [one.opening * 1000 for one in watching.sessions]
        renewing = [renewal * 1000 for one in watching.sessions for renewal in one.renewals]
        return {
            "opening a page, p50, ms": statistics.median(opening),
            "opening a page, p95, ms": _percentile(opening, 95),
            "renewal, p50, ms": statistics.median(renewing),
            "renewal, p95, ms (wanted: below 500)": _percentile(renewing, 95),
            "renewal, slowest, ms": max(renewing),
            "renewals a second": len(renewing) / seconds,
            "processor time of a renewal, ms": watching.cores * seconds * 1000 / len(renewing),
            "cores of the web process": watching.cores,
            "its memory before, MB": before / 1e6,
            "its memory afterwards, MB": process.memory_info().rss / 1e6,
            "load of the machine": os.getloadavg()[0],
        }


@dataclass
class _Watching:
    """What was measured, and how many cores the web process used meanwhile."""

    sessions: Sequence[_Session]
    cores: float


async def _watch(
    web: WebProcess, job_ids: Sequence[int], process: psutil.Process, seconds: float
) -> _Watching:
    user = web.add_user(staff=True)
    sessions = []
    for job_id in job_ids:
        with web.browser(user) as browser:
            sessions.append(_Session(web.url, browser.cookies[COOKIE], job_id))
    for session in sessions:
        await session.open()
    worked, began = _work(process), time.monotonic()
    until = began + seconds
    watching = (
        session.watch(phase=number / len(sessions), until=until) for number, session in enumerate(sessions)
    )
    await asyncio.gather(*watching)
    return _Watching(sessions, (_work(process) - worked) / (time.monotonic() - began))


def _work(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@contextmanager
def _jobs(web: WebProcess, number: int) -> Iterator[list[int]]:
    """Yield jobs, of each of which one study gets a little further every second."""
    job_ids = [make_job(web.db, _STUDIES, owner=web.add_user()).id for _ in range(number)]
    tasks = [unfinished_task_ids(web.db, job_id)[0] for job_id in job_ids]
    for task_id in tasks:
        claim_task(web.db, task_id, token="worker", lease=36_000)
    over = Event()

    def work() -> None:
        delivered = 0
        while not over.wait(1.0):
            delivered = min(delivered + 1, _IMAGES)
            for task_id in tasks:
                _go_on(web, task_id, delivered)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield job_ids
    finally:
        over.set()
        thread.join()


def _go_on(web: WebProcess, task_id: int, delivered: int) -> None:
    counts = TaskCounts(planned=_IMAGES, delivered=delivered, sent=delivered, bytes_sent=delivered << 19)
    series = SeriesProgress(
        task_id=task_id,
        series_instance_uid=f"1.2.3.{task_id}",
        modality="CT",
        series_number=1,
        planned=_IMAGES,
        delivered=delivered,
    )
    record_progress(web.db, task_id, token="worker", series=[series], counts=counts)
