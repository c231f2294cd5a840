"""Metrics in the format of Prometheus, for staff: counted at the moment when they are asked for."""

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from adit_core.api.v1.callers import Reader, Wired
from adit_core.db import DiskReading, SpaceState
from adit_core.services.rights import require_staff
from adit_core.services.statistics import Statistics, measure

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(wiring: Wired, caller: Reader) -> Response:
    """Tell how many jobs and tasks there are, by kind and status; for staff only."""
    require_staff(caller.user)
    registry = CollectorRegistry()
    registry.register(_Counted(measure(wiring.database)))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class MetricsAtRoot:
    """ASGI application that answers at ``/metrics``, where Prometheus looks, with what the API says."""

    def __init__(self, api: ASGIApp) -> None:
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, as if it had been made below ``/api``."""
        await self._api({**scope, "path": "/api/metrics", "root_path": "/api"}, receive, send)


class _Counted(Collector):
    """Statistics as metrics."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        told = self._statistics
        jobs = GaugeMetricFamily("adit_jobs", "Jobs by kind and status.", labels=("kind", "status"))
        for key, number in sorted(told.jobs.items()):
            jobs.add_metric(key, number)
        tasks = GaugeMetricFamily("adit_tasks", "Tasks by kind and status.", labels=("kind", "status"))
        for key, number in sorted(told.tasks.items()):
            tasks.add_metric(key, number)
        instances = GaugeMetricFamily(
            "adit_instances", "Instances of the transfers that there are, by outcome.", labels=("outcome",)
        )
        for outcome, number in told.instances.items():
            instances.add_metric((outcome,), number)
        nodes = GaugeMetricFamily(
            "adit_node_open", "Whether a node may be used now: 1 if so, else 0.", labels=("node",)
        )
        for name, is_open in told.open_nodes.items():
            nodes.add_metric((name,), int(is_open))
        sent = GaugeMetricFamily("adit_sent_bytes", "Bytes sent by the transfers that there are.")
        sent.add_metric((), told.bytes_sent)
        yield from (jobs, tasks, instances, nodes, sent)
        yield from _of_disks(told.disks)


def _of_disks(disks: Sequence[DiskReading]) -> Iterator[Metric]:
    free = GaugeMetricFamily(
        "adit_disk_free_bytes", "What is free on the disk of a place that ADIT writes to.", labels=("place",)
    )
    full = GaugeMetricFamily(
        "adit_disk_state",
        "Whether there is room for more: 0 enough, 1 low, 2 full, so that nothing new is begun.",
        labels=("place",),
    )
    for disk in disks:
        free.add_metric((disk.place,), disk.free)
        full.add_metric((disk.place,), list(SpaceState).index(disk.state))
    yield from (free, full)
