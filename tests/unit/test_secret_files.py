"""Secrets in files stand for settings, and production does not start without them."""

import os
from pathlib import Path

import pytest

from adit_core.errors import InvalidInput
from adit_core.secret_files import adopt_secrets_of_prefect
from adit_core.services.database import configured_database
from adit_core.settings import Settings, read_settings

PRODUCTION = {
    "ADIT_PRODUCTION": "true",
    "ADIT_DATABASE_URL": "postgresql+psycopg://adit@postgres/adit",
    "ADIT_SECRET_KEYS": "a key",
    "ADIT_RECEIVER_TOKEN": "a token of 24 characters",
    "PREFECT_API_AUTH_STRING": "adit:hunter2",
    "ADIT_WEB_URL": "https://adit.example.org",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the secrets, with one line in each, as editors leave it."""
    for name in [each for each in os.environ if each.startswith(("ADIT_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ADIT_SECRETS_DIR", str(tmp_path))
    (tmp_path / "adit_secret_keys").write_text("first,second\n")
    (tmp_path / "adit_database_password").write_text("p@ss/word:%\n")
    (tmp_path / "prefect_api_auth_string").write_text("adit:hunter2\n")
    return tmp_path


def test_a_file_stands_for_the_setting_of_its_name(folder: Path) -> None:
    assert read_settings(Settings).resolved_secret_keys() == ("first", "second")


def test_the_environment_goes_before_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_SECRET_KEYS", "third")
    assert read_settings(Settings).resolved_secret_keys() == ("third",)


def test_the_password_of_the_database_is_put_into_its_url(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADIT_DATABASE_URL", "postgresql+psycopg://adit@postgres/adit")
    url = configured_database(read_settings(Settings)).engine.url
    assert (url.username, url.password, url.host) == ("adit", "p@ss/word:%", "postgres")
    assert "p@ss" not in repr(read_settings(Settings))


def test_prefect_gets_its_own_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "")  # so that it is taken away afterwards
    monkeypatch.delenv("PREFECT_API_AUTH_STRING")
    adopt_secrets_of_prefect()
    assert os.environ["PREFECT_API_AUTH_STRING"] == "adit:hunter2"
    assert "ADIT_SECRET_KEYS" not in os.environ
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "adit:other")
    adopt_secrets_of_prefect()
    assert os.environ["PREFECT_API_AUTH_STRING"] == "adit:other"


def test_a_folder_that_is_not_there_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_SECRETS_DIR", f"{folder}/gone")
    with pytest.raises(InvalidInput, match=r"ADIT_SECRETS_DIR is no folder that can be read: .*gone"):
        read_settings(Settings)


def test_production_starts_with_all_that_it_needs(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    assert read_settings(Settings).secure_cookies, "the address is https"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADIT_DATABASE_URL", "sqlite:///adit.sqlite"),
        ("ADIT_DATABASE_URL", ""),
        ("ADIT_SECRET_KEYS", " "),
        ("ADIT_RECEIVER_TOKEN", ""),
        ("ADIT_RECEIVER_TOKEN", "short"),
        ("PREFECT_API_AUTH_STRING", ""),
        ("ADIT_WEB_URL", "http://adit.example.org"),
    ],
)
def test_production_does_not_start_without(
    name: str, value: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each, usual in PRODUCTION.items():
        monkeypatch.setenv(each, usual)
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidInput) as caught:
        read_settings(Settings)

    assert [problem.field for problem in caught.value.problems] == [name]
    assert "hunter2" not in str(caught.value)


def test_what_production_lacks_is_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "adit_secret_keys").unlink()
    monkeypatch.setenv("ADIT_PRODUCTION", "true")
    with pytest.raises(InvalidInput) as caught:
        read_settings(Settings)
    assert {problem.field for problem in caught.value.problems} == PRODUCTION.keys() - {
        "ADIT_PRODUCTION",
        "ADIT_WEB_URL",
    }


def test_an_address_on_this_machine_needs_no_tls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**PRODUCTION, "ADIT_WEB_URL": "http://localhost:8000"}.items():
        monkeypatch.setenv(name, value)
    assert not read_settings(Settings).secure_cookies
