"""Whoever looks at a node, in whichever way, takes one of its places."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import DicomNode, Job, JobKind, JobStatus, User
from adit_core.db.engine import Database
from adit_core.dicom.query import Level, PatientQuery, SeriesQuery, StudyQuery
from adit_core.errors import NodeClosed
from adit_core.services import fetch_instance, preview, search
from adit_core.services.jobs import show_job
from adit_core.services.node_check import check_node, echo_node
from adit_core.services.node_places import LONG_PATIENCE, places_at
from adit_core.services.node_settings import change_server
from adit_core.services.preview import preview_studies
from adit_core.services.proxy_access import SEARCH, ProxyVisitor, enter
from adit_core.services.proxy_search import Search, SearchRequest
from adit_core.services.run_job import JobRun
from adit_core.services.search import find_instances, find_patients, find_series, find_studies
from adit_core.services.submit_selective import PickedStudy
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.view_instance import view_instance
from adit_core.settings import Settings
from deployments.demo.studies import write_study
from tests.factories import ct_study, instance_result, series_reference, study_reference
from tests.fault_proxy import FaultProxy
from tests.rows import make_folder, make_server, make_transfer, make_user
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

    def checks(self) -> list[Callable[[], object]]:
        """Return the ways to check it."""
        return [lambda: echo_node(self.db, self.node.name), lambda: check_node(self.db, self.node.name)]

    def _search_by_proxy(self) -> object:
        access = enter(ProxyVisitor(self.db, self.staff), self.node.ae_title, SEARCH)
        return Search(access, SearchRequest(Level.STUDY)).run()


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


def test_no_more_use_an_archive_at_once_than_it_allows(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (search, preview, fetch_instance):  # the last of 14 has to wait for the others
        monkeypatch.setattr(module, "SHORT_PATIENCE", LONG_PATIENCE)
    site.network.delay(0.02)
    with ThreadPoolExecutor(14) as pool:
        done = [pool.submit(use) for use in [*site.uses().values()] * 2]
        for each in done:
            each.result(timeout=60)

    assert site.network.most_open == MOST


@pytest.mark.parametrize("most", [1, 2])
def test_jobs_pages_programs_and_checks_together_use_an_archive_no_more_than_it_allows(
    site: Site, tmp_path: Path, most: int
) -> None:
    change_server(site.db, site.node.name, max_associations=most, actor=site.staff)
    incoming = make_folder(site.db, "Incoming", path=str(tmp_path / "incoming"))
    outgoing = [ct_study(2, key=f"in {number}", patient_id="P2") for number in range(3)]
    for spec in outgoing:
        write_study(spec, tmp_path / "incoming")
    with site.db.reading() as session:
        export = session.exec(select(DicomNode).where(DicomNode.name == "Export")).one()
    jobs = [
        make_transfer(site.db, site.staff, site.node, export, [STUDY]),
        make_transfer(site.db, site.staff, incoming, site.node, outgoing),
    ]
    uses = [*site.uses().values(), *site.checks()]
    site.network.delay(0.02)

    with ThreadPoolExecutor(len(jobs) + len(uses)) as pool:
        moved = [pool.submit(execute, site.db, job) for job in jobs]
        asked = [pool.submit(use) for use in uses]
        for each in asked:
            with suppress(NodeClosed):  # the patience of people has an end
                each.result(timeout=60)
        for each in moved:
            each.result(timeout=120)

    assert [show_job(site.db, site.staff, job.id).status for job in jobs] == [JobStatus.SUCCESS] * 2
    assert site.network.most_open == most


def execute(db: Database, job: Job) -> None:
    """Execute a job as a flow does."""
    with JobRun(db, job.id, Settings(studies_in_flight=2)) as run, ThreadPoolExecutor(2) as pool:

        def perform(task_id: int) -> None:
            with run.turn():
                run.perform(task_id)

        while task_ids := run.new_tasks():
            list(pool.map(perform, task_ids))


def test_who_finds_an_archive_full_is_told_so_after_a_short_while(site: Site) -> None:
    uses = site.uses()
    del uses["proxy"]  # programs are more patient, see test_node_places.py
    asking = [*uses.values(), *site.checks()]
    with ExitStack() as taken, ThreadPoolExecutor(len(asking)) as pool:
        for _ in range(MOST):
            taken.enter_context(places_at(site.db, [site.node], "test"))
        refused = [pool.submit(ask) for ask in asking]
        for each in refused:
            with pytest.raises(NodeClosed, match="All 2 connections to ARCHIVE are in use; try again later"):
                each.result(timeout=30)

    assert site.network.most_open == 0
