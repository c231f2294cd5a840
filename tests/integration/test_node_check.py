"""Real archives are checked: what each supports, and that a check leaves nothing behind."""

from dataclasses import replace
from pathlib import Path

import pytest
import requests
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

from adit_core.dicom.node import QueryRoot, ServerNode, Service
from adit_core.dicom.probe import Encryption, ServerAnswers, Verdict, probe_server
from adit_core.dicom.web_probe import WebUrls, probe_web
from adit_core.services.node_check import differences
from deployments.demo.archives import CALLING_AE_TITLE
from deployments.demo.processes import HOST
from deployments.demo.studies import write_study
from tests import servers
from tests.factories import ct_study
from tests.servers import FileArchive, OrthancServer, QrscpServer

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
    return {each.about for each in differences(node, answers) if each.is_harmful}


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
    assert list(differences(node, answers)) == []
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


def web_verdicts(url: str) -> list[Verdict]:
    with requests.Session() as session:
        return [answer.verdict for answer in probe_web(session, WebUrls(url, url, url), timeout=20)]


def test_dicomweb_is_asked_for(orthanc_source: OrthancServer, tmp_path: Path) -> None:
    base = f"http://{HOST}:{orthanc_source.archive.http_port}"

    empty = web_verdicts(f"{base}/dicom-web")
    orthanc_source.archive.load(write_study(ct_study(2), tmp_path / "study"))
    filled = web_verdicts(f"{base}/dicom-web")
    elsewhere = web_verdicts(f"{base}/elsewhere")

    assert empty == [Verdict.SUPPORTED, Verdict.UNCLEAR, Verdict.SUPPORTED]
    assert filled == [Verdict.SUPPORTED] * 3
    assert elsewhere == [Verdict.UNSUPPORTED, Verdict.UNCLEAR, Verdict.UNSUPPORTED]
    assert len(orthanc_source.contents()) == 2
