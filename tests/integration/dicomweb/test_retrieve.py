"""WADO-RS by the proxy: transfer syntaxes, pseudonyms, C-MOVE, and pictures of studies."""

from io import BytesIO

import httpx
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from adit_core.db.audit import AuditAction
from adit_core.dicom.node import Service
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests import factories, servers
from tests.dicomweb_proxy import Proxy, hashes_of, parts_of, running_proxy

JPEG_2000 = "1.2.840.10008.1.2.4.90"
EXPLICIT = "1.2.840.10008.1.2.1"
CT = factories.ct_study(3, key="wado", patient_id="WADO1", patient_name="Doe^Jane")
MIXED = factories.study(
    SeriesSpec(Form.CT, 2, "Axial", 32, 32),
    SeriesSpec(Form.SECONDARY_CAPTURE, 2, "Screens", 32, 32),
    SeriesSpec(Form.REPORT, 1, "Report"),
    key="wado mixed",
    patient_id="WADO2",
)


@pytest.fixture
def client(proxy: Proxy):
    with proxy.http("SOURCE") as client:
        yield client


def data_sets(answer: httpx.Response) -> list[Dataset]:
    assert answer.status_code == 200, answer.text
    return [dcmread(BytesIO(content)) for _, content in parts_of(answer)]


def study(spec) -> str:
    return f"wadors/studies/{spec.study_instance_uid}"


def accept(syntax: str) -> dict[str, str]:
    return {"Accept": f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'}


@pytest.mark.parametrize(
    ("asked", "syntax"), [("*", JPEG_2000), (JPEG_2000, JPEG_2000), (EXPLICIT, EXPLICIT)]
)
def test_instances_come_in_a_transfer_syntax_that_is_accepted(
    client, orthanc_source, tmp_path, asked, syntax
):
    spec = factories.study(SeriesSpec(Form.CT, 2, "J2K", 32, 32, 1, JPEG_2000), key="wado syntax")
    files = write_study(spec, tmp_path)
    orthanc_source.archive.load(files)
    stored = {dcmread(path).SOPInstanceUID: dcmread(path).pixel_array for path in files}
    answer = client.get(study(spec), headers=accept(asked))
    for headers, _ in parts_of(answer):
        assert headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
    found = data_sets(answer)
    assert {each.file_meta.TransferSyntaxUID for each in found} == {syntax}
    assert all((each.pixel_array == stored[each.SOPInstanceUID]).all() for each in found)


def test_single_instance_is_handed_out_without_multipart(client, holding):
    expected = holding(CT)
    path = f"{study(CT)}/series/{CT.series_instance_uid(0)}/instances/{CT.sop_instance_uid(0, 0)}"
    answer = client.get(path, headers={"Accept": "application/dicom"})
    assert answer.headers["content-type"] == "application/dicom"
    assert hashes_of([answer.content]).items() <= expected.items()
    assert client.get(f"{path}?accept=application/dicom").content == answer.content


@pytest.mark.parametrize(("rows", "is_told"), [(64, True), (1024, False)])
def test_part_that_is_short_tells_its_length(client, holding, rows, is_told):
    spec = factories.ct_study(2, rows=rows, key=f"wado lengths {rows}")
    expected = holding(spec)
    parts = parts_of(client.get(study(spec)))
    assert hashes_of(content for _, content in parts) == expected
    assert ["content-length" in headers for headers, _ in parts] == [is_told] * 2


@pytest.mark.parametrize("level", ["", "/series/{series}"])
def test_pictures_of_everything_and_thumbnails(client, holding, level):
    holding(MIXED)
    path = study(MIXED) + level.format(series=MIXED.series_instance_uid(0))
    answer = client.get(f"{path}/thumbnail?viewport=16,16", headers={"Accept": "image/png"})
    assert Image.open(BytesIO(answer.content)).size == (16, 16)
    answer = client.get(
        f"{study(MIXED)}/series/{MIXED.series_instance_uid(1)}/rendered",
        headers={"Accept": 'multipart/related; type="image/jpeg"'},
    )
    pictures = [Image.open(BytesIO(content)) for _, content in parts_of(answer)]
    assert [(each.format, each.size) for each in pictures] == [("JPEG", (32, 32))] * 2


def test_pseudonym_holds_back_what_may_show_or_tell_the_patient(proxy, holding):
    holding(MIXED)
    user = proxy.staff()
    with proxy.http("SOURCE", user) as client:
        found = data_sets(client.get(f"{study(MIXED)}?pseudonym=P1"))
    assert [each.Modality for each in found] == ["CT", "CT"]
    (event,) = proxy.events(user, AuditAction.RETRIEVED)
    assert event.succeeded
    assert event.details["pseudonymized"] == "yes"
    assert (event.details["instances"], event.details["withheld"]) == (2, 2)


@pytest.mark.parametrize("series", [1, 2])
def test_nothing_is_sent_if_all_is_held_back(client, holding, series):
    holding(MIXED)
    answer = client.get(f"{study(MIXED)}/series/{MIXED.series_instance_uid(series)}?pseudonym=P1")
    assert answer.status_code == 409
    assert "held back" in answer.text or "may leave" in answer.text


def test_pseudonymized_studies_fit_together_within_a_trial_only(client, holding):
    holding(CT)
    first = data_sets(client.get(f"{study(CT)}?pseudonym=P1&trial_protocol_id=A"))
    again = data_sets(
        client.get(f"{study(CT)}/series/{CT.series_instance_uid(0)}?pseudonym=P1&trial_protocol_id=A")
    )
    other = data_sets(client.get(f"{study(CT)}?pseudonym=P1&trial_protocol_id=B"))
    uids = [
        {(each.StudyInstanceUID, each.SeriesInstanceUID, each.SOPInstanceUID) for each in found}
        for found in (first, again, other)
    ]
    assert uids[0] == uids[1]
    assert {uid for each in uids[0] for uid in each}.isdisjoint(uid for each in uids[2] for uid in each)


def test_instance_of_another_patient_ends_a_pseudonymized_retrieval(client, orthanc_source, tmp_path):
    files = write_study(CT, tmp_path)
    wrong = dcmread(files[1])
    wrong.PatientID = "SOMEBODYELSE"
    wrong.save_as(files[1])
    orthanc_source.archive.load(files)
    try:
        answer = client.get(f"{study(CT)}?pseudonym=P1")
    except httpx.RemoteProtocolError:
        return
    assert answer.status_code == 409
    assert "Patient ID" in answer.json()["detail"]
    assert "SOMEBODYELSE" not in answer.text


@pytest.mark.parametrize("what", ["metadata", "nifti", "rendered"])
def test_pseudonym_holds_for_everything_that_is_made_of_instances(client, holding, what):
    holding(CT)
    answer = client.get(f"{study(CT)}/{what}?pseudonym=P1")
    assert answer.status_code == 200, answer.text
    assert b"Doe" not in answer.content
    assert b"WADO1" not in answer.content
    assert CT.study_instance_uid.encode() not in answer.content


def test_archive_that_can_move_only_sends_by_the_receiver(orthanc_source, tmp_path):
    files = write_study(CT, tmp_path / "written")
    orthanc_source.archive.load(files)
    (tmp_path / "web").mkdir()
    with servers.receiver(tmp_path / "receiver") as receiver:
        address = receiver.address
        orthanc_source.know(address.ae_title, receiver.server.port)
        settings = {
            "receiver_ae_title": address.ae_title,
            "receiver_url": address.url,
            "receiver_token": address.token,
        }
        with running_proxy(tmp_path / "web", **settings) as proxy:
            proxy.add_node(orthanc_source.archive.node, services=(Service.FIND, Service.MOVE))
            with proxy.http("SOURCE") as client:
                found = hashes_of(content for _, content in parts_of(client.get(study(CT))))
    assert found == factories.hashes(files)
