"""Real archives are checked: what each supports, and that a check leaves nothing behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

from adit_core.db.engine import Database
from adit_core.dicom.credentials import BasicCredentials
from adit_core.dicom.node import DicomWebNode, QueryRoot, ServerNode, Service, WebService
from adit_core.dicom.probe import Encryption, ServerAnswers, Verdict, probe_server
from adit_core.dicom.web_probe import probe_web
from adit_core.errors import InvalidInput
from adit_core.services.node_check import check_node
from adit_core.services.node_differences import server_differences
from adit_core.services.nodes import add_folder, add_server, add_web_server
from adit_core.services.profiles import add_profile
from deployments.demo.archives import CALLING_AE_TITLE
from deployments.demo.processes import HOST
from deployments.demo.studies import write_study
from deployments.stack import free_port
from tests import servers
from tests.certificates import Authority
from tests.factories import ct_study
from tests.servers import FileArchive, OrthancServer, QrscpServer
from tests.web_servers import GuardedOrthanc, guarded_orthanc

pytestmark = pytest.mark.system

EVERYTHING = {Service.FIND, Service.GET, Service.MOVE}


def supported(answers: ServerAnswers) -> set[Service]:
    """Return the services that both information models are supported of."""
    return {
        service
        for service in EVERYTHING
        if all(
            (found := answers.answer(service, root)) and found.verdict == "supported" for root in QueryRoot
        )
    }


def harm(node: ServerNode, answers: ServerAnswers) -> set[str]:
    return {each.about for each in server_differences(node, answers) if each.is_harmful}


def accepted_syntaxes(answers: ServerAnswers) -> set[str]:
    return {
        syntax
        for each in answers.storage
        if each.sop_class_uid == CTImageStorage
        for syntax in each.transfer_syntax_uids
    }


def test_an_archive_that_supports_everything(orthanc_source: OrthancServer) -> None:
    node = orthanc_source.archive.node

    answers = probe_server(node)

    assert answers.failure == ""
    assert answers.encryption is Encryption.NONE
    assert supported(answers) == EVERYTHING
    assert {ExplicitVRLittleEndian, JPEG2000Lossless} <= accepted_syntaxes(answers)
    assert list(server_differences(node, answers)) == []
    assert orthanc_source.contents() == {}


def test_what_an_archive_accepts_but_does_not_do_is_not_supported(tmp_path: Path) -> None:
    modality = {"AET": CALLING_AE_TITLE, "Host": HOST, "Port": 104, "AllowFind": True, "AllowEcho": True}
    rights = dict.fromkeys(("AllowGet", "AllowMove", "AllowStore"), False)
    settings = {"DicomModalities": {"adit": modality | rights}}
    with servers.orthanc(tmp_path / "orthanc", settings=settings) as server:
        node = server.archive.node
        answers = probe_server(node)

    assert supported(answers) == {Service.FIND}
    assert harm(node, answers) == {"C-GET", "C-MOVE"}


def test_dcmqrscp_supports_everything_in_fewer_transfer_syntaxes(dcmqrscp: FileArchive) -> None:
    answers = probe_server(dcmqrscp.archive.node)

    assert supported(answers) == EVERYTHING
    assert len(accepted_syntaxes(answers)) == 5


def test_an_archive_that_does_not_know_where_to_move_to_is_told(qrscp: QrscpServer) -> None:
    node = qrscp.archive.node

    unknown = probe_server(node, move_destination="NOBODY")
    known = probe_server(node)

    assert harm(node, unknown) == {"C-MOVE"}
    assert harm(node, known) == set()


def test_storescp_stores_only(storescp: FileArchive) -> None:
    node = storescp.archive.node

    answers = probe_server(node)

    assert supported(answers) == set()
    assert accepted_syntaxes(answers)
    assert harm(node, answers) == {"C-FIND", "C-GET", "C-MOVE"}
    assert harm(replace(node, services=frozenset({Service.STORE})), answers) == set()
    assert storescp.contents() == {}


def test_a_stranger_learns_why_it_is_rejected(orthanc_source: OrthancServer) -> None:
    node = replace(orthanc_source.archive.node, calling_ae_title="STRANGER")

    answers = probe_server(node)

    assert "calling AE title not recognized" in answers.failure
    assert (answers.encryption, harm(node, answers)) == (Encryption.NONE, {"connection"})


def test_an_archive_over_tls_is_asked_over_tls(tls_orthanc: OrthancServer) -> None:
    node = tls_orthanc.archive.node

    answers = probe_server(node)

    assert (answers.encryption, answers.tls_version[:3]) == (Encryption.TLS, "TLS")
    assert supported(answers) == EVERYTHING
    assert harm(node, answers) == set()


@pytest.mark.parametrize("name", ["tls_orthanc", "tls_storescp"])
def test_that_an_archive_wants_tls_is_found_out_without_a_certificate(
    request: pytest.FixtureRequest, name: str
) -> None:
    node = request.getfixturevalue(name).archive.node
    plain = replace(node, profile=replace(node.profile, tls=None))

    answers = probe_server(plain)

    assert answers.encryption is Encryption.TLS
    assert harm(plain, answers) == {"connection", "encryption"}


def verdicts(node: DicomWebNode) -> list[Verdict]:
    return [answer.verdict for answer in probe_web(node)]


def test_dicomweb_is_asked_for(orthanc_source: OrthancServer, tmp_path: Path) -> None:
    node = orthanc_source.archive.web_node

    empty = verdicts(node)
    orthanc_source.archive.load(write_study(ct_study(2), tmp_path / "study"))
    filled = verdicts(node)
    elsewhere = verdicts(replace(node, base_url=node.base_url.replace("dicom-web", "elsewhere")))

    assert empty == [Verdict.SUPPORTED, Verdict.UNCLEAR, Verdict.SUPPORTED]
    assert filled == [Verdict.SUPPORTED] * 3
    assert elsewhere == [Verdict.UNSUPPORTED, Verdict.UNCLEAR, Verdict.UNSUPPORTED]
    assert len(orthanc_source.contents()) == 2


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[GuardedOrthanc]:
    with guarded_orthanc(tmp_path_factory.mktemp("guarded"), authority) as server:
        yield server


def test_a_web_server_behind_all_guards_is_checked_by_its_stored_profile(
    database: Database, guarded: GuardedOrthanc
) -> None:
    node = guarded.node
    add_profile(database, "ours", node.profile)
    wrong = replace(node.profile, credentials=BasicCredentials("adit", "wrong"))
    add_profile(database, "wrong", wrong)
    prefixes = {WebService.QIDO: node.qido_prefix, WebService.WADO: "rs", WebService.STOW: "rs"}
    for name, profile in (("known", "ours"), ("unknown", "wrong"), ("stranger", "")):
        address = {"base_url": node.base_url, "prefixes": prefixes}
        add_web_server(database, name, **address, connection_profile=profile)

    known, unknown, stranger = (check_node(database, name) for name in ("known", "unknown", "stranger"))

    assert (known.is_good, known.server, known.folder) == (True, None, None)
    assert {answer.verdict for answer in known.web} <= {Verdict.SUPPORTED, Verdict.UNCLEAR}
    assert {each.about for each in unknown.differences if each.is_harmful} == {
        "QIDO-RS",
        "WADO-RS",
        "STOW-RS",
    }
    assert all("credentials" in each.message for each in unknown.differences)
    (difference,) = stranger.differences
    assert (difference.about, "not from a certification authority" in difference.message) == (
        "connection",
        True,
    )


def test_the_dicomweb_services_of_a_server_are_asked_by_its_profile(
    database: Database, guarded: GuardedOrthanc
) -> None:
    add_profile(database, "ours", replace(guarded.node.profile, tls=None))
    add_profile(database, "over TLS", guarded.node.profile)
    dead = {"ae_title": "DEAD", "host": "127.0.0.1", "port": free_port()}
    for name, profile in (("plain", "ours"), ("encrypted", "over TLS")):
        add_server(database, name, **dead, connection_profile=profile)
    url = f"{guarded.node.base_url}rs"

    plain, encrypted = (check_node(database, name, web_url=url) for name in ("plain", "encrypted"))

    assert {answer.is_reached for answer in plain.web} == {False}
    assert encrypted.web[0].verdict is Verdict.SUPPORTED
    with pytest.raises(InvalidInput, match="Give the URL"):
        check_node(database, "plain", web_url="https://user:secret@pacs.example.org")


def test_a_folder_is_tried_on_this_machine(database: Database, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("there", "away"):
        add_folder(database, name, path=str(tmp_path / name))

    there, away = check_node(database, "there"), check_node(database, "away")

    assert (there.is_good, there.differences) == (True, ())
    assert {each.about for each in away.differences if each.is_harmful} == {"reading", "writing"}
    assert "No such file or directory" in away.differences[0].message
    with pytest.raises(InvalidInput) as caught:
        check_node(database, "there", move_destination="ADIT", web_url="https://pacs.example.org")
    assert [problem.field for problem in caught.value.problems] == ["move_destination", "web_url"]
