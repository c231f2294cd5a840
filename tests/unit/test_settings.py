"""Settings that are wrong are told in words, by the names of their variables and without their values."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from adit_core.errors import InvalidInput
from adit_core.services.database import configured_database
from adit_core.settings import Settings, adopt_stack_environment, read_settings


class WithList(Settings):
    names: tuple[str, ...] = ()


def told(kind: type[Settings] = Settings) -> dict[str | None, str]:
    with pytest.raises(InvalidInput) as caught:
        read_settings(kind)
    return {problem.field: problem.message for problem in caught.value.problems}


def test_all_malformed_settings_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_TASK_TIMEOUT", "hunter2")
    monkeypatch.setenv("ADIT_SECURE_COOKIES", "hunter2")

    problems = told()

    assert problems.keys() == {"ADIT_TASK_TIMEOUT", "ADIT_SECURE_COOKIES"}
    assert "number" in problems["ADIT_TASK_TIMEOUT"]
    assert "hunter2" not in str(problems)


def test_a_list_that_is_no_json_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_NAMES", "a, b")

    (message,) = told(WithList).values()

    assert "names" in message
    assert "JSON" in message


def test_the_environment_of_a_stack_is_not_adopted_by_wrong_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_TASK_ATTEMPTS", "three")
    with pytest.raises(InvalidInput, match="ADIT_TASK_ATTEMPTS"):
        adopt_stack_environment()


@pytest.mark.parametrize(
    "url", ["", "nonsense:hunter2", "mysql://adit:hunter2@db/adit", "oracle+x://hunter2"]
)
def test_a_url_that_is_of_no_database_of_ours_is_told_without_its_password(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(url))

    with pytest.raises(InvalidInput, match="ADIT_DATABASE_URL") as caught:
        configured_database(settings)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "field", "message"),
    [
        ({"ISSUER": "http://login.example", "CLIENT_ID": "adit"}, "ISSUER", "https://"),
        ({"ISSUER": "login.example", "CLIENT_ID": "adit"}, "ISSUER", "https://"),
        ({"ISSUER": "https://login.example"}, "CLIENT_ID", "Set it"),
        ({"SCOPES": "profile"}, "SCOPES", "openid"),
        ({"GROUPS": '{"radiology": {"staff": true}}'}, "GROUPS_RADIOLOGY", "tuple"),
    ],
)
def test_settings_of_a_provider_that_cannot_work_are_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], field: str, message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"ADIT_OIDC_{name}", value)

    assert message in told()[f"ADIT_OIDC_{field}"]


def test_passwords_stay_for_everybody_where_there_is_no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_LOCAL_SIGN_IN", "staff")

    assert "nobody but staff" in told()["ADIT_LOCAL_SIGN_IN"]


def test_groups_of_a_provider_are_one_name_or_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIT_OIDC_GROUPS", '{"a": "Readers", "b": ["Readers", "Senders"]}')
    monkeypatch.setenv("ADIT_OIDC_STAFF_GROUPS", '"pacs"')

    settings = read_settings(Settings)

    assert settings.oidc_groups == {"a": ("Readers",), "b": ("Readers", "Senders")}
    assert settings.oidc_staff_groups == ("pacs",)


@pytest.mark.parametrize("content", [None, b" \n", b"\xff\xfe"])
def test_a_file_without_a_secret_is_told_without_its_content(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidInput, match="ADIT_OIDC_CLIENT_SECRET_FILE"):
        Settings(oidc_client_secret_file=path).resolved_oidc_client_secret()
