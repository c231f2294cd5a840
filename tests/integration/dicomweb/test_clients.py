"""dicomweb-client, unchanged, with an archive behind the proxy that speaks DIMSE only."""

import hashlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from requests import HTTPError

from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import hashes_of

STUDY = factories.mixed_study(key="client", size=32)
CT = factories.ct_study(
    3, key="client ct", patient_id="CLIENT1", patient_name="Müller^Anna", character_set="ISO_IR 100"
)


@pytest.fixture
def client(proxy):
    return proxy.dicomweb_client("SOURCE")


def test_studies_series_and_instances_are_found(client, holding):
    holding(STUDY, CT)
    studies = [Dataset.from_json(each) for each in client.search_for_studies()]
    assert {each.StudyInstanceUID for each in studies} == {STUDY.study_instance_uid, CT.study_instance_uid}
    (ct,) = client.search_for_studies(search_filters={"PatientID": "CLIENT1"})
    assert Dataset.from_json(ct).PatientName == "Müller^Anna"
    series = client.search_for_series(STUDY.study_instance_uid)
    assert len(series) == len(STUDY.series)
    instances = client.search_for_instances(CT.study_instance_uid, CT.series_instance_uid(0))
    assert {Dataset.from_json(each).SOPInstanceUID for each in instances} == {
        CT.sop_instance_uid(0, number) for number in range(3)
    }
    assert len(client.search_for_series()) == len(STUDY.series) + 1
    assert len(client.search_for_instances(CT.study_instance_uid)) == 3
    assert len(client.search_for_studies(limit=1)) == 1
    assert len(client.search_for_studies(get_remaining=True, limit=1)) == 2


def test_studies_are_retrieved_as_they_are(client, holding):
    expected = holding(STUDY, CT)
    found = hashes_of(client.retrieve_study(STUDY.study_instance_uid))
    found |= hashes_of(client.iter_study(CT.study_instance_uid))
    assert found.keys() == expected.keys()
    pixels = hashes_of(client.retrieve_series(CT.study_instance_uid, CT.series_instance_uid(0)))
    assert pixels.items() <= found.items()
    one = client.retrieve_instance(
        CT.study_instance_uid, CT.series_instance_uid(0), CT.sop_instance_uid(0, 1)
    )
    assert hashes_of([one]).items() <= found.items()


def test_pixels_are_those_that_were_stored(client, orthanc_source, tmp_path):
    files = write_study(CT, tmp_path)
    orthanc_source.archive.load(files)
    stored = {dcmread(path).SOPInstanceUID: _pixel_hash(dcmread(path)) for path in files}
    arrived = {each.SOPInstanceUID: _pixel_hash(each) for each in client.iter_study(CT.study_instance_uid)}
    assert arrived == stored


def test_metadata_tell_everything_but_pixels(client, holding, tmp_path):
    holding(CT)
    (path,) = write_study(CT, tmp_path / "expected")[:1]
    expected = dcmread(path)
    found = {
        Dataset.from_json(each, _no_bulk).SOPInstanceUID: Dataset.from_json(each, _no_bulk)
        for each in client.retrieve_study_metadata(CT.study_instance_uid)
    }
    assert len(found) == 3
    same = found[expected.SOPInstanceUID]
    for keyword in expected.dir():
        if keyword not in ("PixelData", "SpecificCharacterSet"):
            assert same[keyword].value == expected[keyword].value, keyword
    assert len(client.retrieve_series_metadata(CT.study_instance_uid, CT.series_instance_uid(0))) == 3
    one = client.retrieve_instance_metadata(
        CT.study_instance_uid, CT.series_instance_uid(0), CT.sop_instance_uid(0, 2)
    )
    uri = one["7FE00010"]["BulkDataURI"]
    (value,) = client.retrieve_bulkdata(uri)
    pixels = dcmread(write_study(CT, tmp_path / "again")[2]).PixelData
    assert bytes(value) == pixels


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"])
def test_frames_are_handed_out(client, orthanc_source, tmp_path, syntax):
    spec = factories.study(SeriesSpec(Form.CT, 1, "Frames", 32, 32, 1, syntax), key=f"frames {syntax}")
    (path,) = write_study(spec, tmp_path)
    orthanc_source.archive.load([path])
    uids = (spec.study_instance_uid, spec.series_instance_uid(0), spec.sop_instance_uid(0, 0))
    expected = dcmread(path).pixel_array
    (frame,) = client.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert np.array_equal(np.frombuffer(frame, expected.dtype).reshape(expected.shape), expected)
    (frame,) = client.retrieve_instance_frames(
        *uids, frame_numbers=[1], media_types=("application/octet-stream",)
    )
    assert np.array_equal(np.frombuffer(frame, expected.dtype).reshape(expected.shape), expected)


def test_compressed_frames_are_handed_out_as_they_are(client, orthanc_source, tmp_path):
    syntax = "1.2.840.10008.1.2.4.90"
    spec = factories.study(SeriesSpec(Form.CT, 1, "Frames", 32, 32, 1, syntax), key="jp2 frames")
    (path,) = write_study(spec, tmp_path)
    orthanc_source.archive.load([path])
    uids = (spec.study_instance_uid, spec.series_instance_uid(0), spec.sop_instance_uid(0, 0))
    (frame,) = client.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=(("image/jp2", syntax),))
    assert bytes(frame) in path.read_bytes()


def test_pictures_are_rendered(client, holding):
    holding(CT)
    uids = (CT.study_instance_uid, CT.series_instance_uid(0), CT.sop_instance_uid(0, 0))
    picture = Image.open(BytesIO(client.retrieve_instance_rendered(*uids, media_types=("image/png",))))
    assert (picture.format, picture.size) == ("PNG", (32, 32))
    picture = Image.open(
        BytesIO(
            client.retrieve_instance_rendered(
                *uids, media_types=("image/jpeg",), params={"viewport": "64,64", "window": "40,400,linear"}
            )
        )
    )
    assert (picture.format, picture.size) == ("JPEG", (64, 64))
    picture = Image.open(
        BytesIO(
            client.retrieve_instance_frames_rendered(*uids, frame_numbers=[1], media_types=("image/png",))
        )
    )
    assert picture.size == (32, 32)
    series = client.retrieve_series_rendered(*uids[:2], media_types=("image/jpeg",))
    assert Image.open(BytesIO(series)).size == (32, 32)


def test_instances_are_stored(proxy, orthanc_destination, tmp_path):
    orthanc_destination.clear()
    files = write_study(STUDY, tmp_path)
    client = proxy.dicomweb_client("DESTINATION")
    answer = client.store_instances([dcmread(path) for path in files])
    assert {each.ReferencedSOPInstanceUID for each in answer.ReferencedSOPSequence} == set(
        factories.hashes(files)
    )
    assert "FailedSOPSequence" not in answer
    assert orthanc_destination.contents().keys() == factories.hashes(files).keys()


def test_what_is_not_there_is_not_found(client, holding):
    holding(CT)
    assert client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []
    for retrieve in (
        lambda: client.retrieve_study("1.2.3"),
        lambda: client.retrieve_series(CT.study_instance_uid, "1.2.3"),
        lambda: client.retrieve_instance(CT.study_instance_uid, CT.series_instance_uid(0), "1.2.3"),
    ):
        with pytest.raises(HTTPError) as raised:
            retrieve()
        assert raised.value.response is not None
        assert raised.value.response.status_code == 404


def _no_bulk(*_args):
    return b""


def _pixel_hash(data: Dataset) -> str:
    return hashlib.sha256(data.pixel_array.tobytes()).hexdigest()
