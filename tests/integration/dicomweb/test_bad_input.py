"""What is wrong is told by a clear status and message, and nothing half is stored."""

import struct

import httpx
import pytest

from deployments.demo.studies import write_study
from tests import factories
from tests.dicomweb_proxy import JSON, Proxy

CT = factories.ct_study(3, key="bad input")
STUDY = f"wadors/studies/{CT.study_instance_uid}"
SERIES = f"{STUDY}/series/{CT.series_instance_uid(0)}"
INSTANCE = f"{SERIES}/instances/{CT.sop_instance_uid(0, 0)}"
DICOM_PARTS = 'multipart/related; type="application/dicom"; boundary=b'


@pytest.fixture
def client(proxy: Proxy):
    with proxy.http("SOURCE") as client:
        yield client


@pytest.fixture
def destination(proxy: Proxy, orthanc_destination):
    orthanc_destination.clear()
    with proxy.http("DESTINATION") as client:
        yield client


def told(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for word in words:
        assert word in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "wadors/studies/1.2.x",
        "wadors/studies/*",
        "wadors/studies/1.2%2F..%2F3",
        f"wadors/studies/{'1.' * 40}1",
        "wadors/studies/1.2/series/x",
        "wadors/studies/1.2/series/1.3/instances/PatientName",
        "wadors/studies/1.2;1.3/metadata",
        "qidors/studies/nonsense/series",
        "qidors/studies/1.2/series/1.2.*/instances",
        "wadors/studies/1.2%00/nifti",
    ],
)
def test_malformed_uid(client, path):
    answer = client.get(path)
    if answer.status_code == 404:  # what is no path of the proxy at all
        assert "%2F" in path
        return
    told(answer, 400, "UID")


@pytest.mark.parametrize("path", ["qidors/studies", STUDY, f"{STUDY}/nifti"])
@pytest.mark.parametrize(
    "ae_title", ["NOBODY", "source", "SOURCE%20", "..", "%2e%2e", "SOURCE'--", "a" * 300]
)
def test_unknown_ae_title(proxy, path, ae_title):
    with proxy.http("SOURCE") as client:
        answer = client.get(f"{proxy.web.url}/api/dicom-web/{ae_title}/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "wadors/../../../etc/passwd",
        "wadors/%2e%2e/%2e%2e/v1/me",
        "wadors/studies/..%2f..%2fsecret",
        "wadors/studies/1.2/../../../..",
        "wadors/studies/1.2/series/1.3/instances/1.4/bulkdata/..%2f..%2fetc",
        "stowrs/../../auth/sign-in",
    ],
)
def test_paths_lead_nowhere_else(client, path):
    answer = client.get(httpx.URL(f"{client.base_url}{path}"))
    assert answer.status_code in (400, 401, 404, 405)
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("StudyInstanceUID=1.2.*", "StudyInstanceUID"),
        ("StudyDate=2024*", "StudyDate"),
        ("StudyDate=01.02.2024", "StudyDate"),
        ("StudyDate=2024", "StudyDate"),
        ("StudyTime=noon", "StudyTime"),
        ("00080020=2024-01-01", "00080020"),
        ("NumberOfStudyRelatedSeries=?", "NumberOfStudyRelatedSeries"),
        ("PatientNme=x", "PatientNme"),
        ("00109999=x", "00109999"),
        ("00020010=1.2", "00020010"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("offset=1.5", "offset"),
        ("fuzzymatching=perhaps", "fuzzymatching"),
        ("includefield=Nonsense", "includefield"),
        ("includefield=", "includefield"),
        ("PatientID=a&PatientID=b", "PatientID"),
        ("Modality=CT", "Modality"),
        ("SOPInstanceUID=1.2", "SOPInstanceUID"),
        ("RequestAttributesSequence=x", "RequestAttributesSequence"),
        ("PatientID.PatientName=x", "PatientID.PatientName"),
        ("PatientID=%00", "PatientID"),
        ("SeriesDescription=x", "SeriesDescription"),
        ("RequestAttributesSequence.x=1", "RequestAttributesSequence.x"),
        ("PatientName=" + "x" * 5000, "PatientName"),
    ],
)
def test_wrong_search_parameters_are_named(client, query, field):
    answer = client.get(f"qidors/studies?{query}")
    told(answer, 400, field)
    assert field in [each.get("field") for each in answer.json()["errors"]]


def test_all_wrong_parameters_are_told_at_once(client):
    answer = client.get("qidors/studies?StudyDate=x&limit=y&Nonsense=z")
    assert len(answer.json()["errors"]) == 3


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("qidors/studies", 'multipart/related; type="application/dicom+xml"'),
        ("qidors/studies", "text/html"),
        (STUDY, JSON),
        (STUDY, "application/dicom"),
        (STUDY, 'multipart/related; type="application/dicom+xml"'),
        (STUDY, 'multipart/related; type="application/dicom"; q=0'),
        (f"{STUDY}/metadata", "application/dicom"),
        (f"{INSTANCE}/frames/1", "image/jpeg"),
        (f"{INSTANCE}/frames/1", 'multipart/related; type="image/jp2"'),
        (f"{INSTANCE}/rendered", "video/mp4"),
        (f"{STUDY}/nifti", "application/json"),
    ],
)
def test_what_is_not_there_in_an_accepted_form_is_refused(client, holding, path, accept):
    holding(CT)
    told(client.get(path, headers={"Accept": accept}), 406, "Accept one of")


def test_transfer_syntax_that_cannot_be_given_is_refused(client, holding):
    holding(CT)
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90'
    told(client.get(STUDY, headers={"Accept": accept}), 406, "1.2.840.10008.1.2.1")


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        (f"{INSTANCE}/frames/0", 400, "no frame 0"),
        (f"{INSTANCE}/frames/2", 400, "no frame 2"),
        (f"{INSTANCE}/frames/x", 400, "frames"),
        (f"{INSTANCE}/frames/1,,2", 400, "frames"),
        (f"{INSTANCE}/rendered?viewport=big", 400, "viewport"),
        (f"{INSTANCE}/rendered?viewport=99999,1", 400, "viewport"),
        (f"{INSTANCE}/rendered?viewport=9,9,500,500,60000,60000", 400, "viewport"),
        (f"{INSTANCE}/rendered?window=1", 400, "window"),
        (f"{INSTANCE}/rendered?window=1e999,1", 400, "window"),
        (f"{INSTANCE}/rendered?window=1,0,linear", 400, "window"),
        (f"{INSTANCE}/rendered?quality=200", 400, "quality"),
        (f"{INSTANCE}/bulkdata/passwd", 400, "bulkdata"),
        (f"{INSTANCE}/bulkdata/00420011", 404, "no bulk data"),
        (f"{STUDY}?pseudonym=", 400, "pseudonym"),
        (f"{STUDY}?pseudonym=a%5Cb", 400, "pseudonym"),
        (f"{STUDY}?pseudonym=M%C3%BCller", 400, "pseudonym"),
        (f"{STUDY}?trial_protocol_id={'x' * 100}", 400, "trial_protocol_id"),
        (f"{STUDY}/nonsense", 404, "nothing at this path"),
    ],
)
def test_wrong_parts_of_a_retrieval(client, holding, path, status, word):
    holding(CT)
    told(client.get(path), status, word)


def test_other_methods_are_refused(client):
    told(client.delete(STUDY), 405)
    told(client.post("qidors/studies"), 405)
    told(client.get("stowrs/studies"), 405)


def part(content: bytes, media_type: str = "application/dicom") -> bytes:
    return f"--b\r\nContent-Type: {media_type}\r\n\r\n".encode() + content + b"\r\n"


END = b"--b--\r\n"


def post(client: httpx.Client, body: bytes, path: str = "stowrs/studies", **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers={"Content-Type": DICOM_PARTS, **headers})


@pytest.fixture
def ct_files(tmp_path) -> list[bytes]:
    return [path.read_bytes() for path in write_study(CT, tmp_path)]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/dicom", 415),
        ("application/json", 415),
        ("", 415),
        ('multipart/form-data; boundary="b"', 415),
        ('multipart/related; type="application/dicom+json"; boundary=b', 415),
        ('multipart/related; type="application/dicom"', 400),
    ],
)
def test_wrong_content_type(destination, orthanc_destination, ct_files, content_type, status):
    told(post(destination, part(ct_files[0]) + END, **{"Content-Type": content_type}), status)
    assert not orthanc_destination.contents()


@pytest.mark.parametrize("body", [b"", b"--b--\r\n", b"no multipart at all", b"--c\r\n\r\nx\r\n--c--"])
def test_body_without_instances(destination, body):
    told(post(destination, body), 400)


def test_truncated_body_leaves_whole_instances_only(destination, orthanc_destination, ct_files):
    body = b"".join(map(part, ct_files)) + END
    cut = body[: len(body) - len(ct_files[2]) // 2]
    answer = post(destination, cut)
    told(answer, 400, "2 whole instances", "ended")
    expected = {CT.sop_instance_uid(0, number) for number in range(2)}
    assert orthanc_destination.contents().keys() == expected


def test_client_that_breaks_off_leaves_whole_instances_only(destination, orthanc_destination, ct_files):
    body = b"".join(map(part, ct_files)) + END

    def broken():
        yield body[: len(body) - len(ct_files[2]) // 2]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        destination.post("stowrs/studies", content=broken(), headers={"Content-Type": DICOM_PARTS})
    assert CT.sop_instance_uid(0, 2) not in orthanc_destination.contents()


def damaged(file: bytes) -> bytes:
    return file[: len(file) - 100]


def without_study(file: bytes) -> bytes:
    at = file.index(struct.pack("<HH", 0x0020, 0x000D) + b"UI")
    length = struct.unpack_from("<H", file, at + 6)[0]
    return file[:at] + file[at + 8 + length :]


@pytest.mark.parametrize("spoil", [damaged, without_study, b"no DICOM", b""])
def test_invalid_instance_fails_alone(destination, orthanc_destination, ct_files, spoil):
    spoiled = spoil if isinstance(spoil, bytes) else spoil(ct_files[1])
    body = part(ct_files[0]) + part(spoiled) + part(ct_files[2]) + END
    answer = post(destination, body)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == JSON
    receipt = answer.json()
    assert len(receipt["00081199"]["Value"]) == 2
    (failed,) = receipt["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert answer.headers["warning"].startswith("299 ")
    assert orthanc_destination.contents().keys() == {
        CT.sop_instance_uid(0, 0),
        CT.sop_instance_uid(0, 2),
    }


def test_request_of_which_nothing_is_stored_fails(destination, orthanc_destination, ct_files):
    answer = post(destination, part(damaged(ct_files[0])) + part(ct_files[1], "text/plain") + END)
    assert answer.status_code == 409
    assert [each["00081197"]["Value"] for each in answer.json()["00081198"]["Value"]] == [[0xC000]] * 2
    assert not orthanc_destination.contents()


def test_instance_of_another_study_is_refused(destination, orthanc_destination, ct_files):
    answer = post(destination, part(ct_files[0]) + END, path="stowrs/studies/1.2.3")
    assert answer.status_code == 409
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xA900]
    assert failed["00081155"]["Value"] == [CT.sop_instance_uid(0, 0)]
    assert not orthanc_destination.contents()
    assert post(
        destination, part(ct_files[0]) + END, path=f"stowrs/studies/{CT.study_instance_uid}"
    ).is_success


def test_many_instances_in_one_request(destination, orthanc_destination, tmp_path):
    several = factories.ct_study(150, rows=64, key="many stored")
    files = write_study(several, tmp_path)

    def body():
        for path in files:
            yield part(path.read_bytes())
        yield END

    answer = destination.post("stowrs/studies", content=body(), headers={"Content-Type": DICOM_PARTS})
    assert answer.status_code == 200
    assert len(answer.json()["00081199"]["Value"]) == 150
    assert orthanc_destination.contents() == factories.hashes(files)
