"""A destination that instances reach changed: renamed, rewritten, or not at all.

To the transfer it speaks of instances as the source names them, to the destination behind it as they
are called there. So the manifest, what is held already and the account stay in one language.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from adit_core.dicom.ports import Delivery, Destination, ExpectedStudy, IncomingInstance
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Withheld:
    """An instance that is left out on purpose, with the reason in words."""

    reason: str


class Transformer(Protocol):
    """Changes the instances of one study, always in the same way."""

    def expected(self, expected: ExpectedStudy) -> ExpectedStudy:
        """Return the study as it will be called and described, its series and instances in the same order."""
        ...

    def transformed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
        """Return an instance as it is to arrive.

        Raises:
            PermanentError: It cannot be changed completely, so it must not leave.
        """
        ...


class _Names:
    """What the source calls what the destination knows by other names, and the other way round."""

    def __init__(self, here: ExpectedStudy | None = None, there: ExpectedStudy | None = None) -> None:
        self.study_there = there.study.reference if there else None
        pairs = list(zip(here.series, there.series, strict=True)) if here and there else []
        self.series_there = {a.series.reference.series_instance_uid: b.series.reference for a, b in pairs}
        self.source_series = {
            reference.series_instance_uid: uid for uid, reference in self.series_there.items()
        }
        self.source_uids = {
            b.reference.sop_instance_uid: a.reference.sop_instance_uid
            for one, other in pairs
            for a, b in zip(one.instances, other.instances, strict=True)
        }

    def at_source(self, delivery: Delivery) -> Delivery:
        """Return what became of an instance under the name that the source gives it."""
        return replace(delivery, sop_instance_uid=self.source_uids[delivery.sop_instance_uid])


class ChangingDestination(Destination):
    """Hands to `destination` what `transformer` makes of each instance."""

    def __init__(self, destination: Destination, transformer: Transformer) -> None:
        self._destination = destination
        self._transformer = transformer
        self._names = _Names()

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        """Learn how everything will be called, and tell the destination so."""
        changed = self._transformer.expected(expected)
        self._names = _Names(expected, changed)
        return {
            self._names.source_series[uid]: reason
            for uid, reason in self._destination.expect(changed).items()
        }

    def held(self, study: StudyReference, series: Sequence[SeriesReference]) -> frozenset[str] | None:
        """Return what the destination holds, by the names that the source gives it."""
        names = self._names
        there = [names.series_there[reference.series_instance_uid] for reference in series]
        held = self._destination.held(names.study_there or study, there)
        return (
            None
            if held is None
            else frozenset(names.source_uids[uid] for uid in held & names.source_uids.keys())
        )

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Change and deliver each instance; one that must not leave does not stop the others."""
        stayed: deque[Delivery] = deque()

        def leaving() -> Iterator[IncomingInstance]:
            for instance in instances:
                changed = self._changed(instance)
                if isinstance(changed, Delivery):
                    stayed.append(changed)
                else:
                    yield changed

        for delivery in self._destination.deliver(leaving()):
            while stayed:
                yield stayed.popleft()
            yield self._names.at_source(delivery)
        yield from stayed

    def close(self) -> None:
        """Close the destination."""
        self._destination.close()

    def _changed(self, instance: IncomingInstance) -> IncomingInstance | Delivery:
        uid = instance.header.sop_instance_uid
        try:
            changed = self._transformer.transformed(instance)
        except PermanentError as error:
            return Delivery(uid, failure=str(error))
        return Delivery(uid, withheld=changed.reason) if isinstance(changed, Withheld) else changed
