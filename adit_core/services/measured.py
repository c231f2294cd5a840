"""What transfers between nodes have shown so far: how large instances are, and how fast they move."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from adit_core.db import Job, SeriesProgress, Task, TaskKind

_MOST_TASKS = 1000
"""How many of the latest studies are looked at."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of the way from one node to another."""

    bytes_per_instance: Mapping[str, float]
    """By modality; those that were only seen together with others are left out."""
    mean_bytes_per_instance: float | None
    """Of all modalities; None if nothing was sent yet."""
    bytes_per_second: float | None
    """While anything was on its way; None if nothing was sent yet."""

    def size_of(self, modality: str, instances: int) -> float | None:
        """Return how many bytes so many instances may have; None if there is nothing to go by."""
        each = self.bytes_per_instance.get(modality, self.mean_bytes_per_instance)
        return None if each is None else each * instances

    def seconds_for(self, size: float | None) -> float | None:
        """Return how long so many bytes may take; None if there is nothing to go by."""
        if size is None or self.bytes_per_second is None:
            return None
        return size / self.bytes_per_second


def seconds_per_row(session: Session, node_id: int) -> float | None:
    """Return how long a node took to answer a row of a query; None if it was asked none yet."""
    tasks = session.exec(
        select(Task)
        .join(Job)
        .where(Job.source_id == node_id, Task.kind == TaskKind.QUERY, Task.delivered > 0)
        .order_by(col(Task.id).desc())
        .limit(_MOST_TASKS)
    ).all()
    seconds = _busy_seconds((task.started_at, task.ended_at) for task in tasks)
    rows = sum(task.delivered for task in tasks if task.started_at and task.ended_at)
    return seconds / rows if rows else None


def measured(session: Session, source_id: int | None, destination_id: int) -> Measured:
    """Return what finished tasks tell of a way; without a source, studies were uploaded.

    Studies that their source sent directly are not counted, since nobody told how large they were.
    """
    sent = _sent(session, source_id, destination_id)
    by_modality = defaultdict[str, list[_Sent]](list)
    for task in sent:
        if len(task.modalities) == 1:
            by_modality[next(iter(task.modalities))].append(task)
    return Measured(
        bytes_per_instance={modality: _mean(tasks) for modality, tasks in by_modality.items()},
        mean_bytes_per_instance=_mean(sent) if sent else None,
        bytes_per_second=_rate(sent),
    )


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was sent for one task, and when."""

    bytes: int
    instances: int
    started_at: datetime
    ended_at: datetime
    modalities: frozenset[str]


def _sent(session: Session, source_id: int | None, destination_id: int) -> list[_Sent]:
    way = (
        Job.destination_id == destination_id,
        col(Job.source_id).is_(None) if source_id is None else Job.source_id == source_id,
    )
    tasks = session.exec(
        select(Task)
        .join(Job)
        .where(*way, Task.kind == TaskKind.TRANSFER, Task.bytes_sent > 0, col(Task.ended_at).is_not(None))
        .order_by(col(Task.id).desc())
        .limit(_MOST_TASKS)
    ).all()
    modalities = _modalities(session, [task.id for task in tasks])
    return [
        _Sent(task.bytes_sent, task.sent, task.started_at, task.ended_at, frozenset(modalities[task.id]))
        for task in tasks
        if task.sent and task.started_at and task.ended_at
    ]


def _modalities(session: Session, task_ids: list[int]) -> Mapping[int, set[str]]:
    found = defaultdict[int, set[str]](set)
    rows = session.exec(
        select(SeriesProgress.task_id, SeriesProgress.modality).where(
            col(SeriesProgress.task_id).in_(task_ids), SeriesProgress.delivered > 0
        )
    )
    for task_id, modality in rows:
        found[task_id].add(modality)
    return found


def _mean(sent: Iterable[_Sent]) -> float:
    tasks = list(sent)
    return sum(task.bytes for task in tasks) / sum(task.instances for task in tasks)


def _rate(sent: list[_Sent]) -> float | None:
    """Return bytes per second of the time in which at least one study was on its way."""
    seconds = _busy_seconds((task.started_at, task.ended_at) for task in sent)
    return sum(task.bytes for task in sent) / seconds if seconds > 0 else None


def _busy_seconds(times: Iterable[tuple[datetime | None, datetime | None]]) -> float:
    """Return how long at least one of these was under way; those that have not ended do not count."""
    seconds = 0.0
    until: datetime | None = None
    for start, end in sorted((start, end) for start, end in times if start and end):
        begin = start if until is None else max(until, start)
        seconds += max((end - begin).total_seconds(), 0.0)
        until = end if until is None else max(until, end)
    return seconds
