"""Whoever looks at a node, in whichever way, takes one of its places."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from adit_core.db import DicomNode, JobKind, User
from adit_core.db.engine import Database
from adit_core.dicom.query import Level, PatientQuery, SeriesQuery, StudyQuery
from adit_core.errors import NodeClosed
from adit_core.services.node_places import node_places
from adit_core.services.preview import preview_studies
from adit_core.services.proxy_access import SEARCH, ProxyVisitor, enter
from adit_core.services.proxy_search import Search, SearchRequest
from adit_core.services.search import find_instances, find_patients, find_series, find_studies
from adit_core.services.submit_selective import PickedStudy
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.view_instance import view_instance
from deployments.demo.studies import write_study
from tests.factories import ct_study, instance_result, series_reference, study_reference
from tests.fault_proxy import FaultProxy
from tests.rows import make_folder, make_server, make_user
from tests.servers import OrthancServer

pytestmark = [pytest.mark.system, pytest.mark.parametrize("backend", ["sqlite"])]

MOST = 2
STUDY = ct_study(2, key="places", patient_id="P1")


@dataclass
class Site:
    """An archive behind a network that counts connections."""

    db: Database
    staff: User
    node: DicomNode
    network: FaultProxy

    def uses(self) -> dict[str, Callable[[], object]]:
        """Return all ways to use the archive without a job."""
        db, staff, name = self.db, self.staff, self.node.name
        request = TransferRequest(owner_id=staff.id, source=name, destination="Export")
        study = PickedStudy(STUDY.patient_id, STUDY.study_instance_uid)
        return {
            "patients": lambda: find_patients(db, staff, name, PatientQuery()),
            "studies": lambda: find_studies(db, staff, name, StudyQuery()),
            "series": lambda: find_series(db, staff, name, SeriesQuery(study_reference(STUDY))),
            "instances": lambda: find_instances(db, staff, name, series_reference(STUDY, 0)),
            "view": lambda: view_instance(db, staff, name, instance_result(STUDY, 0, 0)),
            "preview": lambda: preview_studies(db, request, JobKind.SELECTIVE_TRANSFER, [study]),
            "proxy": self._search_by_proxy,
        }

    def _search_by_proxy(self) -> object:
        access = enter(ProxyVisitor(self.db, self.staff), self.node.ae_title, SEARCH)
        return Search(access, node_places(self.db), SearchRequest(Level.STUDY)).run()


@pytest.fixture
def site(database: Database, orthanc_source: OrthancServer, tmp_path: Path) -> Iterator[Site]:
    orthanc_source.archive.load(write_study(STUDY, tmp_path / "studies"))
    (tmp_path / "export").mkdir()
    make_folder(database, path=str(tmp_path / "export"))
    archive = orthanc_source.archive.node
    with FaultProxy(archive.port) as network:
        node = make_server(
            *(database, "ARCHIVE"),
            ae_title=archive.ae_title,
            host=archive.host,
            port=network.port,
            max_associations=MOST,
        )
        yield Site(database, make_user(database, staff=True), node, network)


def test_no_more_use_an_archive_at_once_than_it_allows(site: Site) -> None:
    site.network.delay(0.02)
    with ThreadPoolExecutor(14) as pool:
        done = [pool.submit(use) for use in [*site.uses().values()] * 2]
        for each in done:
            each.result(timeout=60)

    assert site.network.most_open == MOST


def test_who_finds_an_archive_full_is_told_so_after_a_short_while(site: Site) -> None:
    uses = site.uses()
    del uses["proxy"]  # programs are more patient, see test_node_places.py
    with ExitStack() as taken, ThreadPoolExecutor(len(uses)) as pool:
        for _ in range(MOST):
            taken.enter_context(node_places(site.db).taken(site.db, site.node))
        refused = [pool.submit(use) for use in uses.values()]
        for each in refused:
            with pytest.raises(NodeClosed, match="All 2 connections to ARCHIVE are in use; try again later"):
                each.result(timeout=30)

    assert site.network.most_open == 0
