"""Content negotiation of DICOMweb."""

import re

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from adit_core.api.dicomweb.media_types import DICOM, DICOM_JSON, accepted, chosen, require


def request(accept: str | None, query: str = "") -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "headers": headers, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("accept", "multipart", "expected"),
    [
        (None, False, True),
        ("*/*", True, True),
        ("application/dicom+json, application/json", False, True),
        ("application/*;q=0.5, text/html", False, True),
        ("text/html", False, False),
        ("application/dicom+json;q=0", False, False),
        ('multipart/related; type="application/dicom+json"', False, False),
        ('multipart/related; type="application/dicom+json"', True, True),
        ("multipart/related; type=application/dicom+json", True, True),
        ('multipart/related; type="a, b"; x="c;d", application/dicom+json', False, True),
        ('text/html;q=high, "', False, False),
    ],
)
def test_what_is_accepted(accept, multipart, expected):
    if expected:
        require(request(accept), (DICOM_JSON,), multipart=multipart)
        return
    with pytest.raises(HTTPException, match=re.escape(DICOM_JSON)) as raised:
        require(request(accept), (DICOM_JSON,), multipart=multipart)
    assert raised.value.status_code == 406


def test_the_most_wanted_comes_first():
    ranges = accepted(request("image/png;q=0.3, image/jpeg;q=0.9, image/gif"))
    assert [each.name for each in ranges] == ["image/gif", "image/jpeg", "image/png"]
    assert chosen(ranges[1], ("image/png", "image/jpeg")) == "image/jpeg"


def test_transfer_syntaxes_and_the_parameter_of_the_url():
    wanted = f'multipart/related; type="{DICOM}"; transfer-syntax=1.2.3'
    (found,) = accepted(request("text/html", f"accept={wanted.replace(' ', '%20')}"))
    assert (found.name, found.transfer_syntaxes, found.is_multipart) == (DICOM, {"1.2.3"}, True)
