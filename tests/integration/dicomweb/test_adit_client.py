"""ADIT's own client from PyPI, unchanged, with every method that it has."""

import gzip
import json

import adit_client
import pytest
from pydicom import Dataset, dcmread

from adit_core.db.audit import AuditAction
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import hashes_of

CT = factories.ct_study(4, key="adit client", patient_id="ADITCLIENT", patient_name="Doe^Jane")
MIXED = factories.study(
    SeriesSpec(Form.CT, 5, "Axial", 32, 32),
    SeriesSpec(Form.MR, 4, "T1", 32, 32),
    SeriesSpec(Form.REPORT, 1, "Report"),
    key="adit client mixed",
)
SERIES = (CT.study_instance_uid, CT.series_instance_uid(0))
IMAGE = (*SERIES, CT.sop_instance_uid(0, 2))


@pytest.fixture
def client(proxy):
    return adit_client.AditClient(server_url=proxy.web.url, auth_token=proxy.token())


def test_search(client, holding):
    holding(CT, MIXED)
    studies = client.search_for_studies("SOURCE")
    assert {each.StudyInstanceUID for each in studies} == {CT.study_instance_uid, MIXED.study_instance_uid}
    (found,) = client.search_for_studies("SOURCE", {"PatientID": "ADITCLIENT"})
    assert found.PatientName == "Doe^Jane"
    assert found.ModalitiesInStudy == "CT"
    assert found.NumberOfStudyRelatedInstances == 4
    (series,) = client.search_for_series("SOURCE", CT.study_instance_uid)
    assert series.SeriesInstanceUID == SERIES[1]
    assert len(client.search_for_series("SOURCE", MIXED.study_instance_uid, {"Modality": "MR"})) == 1
    images = client.search_for_images("SOURCE", *SERIES)
    assert {each.SOPInstanceUID for each in images} == {CT.sop_instance_uid(0, number) for number in range(4)}


def test_retrieve_and_iterate(client, orthanc_source, tmp_path):
    files = write_study(CT, tmp_path)
    orthanc_source.archive.load(files)
    expected = hashes_of(dcmread(path) for path in files)
    assert hashes_of(client.retrieve_study("SOURCE", SERIES[0])) == expected
    assert hashes_of(client.iter_study("SOURCE", SERIES[0])) == expected
    assert hashes_of(client.retrieve_series("SOURCE", *SERIES)) == expected
    assert hashes_of(client.iter_series("SOURCE", *SERIES)) == expected
    assert hashes_of([client.retrieve_image("SOURCE", *IMAGE)]).items() <= expected.items()


def test_metadata(client, holding):
    expected = holding(CT)
    for found in (
        client.retrieve_study_metadata("SOURCE", SERIES[0]),
        client.retrieve_series_metadata("SOURCE", *SERIES),
        [client.retrieve_image_metadata("SOURCE", *IMAGE)],
    ):
        data_sets = [Dataset.from_json(each, lambda *_: b"") for each in found]
        assert {each.SOPInstanceUID for each in data_sets} <= expected.keys()
        assert {str(each.PatientName) for each in data_sets} == {"Doe^Jane"}
        assert all("PixelData" in each for each in data_sets)
    assert len(client.retrieve_study_metadata("SOURCE", SERIES[0])) == 4


def test_pseudonym_and_trial_replace_the_patient(proxy, holding):
    expected = holding(CT)
    client = adit_client.AditClient(
        proxy.web.url, proxy.token(), trial_protocol_id="TRIAL-1", trial_protocol_name="Trial of one"
    )
    for found in (
        client.retrieve_study("SOURCE", SERIES[0], pseudonym="P7K2"),
        client.retrieve_series("SOURCE", *SERIES, pseudonym="P7K2"),
        [client.retrieve_image("SOURCE", *IMAGE, pseudonym="P7K2")],
    ):
        assert {(each.PatientID, str(each.PatientName)) for each in found} == {("P7K2", "P7K2")}
        assert {each.ClinicalTrialProtocolID for each in found} == {"TRIAL-1"}
        assert {each.ClinicalTrialProtocolName for each in found} == {"Trial of one"}
        assert {each.PatientIdentityRemoved for each in found} == {"YES"}
        assert expected.keys().isdisjoint(each.SOPInstanceUID for each in found)
        assert b"Doe" not in b"".join(str(each).encode() for each in found)
    metadata = client.retrieve_study_metadata("SOURCE", SERIES[0], pseudonym="P7K2")
    assert len(metadata) == 4
    assert "Doe" not in json.dumps(metadata)
    assert "ADITCLIENT" not in json.dumps(metadata)


def test_trial_alone_is_written_beside_the_patient(proxy, holding):
    holding(CT)
    client = adit_client.AditClient(proxy.web.url, proxy.token(), trial_protocol_id="TRIAL-1")
    found = client.retrieve_study("SOURCE", SERIES[0])
    assert {each.ClinicalTrialProtocolID for each in found} == {"TRIAL-1"}
    assert {str(each.PatientName) for each in found} == {"Doe^Jane"}


def test_store(proxy, orthanc_destination, tmp_path):
    user = proxy.staff()
    client = adit_client.AditClient(server_url=proxy.web.url, auth_token=proxy.token(user))
    orthanc_destination.clear()
    files = write_study(CT, tmp_path)
    answer = client.store_images("DESTINATION", [dcmread(path) for path in files])
    assert len(answer.ReferencedSOPSequence) == 4
    assert orthanc_destination.contents().keys() == factories.hashes(files).keys()
    (event,) = proxy.events(user, AuditAction.STORED)
    assert (event.object_id, event.details["instances"]) == (CT.study_instance_uid, 4)


def test_nifti(client, holding):
    holding(CT, MIXED)
    for found in (
        client.retrieve_nifti_study("SOURCE", MIXED.study_instance_uid),
        list(client.iter_nifti_study("SOURCE", MIXED.study_instance_uid)),
    ):
        names = [name for name, _ in found]
        assert len(set(names)) == len(names)
        assert sum(name.endswith(".nii.gz") for name in names) == 2
        assert sum(name.endswith(".json") for name in names) == 2
        for name, content in found:
            check_nifti(name, content.read())
    series = client.retrieve_nifti_series("SOURCE", *SERIES)
    assert [name.partition(".")[2] for name, _ in series] == ["json", "nii.gz"]
    assert [name for name, _ in client.iter_nifti_series("SOURCE", *SERIES)] == [name for name, _ in series]
    image = client.retrieve_nifti_image("SOURCE", *IMAGE)
    assert [name for name, _ in client.iter_nifti_image("SOURCE", *IMAGE)] == [name for name, _ in image]
    for name, content in (*series, *image):
        check_nifti(name, content.read())


def check_nifti(name: str, content: bytes) -> None:
    if name.endswith(".json"):
        assert isinstance(json.loads(content), dict)
    else:
        assert gzip.decompress(content)[344:348] == b"n+1\0"
