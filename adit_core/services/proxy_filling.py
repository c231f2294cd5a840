"""How the pipe of a retrieval is filled: by a plan of all instances, or ahead of any plan.

To list all instances of a study takes archives longer than to send the first of them. Where an archive
says in one answer of which SOP classes a study is, and how many instances it has, it is asked to send
them at once; it is asked for the list only if their number is not what it said.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from adit_core.dicom.dicom_json import values_of
from adit_core.dicom.get import DimseSource, fit_one_association
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.manifest import Manifest, Selection, plan
from adit_core.dicom.node import Node, QueryRoot, ServerNode, Service
from adit_core.dicom.pipe import InstancePipe
from adit_core.dicom.ports import RetrieveRequest, Source
from adit_core.dicom.query import AttributeQuery, InstanceResult, Level
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import PermanentError
from adit_core.services.node_visits import NodeVisit, VisitingSearcher, VisitingSource
from adit_core.services.routes import searcher_of


class Filling(Protocol):
    """A way to fill a pipe."""

    expected: int
    """How many instances there are to come; final when it has ended."""

    @property
    def wanted(self) -> Mapping[str, InstanceResult]:
        """What the pipe is to carry."""
        ...

    def fill(self, pipe: InstancePipe) -> None:
        """Put into the pipe what comes; raises what the source raises."""
        ...


class PlannedFilling:
    """Retrieves what is in a manifest."""

    def __init__(
        self, source: Source, visit: NodeVisit, manifest: Manifest, request: RetrieveRequest
    ) -> None:
        self.wanted: Mapping[str, InstanceResult] = manifest.wanted()
        self.expected = len(self.wanted)
        self._source = VisitingSource(source, visit, visit.check_hours if visit.stops_outside_hours else None)
        self._request = request

    def fill(self, pipe: InstancePipe) -> None:
        """Retrieve it."""
        self._source.retrieve(self._request, pipe)


class FillingAhead:
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
        self.wanted: Mapping[str, InstanceResult] = _Anything(series)
        self._node = node
        self._visit = visit
        self._series = series
        self._sop_classes = sop_classes

    def fill(self, pipe: InstancePipe) -> None:
        """Retrieve it, and what is missing then by a plan."""
        with DimseSource(self._node) as source:
            try:
                with self._visit.asking():
                    uid = self._series.series_instance_uid
                    source.retrieve_all(self._series.study, uid, self._sop_classes, pipe)
            except PermanentError:
                if pipe.seen:
                    raise
            if len(pipe.seen) != self.expected:
                self._fill_by_plan(source, pipe)

    def _fill_by_plan(self, source: DimseSource, pipe: InstancePipe) -> None:
        uid = self._series.series_instance_uid
        with VisitingSearcher(searcher_of(self._node), self._visit) as searcher:
            manifest = plan(searcher, self._series.study, Selection(frozenset({uid} - {""})))
        # What came besides is part of the study as well: it has grown meanwhile.
        self.expected = len(manifest.wanted().keys() | pipe.seen)
        request = manifest.request(without=pipe.seen)
        if request.parts:
            VisitingSource(source, self._visit, None).retrieve(request, pipe)


def filling_ahead(
    searcher: VisitingSearcher, node: Node, visit: NodeVisit, study_uid: str, series_uid: str
) -> FillingAhead | None:
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
    return FillingAhead(node, visit, reference, sop_classes=classes, expected=count)


def _only(searcher: VisitingSearcher, query: AttributeQuery) -> JsonDataSet:
    """Return the answer to a query, nothing if there is not just one."""
    found = list(searcher.find_data_sets(query))
    return found[0] if len(found) == 1 else {}


def _count(answer: JsonDataSet, keyword: str) -> int:
    values = values_of(answer, keyword)
    return values[0] if values and isinstance(values[0], int) else 0


class _Anything(Mapping[str, InstanceResult]):
    """Has an instance of every UID, in one series."""

    def __init__(self, series: SeriesReference) -> None:
        self._series = series

    def __getitem__(self, uid: str) -> InstanceResult:
        return InstanceResult(InstanceReference(self._series, uid))

    def __contains__(self, uid: object) -> bool:
        return isinstance(uid, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
