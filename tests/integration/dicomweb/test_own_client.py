"""AditClient with archives through the proxy."""

import pytest
from pydicom import dcmread

from adit_core.client import AditClient, ConnectionFailed, Disguise, InvalidRequest, NotFound, RequestProblem
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import hashes_of
from tests.fault_proxy import FaultProxy

CT = factories.ct_study(4, key="own client", patient_id="OWN1", patient_name="Doe^Jane")
UIDS = (CT.study_instance_uid, CT.series_instance_uid(0), CT.sop_instance_uid(0, 1))


@pytest.fixture
def client(proxy):
    with AditClient(proxy.web.url, proxy.token()) as client:
        yield client


@pytest.fixture
def source(client, holding):
    holding(CT)
    return client.archive("SOURCE")


def test_it_finds_studies_series_and_instances(source):
    (study,) = source.search_studies(PatientID="OWN1", includefield="InstitutionName")
    assert study.StudyInstanceUID == UIDS[0]
    (series,) = source.search_series(UIDS[0], Modality="CT")
    assert series.SeriesInstanceUID == UIDS[1]
    assert len(source.search_instances(*UIDS[:2])) == 4
    assert len(source.search_instances(limit=3)) == 3


def test_it_gets_instances_as_they_are(source, tmp_path):
    expected = hashes_of(dcmread(path) for path in write_study(CT, tmp_path / "expected"))
    assert hashes_of(source.iter_instances(UIDS[0])) == expected
    assert hashes_of(source.iter_instances(*UIDS[:2])) == expected
    assert hashes_of(source.iter_instances(*UIDS)).items() <= expected.items()
    paths = source.download(tmp_path, UIDS[0])
    assert hashes_of(map(dcmread, paths)) == expected
    assert len(source.metadata(UIDS[0])) == 4
    assert source.rendered(*UIDS, viewport="16,16").startswith(b"\x89PNG")
    assert {name.partition(".")[2] for name, _ in source.iter_nifti(UIDS[0])} == {"json", "nii.gz"}


def test_it_gets_instances_with_a_pseudonym(source):
    found = list(source.iter_instances(UIDS[0], as_=Disguise("P7K2", "TRIAL", "Trial")))
    assert {(each.PatientID, each.ClinicalTrialProtocolID) for each in found} == {("P7K2", "TRIAL")}


def test_it_stores_instances(client, orthanc_destination, tmp_path):
    orthanc_destination.clear()
    files = write_study(CT, tmp_path)
    destination = client.archive("DESTINATION")
    result = destination.store([dcmread(files[0]), files[1], files[2].read_bytes(), b"no DICOM"])
    assert len(result.stored) == 3
    assert result.failed == {"": 0xC000}
    assert "no DICOM file" in result.message
    assert orthanc_destination.contents().keys() == set(result.stored)
    assert destination.store([b"no DICOM"]).stored == ()


def test_problems_are_told(client, source):
    with pytest.raises(NotFound):
        list(source.iter_instances("1.2.3"))
    with pytest.raises(NotFound):
        client.archive("NOBODY").search_studies()
    with pytest.raises((InvalidRequest, RequestProblem), match="StudyDate"):
        source.search_studies(StudyDate="yesterday")


def test_answer_that_breaks_off_is_an_error(proxy, client, orthanc_source, holding):
    large = factories.ct_study(20, rows=256, key="own client broken")
    holding(large)
    with FaultProxy(orthanc_source.archive.server.port) as network:
        network.cut_after(1_500_000)
        with (
            proxy.node_behind(network.port, "SOURCE", max_associations=2) as name,
            pytest.raises(ConnectionFailed),
        ):
            list(client.archive(name).iter_instances(large.study_instance_uid))
