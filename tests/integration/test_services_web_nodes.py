"""Nodes that are reached by DICOMweb: what may be added, searched, and chosen for a job."""

from dataclasses import replace

import pytest

from adit_core.db import ConnectionProfile, DicomNode, NodeKind
from adit_core.db.engine import Database
from adit_core.dicom import node as values
from adit_core.dicom.node import DicomWebNode, WebService
from adit_core.dicom.query import StudyQuery
from adit_core.errors import InvalidInput, NotFound
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.nodes import add_web_server, get_node, list_nodes, node_value
from adit_core.services.search import find_studies
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.studies import write_study
from tests.factories import ct_study
from tests.fakes.launcher import FakeLauncher
from tests.rows import make_folder, make_server, make_user, make_web_server
from tests.servers import OrthancServer

URL = "https://pacs.example.org/dicom-web"


def test_a_web_server_is_kept_as_what_transfers_work_with(database: Database) -> None:
    row = add_web_server(
        database,
        " Research ",
        base_url=f" {URL} ",
        prefixes={WebService.QIDO: "qido", WebService.STOW: "/stow/v1"},
        services=[WebService.QIDO, WebService.STOW],
        max_associations=5,
    )
    assert node_value(database, get_node(database, "Research")) == DicomWebNode(
        name="Research",
        base_url=URL,
        qido_prefix="qido",
        stow_prefix="/stow/v1",
        services=frozenset({WebService.QIDO, WebService.STOW}),
    )
    assert (row.kind, row.max_associations) == (NodeKind.WEB, 5)


def test_a_web_server_has_the_settings_of_its_connection_profile(database: Database) -> None:
    with database.session() as session:
        session.add(ConnectionProfile(name="patient", silence_timeout=300))
        session.commit()
    row = add_web_server(database, "A", base_url=URL, connection_profile="patient")
    value = node_value(database, row)
    assert isinstance(value, DicomWebNode)
    assert value.profile == replace(values.ConnectionProfile(), silence_timeout=300)
    with pytest.raises(NotFound):
        add_web_server(database, "B", base_url=URL, connection_profile="unknown")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pacs/dicom-web",
        "ftp://pacs/dicom-web",
        "https://",
        "https:///dicom-web",
        "https://user:password@pacs/dicom-web",
        "https://pacs/dicom-web?x=1",
        "https://pacs/dicom-web#x",
        "https://pacs/dicom web",
        "https://pacs:port/dicom-web",
        "https://pacs:0/dicom-web",
        "https://[::1/dicom-web",
        f"https://pacs/{'a' * 1024}",
    ],
)
def test_url_that_is_no_address_of_services_is_refused(database: Database, url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        add_web_server(database, "A", base_url=url)
    assert [problem.field for problem in caught.value.problems] == ["base_url"]
    assert list_nodes(database) == []


@pytest.mark.parametrize("prefix", ["a?b", "a b", "a#b", "ä", "a" * 256])
def test_prefix_that_is_no_path_is_refused(database: Database, prefix: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        add_web_server(database, "A", base_url=URL, prefixes={WebService.WADO: prefix})
    assert [problem.field for problem in caught.value.problems] == ["wado_prefix"]


def test_all_that_is_wrong_is_said_at_once(database: Database) -> None:
    with pytest.raises(InvalidInput) as caught:
        add_web_server(database, "", base_url="", prefixes={WebService.QIDO: "?"}, max_associations=0)
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["name", "base_url", "qido_prefix", "max_associations"]


def submitted(database: Database, source: DicomNode, destination: DicomNode) -> list[str]:
    """Return what is wrong with a job between two nodes; it is submitted if nothing is."""
    user = make_user(database, "staff", staff=True)
    try:
        submit_batch_transfer(
            database,
            FakeLauncher(),
            TransferRequest(owner_id=user.id, source=source.name, destination=destination.name),
            BatchFile((BatchStudy("P1", "1.2.3", (), "", (2,)),)),
        )
    except InvalidInput as error:
        return [problem.message for problem in error.problems]
    return []


def test_web_servers_can_be_source_and_destination_of_a_job(database: Database) -> None:
    assert submitted(database, make_web_server(database, "A"), make_web_server(database, "B")) == []


def test_web_server_without_retrieval_is_no_source(database: Database) -> None:
    source = make_web_server(database, "A", supports_wado=False)
    (problem,) = submitted(database, source, make_folder(database))
    assert "A does not support both QIDO-RS and WADO-RS" in problem


def test_web_server_without_storage_is_no_destination(database: Database) -> None:
    destination = make_web_server(database, "B", supports_stow=False)
    (problem,) = submitted(database, make_server(database), destination)
    assert "B does not support STOW-RS" in problem


def test_web_server_without_queries_cannot_be_searched(database: Database) -> None:
    make_web_server(database, "A", supports_qido=False)
    user = make_user(database, "staff", staff=True)
    with pytest.raises(InvalidInput, match="cannot be searched"):
        find_studies(database, user, "A", StudyQuery())


@pytest.mark.system
def test_studies_are_found_in_a_web_server(
    database: Database, orthanc_source: OrthancServer, tmp_path
) -> None:
    spec = ct_study()
    orthanc_source.archive.load(write_study(spec, tmp_path))
    make_web_server(database, "A", base_url=orthanc_source.archive.web_node.base_url)
    user = make_user(database, "staff", staff=True)
    (found,) = find_studies(database, user, "A", StudyQuery(patient_id=spec.patient_id))
    assert found.reference.study_instance_uid == spec.study_instance_uid
