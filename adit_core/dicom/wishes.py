"""Wishes: which requests C-GET and C-MOVE are asked with, and what is expected by each (PS3.4 C.4.2, C.4.3).

Whole studies and whole series are asked for as such. Single instances are asked for in lists, which
archives differ in: some know no lists, some send nothing if they lack one of the instances.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from adit_core.dicom.identifier import unique_keys
from adit_core.dicom.node import ServerNode
from adit_core.dicom.ports import RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult

MOST_INSTANCES = 100
"""Asked for in one request. The list of their UIDs must stay below 64 KiB, and archives read it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The keys of one request, and which instances are expected by it."""

    keys: Mapping[str, str]
    sop_instance_uids: tuple[str, ...]

    def singles(self) -> Iterator["Wish"]:
        """Yield the wishes for each instance of a list alone; nothing for other wishes."""
        if self.keys["QueryRetrieveLevel"] == "IMAGE" and len(self.sop_instance_uids) > 1:
            for uid in self.sop_instance_uids:
                yield Wish({**self.keys, "SOPInstanceUID": uid}, (uid,))

    def __str__(self) -> str:
        return f"study {self.keys['StudyInstanceUID']} at {self.keys['QueryRetrieveLevel']} level"


def study_wish(node: ServerNode, request: RetrieveRequest) -> Wish:
    """Return the wish for the whole study.

    Raises:
        InvalidInput: The node needs a Patient ID, and there is none.
    """
    instances = [instance for part in request.parts for instance in part.instances]
    return Wish(unique_keys(node, "STUDY", request.study), _uids(instances))


def missing_wishes(node: ServerNode, parts: Iterable[SeriesPart], received: Collection[str]) -> list[Wish]:
    """Return the wishes for what of `parts` has not been received: whole series, or batches of instances.

    Raises:
        InvalidInput: The node needs a Patient ID, and there is none.
    """

    def is_missing(instance: InstanceResult) -> bool:
        return instance.reference.sop_instance_uid not in received

    return [wish for part in parts for wish in _part_wishes(node, narrowed(part, is_missing))]


def narrowed(part: SeriesPart, is_kept: Callable[[InstanceResult], bool]) -> SeriesPart:
    """Return what of the part is to be kept."""
    instances = tuple(filter(is_kept, part.instances))
    return SeriesPart(part.series, instances, part.whole and len(instances) == len(part.instances))


def _part_wishes(node: ServerNode, part: SeriesPart) -> Iterator[Wish]:
    """Yield the whole series as one wish, or its instances in batches."""
    series_uid = part.series.series_instance_uid
    if part.whole and part.instances:
        keys = unique_keys(node, "SERIES", part.series.study) | {"SeriesInstanceUID": series_uid}
        yield Wish(keys, _uids(part.instances))
        return
    instances = iter(part.instances)
    while batch := tuple(islice(instances, MOST_INSTANCES)):
        uids = _uids(batch)
        keys = unique_keys(node, "IMAGE", part.series.study) | {
            "SeriesInstanceUID": series_uid,
            "SOPInstanceUID": "\\".join(uids),
        }
        yield Wish(keys, uids)


def _uids(instances: Iterable[InstanceResult]) -> tuple[str, ...]:
    return tuple(instance.reference.sop_instance_uid for instance in instances)
