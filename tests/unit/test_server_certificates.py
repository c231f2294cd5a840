"""Certificates of our servers that are wrong are told in words, before anything listens."""

from pathlib import Path

import pytest

from adit_core.errors import InvalidInput
from deployments.tls import server_context
from tests.certificates import Authority, encrypted

VARIABLES = ("ADIT_WEB_CERTIFICATE", "ADIT_WEB_KEY")


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> tuple[str, str]:
    """The files of a certificate and of its key."""
    certificate, key = authority.issue("adit.example.org").write(tmp_path)
    return str(certificate), str(key)


def told(certificate: str, key: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        server_context(certificate, key, VARIABLES)
    return str(caught.value)


def test_a_certificate_and_its_key_are_taken_from_two_files_or_from_one(
    files: tuple[str, str], tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_text("".join(Path(file).read_text() for file in files))

    assert server_context(*files, VARIABLES)
    assert server_context(str(both), "", VARIABLES)
    assert server_context("", "", VARIABLES) is None


def test_a_key_without_a_certificate_is_refused(files: tuple[str, str]) -> None:
    assert told("", files[1]).startswith("ADIT_WEB_CERTIFICATE: A key needs the certificate")


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_missing_or_no_file_is_named(
    files: tuple[str, str], tmp_path: Path, which: int
) -> None:
    for wrong, reason in ((f"{tmp_path}/gone", "There is no file"), (str(tmp_path), "cannot be read")):
        given = list(files)
        given[which] = wrong
        message = told(*given)
        assert message.startswith(f"{VARIABLES[which]}: ")
        assert reason in message


def test_a_key_of_another_certificate_is_refused(
    files: tuple[str, str], tmp_path: Path, authority: Authority
) -> None:
    _, other = authority.issue("other.example.org").write(tmp_path / "other")
    assert "The key does not belong to the certificate." in told(files[0], str(other))


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(files: tuple[str, str]) -> None:
    key = Path(files[1])
    key.write_text(encrypted(key.read_text(), "hunter2"))
    assert "The key has a passphrase" in told(*files)


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nnonsense\n"])
def test_what_is_no_pem_is_refused(files: tuple[str, str], text: str) -> None:
    Path(files[0]).write_text(text)
    assert "in PEM format" in told(*files)
    assert "in PEM format" in told(files[0], "")
