"""Credentials as text: each kind comes back as it was, and nothing is quoted of what is none."""

import pytest

from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.errors import InvalidInput
from adit_core.services.web_credentials import decode_credentials, encode_credentials


@pytest.mark.parametrize(
    "credentials",
    [
        BasicCredentials("jörg", 'p"w'),
        BearerToken("abc"),
        HeaderCredentials("X-Api-Key", "abc"),
        ClientCredentials("https://login.example.org/token", "adit", "abc"),
        ClientCredentials("https://login.example.org/token", "adit", "abc", "pacs read"),
    ],
)
def test_credentials_come_back_as_they_were(credentials: Credentials):
    assert decode_credentials(encode_credentials(credentials)) == credentials


@pytest.mark.parametrize("text", ["", "geheim", "{}", '{"password": "geheim"}', "[1]"])
def test_other_text_is_refused_and_not_quoted(text: str):
    with pytest.raises(InvalidInput) as caught:
        decode_credentials(text)
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__
