"""AditClient with archives through the proxy."""

from io import BytesIO
from urllib.parse import urlsplit

import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from adit_core.client import AditClient, ConnectionFailed, Disguise, InvalidRequest, NotFound, RequestProblem
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import hashes_of
from tests.fault_proxy import FaultProxy

CT = factories.ct_study(4, key="own client", patient_id="OWN1", patient_name="Doe^Jane")
UIDS = (CT.study_instance_uid, CT.series_instance_uid(0), CT.sop_instance_uid(0, 1))
ONE = factories.ct_study(1, key="own client one", patient_id="OWN2")
SCREENS = factories.study(
    SeriesSpec(Form.SECONDARY_CAPTURE, 1, "Screens", 32, 32), key="own client screens", patient_id="OWN3"
)
CINE = factories.study(
    SeriesSpec(Form.US_CINE, 1, "Cine", 32, 32, 5), key="own client cine", patient_id="OWN4"
)
NIFTI = {"json", "nii.gz"}
DISGUISE = Disguise("P7K2", "TRIAL", "Trial")


@pytest.fixture
def client(proxy):
    with AditClient(proxy.web.url, proxy.token()) as client:
        yield client


@pytest.fixture
def source(client, holding):
    holding(CT)
    return client.archive("SOURCE")


@pytest.fixture
def pixels(tmp_path):
    """Those of the instance that `UIDS` name."""
    written = map(dcmread, write_study(CT, tmp_path / "pixels"))
    return next(each.PixelData for each in written if each.SOPInstanceUID == UIDS[2])


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
    assert {name.partition(".")[2] for name, _ in source.iter_nifti(UIDS[0])} == NIFTI


def test_it_gets_instances_with_a_pseudonym(source):
    found = list(source.iter_instances(UIDS[0], as_=DISGUISE))
    assert {(each.PatientID, each.ClinicalTrialProtocolID) for each in found} == {("P7K2", "TRIAL")}


def test_whatever_is_made_of_instances_is_disguised(source, pixels):
    for what in (source.rendered, source.thumbnail):
        assert picture_format(what(*UIDS, as_=DISGUISE)) == "PNG"
        assert picture_format(what(*UIDS, as_=Disguise(trial_protocol_id="TRIAL"))) == "PNG"
    assert len(list(source.iter_rendered(UIDS[0], as_=DISGUISE))) == 4
    assert {name.partition(".")[2] for name, _ in source.iter_nifti(UIDS[0], as_=DISGUISE)} == NIFTI
    (said,) = source.metadata(*UIDS, as_=DISGUISE)
    assert (said.PatientID, said.bulk_data_uris) == ("P7K2", {})
    (frame,) = source.iter_frames(*UIDS, as_=DISGUISE)
    assert frame == pixels


def test_what_may_show_the_patient_is_held_back_in_every_form(source, holding):
    holding(SCREENS)
    uids = (SCREENS.study_instance_uid, SCREENS.series_instance_uid(0), SCREENS.sop_instance_uid(0, 0))
    assert picture_format(source.rendered(*uids)) == "PNG"
    for what in (source.rendered, source.thumbnail):
        with pytest.raises(RequestProblem):
            what(*uids, as_=DISGUISE)
    for what in (source.iter_frames, source.iter_stored_frames, source.iter_rendered, source.iter_nifti):
        with pytest.raises((RequestProblem, ConnectionFailed)):
            list(what(*uids, as_=DISGUISE))


def test_it_gets_frames(source, pixels):
    assert list(source.iter_frames(*UIDS)) == [pixels]
    (stored,) = source.iter_stored_frames(*UIDS)
    assert (stored.content, stored.media_type) == (pixels, "application/octet-stream")
    assert stored.transfer_syntax_uid == ExplicitVRLittleEndian
    with pytest.raises(InvalidRequest, match="no frame 2"):
        list(source.iter_frames(*UIDS, (1, 2)))


def test_it_gets_frames_of_a_compressed_instance(source, orthanc_source, tmp_path):
    (path,) = write_study(ONE, tmp_path)
    data = dcmread(path)
    native = data.PixelData
    data.compress(RLELossless)
    data.save_as(path)
    orthanc_source.archive.load([path])
    uids = (data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID)

    (frame,) = source.iter_stored_frames(*uids)
    (said,) = source.metadata(*uids)

    assert (frame.media_type, frame.transfer_syntax_uid) == ("image/dicom-rle", RLELossless)
    assert list(source.iter_frames(*uids)) == [native]
    assert source.bulk_data(said.bulk_data_uris["7FE00010"]) == [frame.content]
    (stored,) = source.iter_instances(*uids)
    (plain,) = source.iter_instances(*uids, transfer_syntax=[ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    assert stored.file_meta.TransferSyntaxUID == RLELossless
    assert (plain.file_meta.TransferSyntaxUID, plain.PixelData) == (ExplicitVRLittleEndian, native)
    with pytest.raises(RequestProblem, match="Accept one of"):
        list(source.iter_instances(*uids, transfer_syntax=JPEG2000Lossless))


def held_cine(orthanc_source, tmp_path, syntax=""):
    """Let the archive hold an instance of five frames, and return its UIDs and the pixels of each frame."""
    (path,) = write_study(CINE, tmp_path)
    data = dcmread(path)
    frames = [frame.tobytes() for frame in data.pixel_array]
    if syntax:
        data.compress(syntax)
        data.save_as(path)
    orthanc_source.archive.load([path])
    assert len(set(frames)) == 5
    return (data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID), frames


@pytest.mark.parametrize("syntax", ["", RLELossless])
def test_it_gets_any_frames_of_a_multi_frame_instance(source, proxy, orthanc_source, tmp_path, syntax):
    uids, frames = held_cine(orthanc_source, tmp_path, syntax)

    assert list(source.iter_frames(*uids, (5, 1, 3))) == [frames[4], frames[0], frames[2]]
    assert proxy.dicomweb_client("SOURCE").retrieve_instance_frames(
        *uids, frame_numbers=[2], media_types=("application/octet-stream",)
    ) == [frames[1]]
    stored = list(source.iter_stored_frames(*uids, (4, 5)))
    assert {each.transfer_syntax_uid for each in stored} == {syntax or ExplicitVRLittleEndian}
    assert [each.content == frame for each, frame in zip(stored, frames[3:], strict=True)] == [not syntax] * 2
    assert [picture_format(each) for each in source.iter_rendered(*uids)] == ["PNG"] * 5
    assert len({source.rendered(*uids, number) for number in (1, 2, 3)}) == 3
    assert source.thumbnail(*uids, 1) != source.thumbnail(*uids, 4)
    (said,) = source.metadata(*uids)
    whole = source.bulk_data(said.bulk_data_uris["7FE00010"])
    assert (len(whole) if syntax else whole) == (5 if syntax else [b"".join(frames)])
    for numbers in ((6,), (1, 6)):
        with pytest.raises(InvalidRequest, match="no frame 6"):
            list(source.iter_frames(*uids, numbers))


def picture_format(content):
    return Image.open(BytesIO(content)).format


@pytest.mark.parametrize(
    ("picture", "shown"), [("png", "PNG"), ("jpeg", "JPEG"), ("gif", "GIF"), ("jp2", "JPEG2000")]
)
@pytest.mark.parametrize(("depth", "images"), [(1, 4), (2, 4), (3, 1)])
def test_it_gets_pictures_at_all_levels(source, depth, images, picture, shown):
    uids = UIDS[:depth]
    assert Image.open(BytesIO(source.rendered(*uids, picture=picture, viewport="16,16"))).size == (16, 16)
    assert picture_format(source.rendered(*uids, picture=picture)) == shown
    assert picture_format(source.thumbnail(*uids, picture=picture)) == shown
    pictures = source.iter_rendered(*uids, picture=picture, window="40,400,linear")
    assert list(map(picture_format, pictures)) == [shown] * images


def test_it_gets_pictures_of_frames(source):
    assert picture_format(source.rendered(*UIDS, 1)) == "PNG"
    assert picture_format(source.thumbnail(*UIDS, 1)) == "PNG"
    assert list(map(picture_format, source.iter_rendered(*UIDS, [1]))) == ["PNG"]
    with pytest.raises(InvalidRequest, match="no frame 2"):
        source.rendered(*UIDS, 2)


def test_what_is_too_long_for_the_metadata_comes_by_its_uri(source, orthanc_source, tmp_path):
    (path,) = write_study(ONE, tmp_path)
    data = dcmread(path)
    inner = Dataset()
    inner.add_new(0x00091001, "OB", b"\1\2" * 4000)
    inner.add_new(0x00090010, "LO", "ADIT TESTS")
    data.RequestAttributesSequence = [inner]
    data.save_as(path)
    orthanc_source.archive.load([path])

    (said,) = source.metadata(ONE.study_instance_uid)

    assert said.bulk_data_uris.keys() == {"7FE00010", "00400275.0.00091001"}
    assert source.bulk_data(said.bulk_data_uris["7FE00010"]) == [data.PixelData]
    assert source.bulk_data(said.bulk_data_uris["00400275.0.00091001"]) == [b"\1\2" * 4000]
    assert (said.PatientID, said.PixelData) == (data.PatientID, b"")
    with pytest.raises(ValueError, match="no URI"):
        source.bulk_data("https://elsewhere.example.org/bulkdata/7FE00010")


def test_bulk_data_deep_within_sequences_comes_by_its_uri(source, proxy, orthanc_source, tmp_path):
    (path,) = write_study(ONE, tmp_path)
    data = dcmread(path)
    deepest, first, second = Dataset(), Dataset(), Dataset()
    deepest.add_new(0x00090010, "LO", "ADIT TESTS")
    deepest.add_new(0x00091002, "OW", b"\3\4" * 3000)
    second.ScheduledProtocolCodeSequence = [Dataset(), Dataset(), deepest]
    first.add_new(0x00090010, "LO", "ADIT TESTS")
    first.add_new(0x00091001, "UN", b"\5" * 5000)
    data.RequestAttributesSequence = [first, second]
    data.save_as(path)
    orthanc_source.archive.load([path])
    uids = (ONE.study_instance_uid, ONE.series_instance_uid(0), ONE.sop_instance_uid(0, 0))

    (said,) = source.metadata(*uids)

    deep, shallow = "00400275.1.00400008.2.00091002", "00400275.0.00091001"
    assert said.bulk_data_uris.keys() == {"7FE00010", deep, shallow}
    assert source.bulk_data(said.bulk_data_uris[deep]) == [b"\3\4" * 3000]
    assert source.bulk_data(said.bulk_data_uris[shallow]) == [b"\5" * 5000]
    library = proxy.dicomweb_client("SOURCE")
    assert library.retrieve_bulkdata(said.bulk_data_uris[deep]) == [b"\3\4" * 3000]
    for path_of_none in ("00400275.1.00400008.3.00091002", "00400275.2.00091001", "00400275.0.00100010"):
        uri = said.bulk_data_uris[deep].replace(deep, path_of_none)
        with pytest.raises(NotFound, match="no bulk data"):
            source.bulk_data(uri)


def test_the_token_is_not_sent_to_where_a_uri_points(source, pixels):
    (said,) = source.metadata(*UIDS)
    elsewhere = urlsplit(said.bulk_data_uris["7FE00010"])._replace(netloc="127.0.0.1:1").geturl()
    assert source.bulk_data(elsewhere) == [pixels]


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


def test_it_stores_instances_of_one_study_only(client, orthanc_destination, tmp_path):
    orthanc_destination.clear()
    destination = client.archive("DESTINATION")
    right, wrong = write_study(ONE, tmp_path), write_study(CT, tmp_path)[:1]
    result = destination.store([*right, *wrong], ONE.study_instance_uid)
    assert result.stored == (ONE.sop_instance_uid(0, 0),)
    assert result.failed.keys() == {CT.sop_instance_uid(0, 0)}
    assert orthanc_destination.contents().keys() == set(result.stored)


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
