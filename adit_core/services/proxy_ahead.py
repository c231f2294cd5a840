"""Retrieving ahead of any plan.

To list all instances of a study takes archives longer than to send the first of them. Where an archive
says in one answer of which SOP classes a study is, and how many instances it has, it is asked to send
them at once; it is asked for the list only if their number is not what it said. They are read off the
association by whoever passes them on, without a pipe and a thread in between.
"""

from collections.abc import Generator, Iterator
from contextlib import closing

from adit_core.dicom.dicom_json import values_of
from adit_core.dicom.get import Arrival, DimseSource, fit_one_association
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.node import Node, QueryRoot, ServerNode, Service
from adit_core.dicom.query import AttributeQuery, Level
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import PermanentError
from adit_core.services.node_visits import NodeVisit, VisitingSearcher


class ArrivingInstance:
    """An instance that is coming; implements :class:`~adit_core.dicom.ports.IncomingInstance`."""

    def __init__(self, series: SeriesReference, arrival: Arrival) -> None:
        self.header = arrival.header
        self.reference = InstanceReference(series, arrival.header.sop_instance_uid)
        self.size = 0
        """Bytes of the data set that have been read so far."""
        self._fragments = arrival.fragments

    def fragments(self) -> Iterator[memoryview]:
        """Yield the encoded data set once, as it comes."""
        for fragment in self._fragments:
            self.size += len(fragment)
            yield fragment


class RetrievalAhead:
    """Retrieves a study, or a series, that is known by its SOP classes and its size only."""

    def __init__(
        self,
        node: ServerNode,
        visit: NodeVisit,
        series: SeriesReference,
        *,
        sop_classes: tuple[str, ...],
        expected: int,
    ) -> None:
        self.expected = expected
        """How many instances the archive has, as it says."""
        self.seen: set[str] = set()
        """The SOP Instance UIDs of what has come, or begun to come."""
        self._node = node
        self._visit = visit
        self._series = series
        self._sop_classes = sop_classes

    def instances(self) -> Generator[ArrivingInstance, None, None]:
        """Yield what comes, each instance once; it is to be read before the next one is asked for.

        Raises:
            AditError: The archive failed. If it sent nothing because it cannot, nothing is raised.
        """
        series = self._series
        arrivals = DimseSource(self._node).arriving(
            series.study, series.series_instance_uid, self._sop_classes
        )
        try:
            with closing(arrivals), self._visit.asking():
                for arrival in arrivals:
                    uid = arrival.header.sop_instance_uid
                    if uid not in self.seen:
                        self.seen.add(uid)
                        yield ArrivingInstance(series, arrival)
        except PermanentError:
            if self.seen:
                raise


def retrieval_ahead(
    searcher: VisitingSearcher, node: Node, visit: NodeVisit, study_uid: str, series_uid: str
) -> RetrievalAhead | None:
    """Return how to go ahead; None where the archive cannot, or does not say enough, or goes by a policy."""
    if not isinstance(node, ServerNode) or Service.GET not in node.services:
        return None
    if node.query_root is not QueryRoot.STUDY or visit.is_supervised:
        return None
    asked = dict.fromkeys(("SOPClassesInStudy", "NumberOfStudyRelatedInstances"), "")
    study = _only(searcher, AttributeQuery(Level.STUDY, {"StudyInstanceUID": study_uid, **asked}))
    classes = tuple(map(str, values_of(study, "SOPClassesInStudy")))
    count = _count(study, "NumberOfStudyRelatedInstances")
    reference = SeriesReference(StudyReference(study_uid), series_uid)
    if series_uid:
        keys = {"SeriesInstanceUID": series_uid, "NumberOfSeriesRelatedInstances": ""}
        series = _only(searcher, AttributeQuery(Level.SERIES, keys, reference.study))
        count = _count(series, "NumberOfSeriesRelatedInstances")
    if not count or not fit_one_association(classes):
        return None
    return RetrievalAhead(node, visit, reference, sop_classes=classes, expected=count)


def _only(searcher: VisitingSearcher, query: AttributeQuery) -> JsonDataSet:
    """Return the answer to a query, nothing if there is not just one."""
    found = list(searcher.find_data_sets(query))
    return found[0] if len(found) == 1 else {}


def _count(answer: JsonDataSet, keyword: str) -> int:
    values = values_of(answer, keyword)
    return values[0] if values and isinstance(values[0], int) else 0
