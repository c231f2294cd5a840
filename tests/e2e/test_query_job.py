"""A batch query through the real processes: Prefect's server, a worker, a flow run, children, an archive."""

from pathlib import Path

import pytest

from adit_core.db import JobStatus
from adit_core.services.batch_file import read_batch_file
from adit_core.services.nodes import add_folder, add_server
from adit_core.services.query_export import export_results
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.text_sheet import SheetFormat
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.studies import write_study
from tests.factories import instances_in, one_instance_studies
from tests.queries import answers, query_of
from tests.servers import OrthancServer
from tests.stack import RunningStack

pytestmark = pytest.mark.system

STUDIES = one_instance_studies(60)


def test_what_is_asked_in_a_spreadsheet_is_found_and_transferred(
    adit: RunningStack, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    orthanc_source.archive.load(file for spec in STUDIES for file in write_study(spec, tmp_path / "studies"))
    arrivals = tmp_path / "arrivals"
    arrivals.mkdir()
    node = orthanc_source.archive.node
    address = {"ae_title": node.ae_title, "host": node.host, "port": node.port}
    add_server(adit.db, "Asked", **address, max_associations=2)
    add_folder(adit.db, "Found", path=str(arrivals))
    asked = [{"AccessionNumber": spec.accession_number} for spec in STUDIES]
    query_id = submit_batch_query(
        adit.db,
        adit.launcher,
        owner_id=adit.user.id,
        source="Asked",
        query=query_of(*asked, {"AccessionNumber": "unknown"}),
    )
    query = adit.finished(query_id)
    assert (query.status, query.message) == (JobStatus.WARNING, "1 of 61 rows ended with a warning.")
    found = answers(adit.db, adit.user, query_id, "QueryRow", "StudyInstanceUID")
    expected = [(str(row), spec.study_instance_uid) for row, spec in enumerate(STUDIES, 2)]
    assert found == [*expected, ("62", "")]

    batch = read_batch_file(export_results(adit.db, adit.user, query_id, SheetFormat.XLSX))
    transfer_id = submit_batch_transfer(
        adit.db,
        adit.launcher,
        TransferRequest(owner_id=adit.user.id, source="Asked", destination="Found"),
        batch,
    )
    assert adit.finished(transfer_id).status is JobStatus.SUCCESS
    assert instances_in(arrivals) == instances_in(tmp_path / "studies")
