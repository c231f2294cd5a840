"""QIDO-RS by the proxy: every standard parameter, at every level, whatever speaks behind it."""

import json
from urllib.parse import parse_qs

import pytest
from pydicom import Dataset

from adit_core.dicom.node import QueryRoot, Service
from adit_core.services.nodes import add_folder, add_server, add_web_server
from deployments.demo.processes import HOST
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import JSON, Proxy, hashes_of, parts_of
from tests.fakes.provider import finding_meyer, provider
from tests.fakes.web_peer import Exchange, FakeWebPeer

CT = factories.ct_study(
    2,
    key="qido ct",
    patient_id="0004711",
    patient_name="Müller^Anna",
    character_set="ISO_IR 100",
    study_date="20240110",
    accession_number="Q1",
)
MR = factories.study(
    SeriesSpec(Form.MR, 3, "T1 axial", 32, 32),
    SeriesSpec(Form.REPORT, 1, "Report"),
    key="qido mr",
    patient_id="QIDO2",
    patient_name="Milan^Peter",
    accession_number="Q2",
    study_date="20240215",
)


@pytest.fixture
def client(proxy: Proxy, holding):
    holding(CT, MR)
    with proxy.http("SOURCE") as client:
        yield client


def found(client, path: str) -> list[Dataset]:
    answer = client.get(f"qidors/{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    return [Dataset.from_json(each) for each in answer.json()]


def studies(client, query: str) -> set[str]:
    return {each.StudyInstanceUID for each in found(client, f"studies?{query}")}


BOTH = {CT.study_instance_uid, MR.study_instance_uid}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", BOTH),
        ("PatientID=0004711", {CT.study_instance_uid}),
        ("00100020=0004711", {CT.study_instance_uid}),
        ("PatientID=QIDO*", {MR.study_instance_uid}),
        ("PatientName=m*ller*", {CT.study_instance_uid}),
        ("PatientName=M%C3%BCller%5EAnna", {CT.study_instance_uid}),
        ("StudyDate=20240110", {CT.study_instance_uid}),
        ("StudyDate=20240111-", {MR.study_instance_uid}),
        ("StudyDate=-20240110", {CT.study_instance_uid}),
        ("StudyDate=20240101-20241231", BOTH),
        ("ModalitiesInStudy=MR", {MR.study_instance_uid}),
        ("ModalitiesInStudy=CT,SR", BOTH),
        (f"StudyInstanceUID={CT.study_instance_uid}", {CT.study_instance_uid}),
        (f"StudyInstanceUID={CT.study_instance_uid},{MR.study_instance_uid}", BOTH),
        (f"0020000D={CT.study_instance_uid}%5C{MR.study_instance_uid}", BOTH),
        ("AccessionNumber=Q2&PatientID=QIDO2", {MR.study_instance_uid}),
        ("AccessionNumber=Q2&PatientID=0004711", set()),
        ("PatientName=milan*&fuzzymatching=false", {MR.study_instance_uid}),
    ],
)
def test_studies_are_found_by_keyword_and_tag(client, query, expected):
    assert studies(client, query) == expected


def test_answers_are_complete(client):
    (study,) = found(client, "studies?PatientID=0004711")
    assert study.PatientName == "Müller^Anna"
    assert study.PatientBirthDate == "19620817"
    assert study.NumberOfStudyRelatedSeries == 1
    assert study.NumberOfStudyRelatedInstances == 2
    assert study.ModalitiesInStudy == "CT"
    assert study.StudyTime == "120000"
    assert study.RetrieveURL.endswith(f"/api/dicom-web/SOURCE/wadors/studies/{CT.study_instance_uid}")
    assert "QueryRetrieveLevel" not in study
    answer = client.get(study.RetrieveURL)
    assert len(parts_of(answer)) == 2


@pytest.mark.parametrize("field", ["InstitutionName", "00080080", "StudyDescription,InstitutionName", "all"])
def test_further_attributes_are_told(client, field):
    for path in ("series", f"studies/{CT.study_instance_uid}/series"):
        series = [each for each in found(client, f"{path}?includefield={field}") if each.Modality == "CT"]
        assert {each.InstitutionName for each in series} == {"Demo Hospital"}


def test_series_and_instances_are_found_below_and_across_studies(client):
    below = found(client, f"studies/{MR.study_instance_uid}/series")
    assert {each.SeriesInstanceUID for each in below} == {
        MR.series_instance_uid(0),
        MR.series_instance_uid(1),
    }
    assert "PatientName" not in below[0]
    across = found(client, "series?Modality=MR")
    assert [each.SeriesInstanceUID for each in across] == [MR.series_instance_uid(0)]
    assert across[0].PatientName == "Milan^Peter"
    assert across[0].StudyInstanceUID == MR.study_instance_uid
    of_patient = found(client, "series?PatientID=0004711")
    assert [each.SeriesInstanceUID for each in of_patient] == [CT.series_instance_uid(0)]
    instances = found(client, f"studies/{MR.study_instance_uid}/instances")
    assert len(instances) == 4
    assert {each.SeriesInstanceUID for each in instances} == {
        MR.series_instance_uid(0),
        MR.series_instance_uid(1),
    }
    of_series = found(
        client,
        f"studies/{CT.study_instance_uid}/series/{CT.series_instance_uid(0)}/instances?InstanceNumber=2",
    )
    assert [each.SOPInstanceUID for each in of_series] == [CT.sop_instance_uid(0, 1)]
    assert (of_series[0].Rows, of_series[0].Columns) == (32, 32)
    everything = found(client, "instances?includefield=PatientID")
    assert len(everything) == 6
    assert {each.PatientID for each in everything} == {"0004711", "QIDO2"}
    mixed = found(client, f"studies/{CT.study_instance_uid}/series?PatientID=0004711")
    assert len(mixed) == 1
    assert found(client, f"studies/{CT.study_instance_uid}/series?PatientID=OTHER") == []


def test_pages_are_turned_by_limit_and_offset(client):
    first = client.get("qidors/studies?limit=1")
    assert "offset" in first.headers["warning"]
    second = client.get("qidors/studies?limit=1&offset=1")
    assert "warning" not in second.headers
    uids = {each.json()[0]["0020000D"]["Value"][0] for each in (first, second)}
    assert uids == BOTH
    assert client.get("qidors/studies?offset=2").json() == []
    assert client.get("qidors/studies?limit=0").json() == []


def test_archive_that_cannot_match_fuzzily_says_so(client):
    answer = client.get("qidors/studies?PatientName=milan*&fuzzymatching=true")
    assert len(answer.json()) == 1
    assert "fuzzymatching parameter is not supported" in answer.headers["warning"]


MEYER = {
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Meyer^Anna"}]},
}


@pytest.mark.parametrize("can_match_fuzzily", [True, False])
def test_fuzzy_matching_is_left_to_the_archive(proxy: Proxy, can_match_fuzzily: bool):
    asked = []

    def script(exchange: Exchange) -> None:
        asked.append(parse_qs(exchange.url.query))
        is_first = asked[-1].get("offset", ["0"]) == ["0"]
        warning = {} if can_match_fuzzily else {"Warning": '299 web "fuzzymatching is not supported."'}
        found = [MEYER] if can_match_fuzzily and is_first else []
        exchange.answer(200, json.dumps(found).encode(), {"Content-Type": JSON, **warning})

    with FakeWebPeer(script) as peer:
        name = f"fuzzy {peer.url.rpartition(':')[2]}"
        add_web_server(proxy.web.db, name, base_url=peer.url)
        with proxy.http(name) as client:
            answer = client.get("qidors/studies?PatientName=Meier&fuzzymatching=true")

    assert (asked[0]["fuzzymatching"], asked[0]["PatientName"]) == (["true"], ["Meier"])
    assert [each["0020000D"]["Value"] for each in answer.json()] == [["1.2.3"]] * can_match_fuzzily
    assert ("warning" in answer.headers) is not can_match_fuzzily


def test_orthanc_says_by_its_web_services_whether_it_matches_fuzzily(proxy: Proxy, client, orthanc_source):
    name = f"fuzzy Orthanc {proxy.web.server.port}"
    add_web_server(proxy.web.db, name, base_url=orthanc_source.archive.web_node.base_url)
    with proxy.http(name) as web_client:
        answer = web_client.get("qidors/studies?PatientName=milan*&fuzzymatching=true")
    assert [each["0020000D"]["Value"] for each in answer.json()] == [[MR.study_instance_uid]]


@pytest.mark.parametrize("answer", [b"\0\0\1", b"\0\0\0", None])
def test_an_archive_may_agree_to_match_fuzzily_by_dimse(proxy: Proxy, answer: bytes | None):
    can_match_fuzzily = answer == b"\0\0\1"
    with provider(finding_meyer(answer)) as node:
        name = f"fuzzy DIMSE {node.port}"
        add_server(proxy.web.db, name, ae_title=node.ae_title, host=node.host, port=node.port)
        with proxy.http(name) as client:
            alike = client.get("qidors/studies?PatientName=Meier&fuzzymatching=true")
            exact = client.get("qidors/studies?PatientName=Meyer&fuzzymatching=true")
            literal = client.get("qidors/studies?PatientName=Meier")

    assert [each["0020000D"]["Value"] for each in alike.json()] == [["1.2.1"]] * can_match_fuzzily
    assert [each["0020000D"]["Value"] for each in exact.json()] == [["1.2.1"]]
    assert ["warning" in each.headers for each in (alike, exact)] == [not can_match_fuzzily] * 2
    assert (literal.json(), "warning" in literal.headers) == ([], False)


@pytest.fixture(params=["dcmqrscp", "qrscp", "patient root", "DICOMweb", "folder", "C-MOVE only"])
def archive(request, proxy: Proxy, orthanc_source, tmp_path) -> str:
    """Return the name of a node of another kind, which holds both studies."""
    files = [path for spec in (CT, MR) for path in write_study(spec, tmp_path / "written")]
    name = f"{request.param} {proxy.web.server.port} {tmp_path.name}"
    db = proxy.web.db
    match request.param:
        case "DICOMweb":
            orthanc_source.archive.load(files)
            add_web_server(db, name, base_url=orthanc_source.archive.web_node.base_url)
        case "folder":
            add_folder(db, name, path=str(files[0].parent))
        case kind:
            fixture = {"patient root": "running_orthanc_source", "C-MOVE only": "orthanc_source"}.get(
                kind, kind
            )
            server = request.getfixturevalue(fixture)
            server.clear() if hasattr(server, "clear") else None
            server.archive.load(files)
            root = QueryRoot.PATIENT if kind == "patient root" else QueryRoot.STUDY
            services = (Service.FIND, Service.MOVE if kind == "C-MOVE only" else Service.GET)
            node = server.archive.node
            address = {"ae_title": node.ae_title, "host": HOST, "port": node.port}
            add_server(db, name, **address, services=services, query_root=root)
    return name


def test_every_kind_of_archive_is_searched_and_retrieved_from(proxy: Proxy, archive, tmp_path):
    with proxy.http(archive) as client:
        assert studies(client, "") == BOTH
        assert studies(client, "PatientName=Milan*") == {MR.study_instance_uid}
        assert studies(client, "ModalitiesInStudy=CT") == {CT.study_instance_uid}
        assert len(found(client, f"studies/{MR.study_instance_uid}/series")) == 2
        assert len(found(client, f"studies/{MR.study_instance_uid}/instances")) == 4
        answer = client.get(f"wadors/studies/{MR.study_instance_uid}")
        if archive.startswith("C-MOVE only"):
            assert answer.status_code == 409
            assert "receiver" in answer.json()["detail"]
            return
        assert answer.status_code == 200, answer.text
        arrived = hashes_of(content for _, content in parts_of(answer))
        expected = factories.hashes(tmp_path.glob("written/*"))
        assert arrived.items() <= expected.items()
        assert len(arrived) == 4
        series = client.get(f"wadors/studies/{MR.study_instance_uid}/series/{MR.series_instance_uid(0)}")
        assert len(parts_of(series)) == 3
