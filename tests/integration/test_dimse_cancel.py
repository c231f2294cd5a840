"""Queries and retrievals that are broken off, at real archives: they end them, and nobody is aborted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.dicom.dimse import DimseSearcher, DimseSource
from adit_core.dicom.node import ServerNode
from adit_core.dicom.query import SeriesQuery
from deployments.demo.studies import write_study
from tests.factories import ct_study, request_for_study, study_reference
from tests.fakes.ports import InletFailed, RecordingInlet
from tests.fakes.recorder import pdus_of, recording
from tests.servers import FileArchive, OrthancServer

STUDY = ct_study(100)
DATA_PDU, RELEASE_PDU = 4, 5


def leave_query(node: ServerNode) -> None:
    with DimseSearcher(node) as searcher:
        series = iter(searcher.find_series(SeriesQuery(study_reference(STUDY))))
        next(series)
        series.close()  # type: ignore[attr-defined]


def leave_retrieval(node: ServerNode) -> None:
    with DimseSource(node) as source, pytest.raises(InletFailed):
        source.retrieve(request_for_study(STUDY), RecordingInlet(fail_after=1000))


@pytest.mark.system
@pytest.mark.parametrize("leave", [leave_query, leave_retrieval])
@pytest.mark.parametrize("archive", ["orthanc_source", "dcmqrscp", "qrscp"])
def test_an_archive_ends_what_is_broken_off(
    archive: str, leave: Callable[[ServerNode], None], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: OrthancServer | FileArchive = request.getfixturevalue(archive)
    server.archive.load(write_study(STUDY, tmp_path / "study"))
    node = server.archive.node
    with recording(node.port) as kept:
        leave(replace(node, port=kept.port))
    assert [pdu[0] for pdu in pdus_of(kept.said)[-2:]] == [DATA_PDU, RELEASE_PDU]
