"""The protocols that a transfer is written against: Searcher, Source and Destination.

An adapter opens what it needs when it is first used and gives it back in ``close``; adapters are
context managers. They are used by one thread at a time. Errors leave an adapter translated into
:mod:`adit_core.errors`.

Data sets travel as fragments of their encoded bytes, in the transfer syntax that the header names,
so that no instance is ever held whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.query import (
    AttributeQuery,
    InstanceResult,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import AditError


class Closable(Protocol):
    """Something that holds connections or files until it is closed; leaving its block closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is held, without raising."""
        ...


class Searcher(Closable, Protocol):
    """Answers questions about what an archive holds."""

    def find_patients(self, query: PatientQuery) -> Iterator[PatientResult]:
        """Yield patients as the archive sends them. Closing the iterator early cancels the query."""
        ...

    def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
        """Yield studies that fulfil `query`."""
        ...

    def find_series(self, query: SeriesQuery) -> Iterator[SeriesResult]:
        """Yield series of one study that fulfil `query`."""
        ...

    def find_instances(self, series: SeriesReference, *, uids_only: bool = False) -> Iterator[InstanceResult]:
        """Yield the instances of one series; with `uids_only` no more may be told than their references.

        To look up the SOP class of each instance takes some archives longer than to find it (Orthanc).
        """
        ...

    def find_data_sets(self, query: AttributeQuery) -> Iterator[JsonDataSet]:
        """Yield what the archive answers to a query of any attributes, each result once."""
        ...

    def rest(self) -> None:
        """Leave the archive alone until the next question: an association that is idle counts for it, too."""


class FuzzySearcher(Searcher, Protocol):
    """Has `find_data_sets` also find names that sound alike, if the archive can do that."""

    @property
    def has_matched_literally(self) -> bool:
        """Whether the archive has been asked to match fuzzily, and cannot."""
        ...


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What must be known of an instance before its data set."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class SeriesPart:
    """Instances of one series that are wanted; ``whole`` if these are all that the source has of it."""

    series: SeriesReference
    instances: tuple[InstanceResult, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """What is wanted of one study; ``whole`` if that is all that the source has of it."""

    study: StudyReference
    parts: tuple[SeriesPart, ...]
    whole: bool


class Inlet(Protocol):
    """Takes in what a source retrieves, one instance after the other: begin, write…, end.

    Every call may block until the destination has caught up. What `write` is given does not change
    afterwards, so it may be kept. An instance whose `end` does not come was not received.
    """

    def begin(self, header: InstanceHeader) -> None:
        """Announce an instance."""
        ...

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes of the encoded data set."""
        ...

    def end(self) -> None:
        """Mark the instance as received completely."""
        ...


class Source(Closable, Protocol):
    """Hands out instances."""

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        """Put the instances of `request` into `inlet`, in any order.

        The source may send more or less than was asked for; the caller compares what arrived. That
        an operation ended with failed sub-operations is therefore no error here, unless nothing of
        it could be done: then the error says why.
        """
        ...


class DirectMover(Protocol):
    """Has the source send instances to the destination, without passing through here."""

    def move(self, request: RetrieveRequest) -> AditError | None:
        """Have the instances of `request` sent, and return what the source said went wrong, if anything.

        What arrived is for the caller to find out, at the destination. Raises what kept the source from
        being asked.
        """
        ...


class IncomingInstance(Protocol):
    """An instance on its way to a destination."""

    @property
    def reference(self) -> InstanceReference:
        """Where in the manifest the instance belongs."""
        ...

    @property
    def header(self) -> InstanceHeader:
        """SOP class, SOP instance and transfer syntax."""
        ...

    def fragments(self) -> Iterator[bytes | memoryview]:
        """Yield the encoded data set, once; raises if the source fails half-way."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one instance at the destination.

    ``failure`` is empty if the destination took it; ``retryable`` tells whether it may take it later;
    ``warning`` is what it said although it took it (coercion of data elements, PS3.4 B.2.3); ``status`` is
    the code of either, if it gave one. ``withheld`` says why it was left out on purpose, if it was.
    """

    sop_instance_uid: str
    failure: str = ""
    withheld: str = ""
    retryable: bool = False
    warning: str = ""
    status: int = 0


@dataclass(frozen=True, slots=True)
class ExpectedSeries:
    """A series that is about to be delivered, and all its instances."""

    series: SeriesResult
    instances: tuple[InstanceResult, ...]


@dataclass(frozen=True, slots=True)
class ExpectedStudy:
    """What is about to be delivered of one study, described as its instances will say it.

    Of the study no more than its reference may be known.
    """

    study: StudyResult
    series: tuple[ExpectedSeries, ...]


class Destination(Closable, Protocol):
    """Takes instances, and tells what it holds."""

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        """Learn what will be asked about and delivered next, before either.

        Return the series that this destination never takes by their UID, each with the reason; they
        are filtered. It is called once for each study; without it nothing is known but references.
        """
        ...

    def held(self, study: StudyReference, series: Sequence[SeriesReference]) -> frozenset[str] | None:
        """Return the SOP Instance UIDs that are there in `series`; None if it cannot be asked."""
        ...

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Take each instance and yield what became of it, in the same order.

        An instance that is refused does not stop the others. What makes further deliveries pointless
        (connection lost, no space) is raised. An instance that was not taken completely leaves
        nothing behind.
        """
        ...
