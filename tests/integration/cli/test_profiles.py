"""Connection profiles and the keys of secrets, from the command line."""

from pathlib import Path

import pytest

from adit_core.db import User
from adit_core.db.secrets import new_key
from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    HeaderCredentials,
)
from adit_core.services.profiles import get_profile, list_profiles, profile_value
from adit_core.settings import get_settings
from tests.certificates import Authority
from tests.integration.cli.conftest import CommandLine
from tests.rows import make_server
from tests.servers import OrthancServer


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> tuple[object, ...]:
    """The options that name the files of an identity and its CA."""
    certificate, key = authority.issue("adit").write(tmp_path / "pem")
    ca = tmp_path / "pem" / "ca.pem"
    ca.write_text(authority.certificate)
    return ("--tls", "--ca", ca, "--certificate", certificate, "--key", key)


def test_a_profile_is_added_and_listed_without_its_key(
    cli: CommandLine, admin: User, files: tuple[object, ...]
) -> None:
    added = cli.json("profiles", "add", "TLS", *files, "--no-verify-host-name", "--silence-timeout", 600)
    cli.json("profiles", "add", "plain")

    assert (added["name"], added["tls"], added["verifies_host_name"]) == ("TLS", True, False)
    assert (added["silence_timeout"], added["has_ca"], added["has_certificate"]) == (600, True, True)
    assert added["expires_at"] is not None
    listed = cli.run("profiles", "list", "--json").stdout
    assert "PRIVATE" not in listed
    shown = cli.run("profiles", "list").stdout
    assert "any host name" in shown
    assert "600 s" in shown


def test_files_that_are_no_pem_are_refused(cli: CommandLine, admin: User, tmp_path: Path) -> None:
    der = tmp_path / "der"
    der.write_bytes(bytes(range(256)))

    error = cli.error("profiles", "add", "TLS", "--tls", "--ca", der)

    assert [problem["field"] for problem in error["problems"]] == ["ca"]


def test_certificates_without_tls_are_a_misuse(
    cli: CommandLine, admin: User, files: tuple[object, ...]
) -> None:
    for options in (files[1:], ("--no-verify-host-name",)):
        assert cli.run("profiles", "add", "TLS", *options).exit_code == 2


def test_nodes_are_added_with_a_profile_or_given_another(cli: CommandLine, admin: User) -> None:
    cli.json("profiles", "add", "slow", "--silence-timeout", 600)
    server = ("--ae-title", "PACS", "--host", "pacs.example", "--port", 104)

    added = cli.json("nodes", "add", "server", "PACS", *server, "--profile", "slow")
    changed = cli.json("nodes", "change", "PACS", "--no-get", "--move", "--root", "PATIENT", "--profile", "")

    assert added["profile"] == "slow"
    assert changed == added | {
        "profile": "",
        "services": ["C-FIND", "C-MOVE", "C-STORE"],
        "query_root": "PATIENT",
    }
    assert cli.json("nodes", "list") == [changed]
    assert "Known profiles: slow" in cli.error("nodes", "change", "PACS", "--profile", "fast")["error"]


CREDENTIALS = {
    "basic": (("--basic", "adit"), BasicCredentials("adit", "hidden")),
    "bearer": (("--bearer",), BearerToken("hidden")),
    "header": (("--header", "X-Key"), HeaderCredentials("X-Key", "hidden")),
    "client credentials": (
        ("--client", "adit", "--token-url", "https://id.example.org", "--scope", "dicom"),
        ClientCredentials("https://id.example.org", "adit", "hidden", "dicom"),
    ),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_credentials_of_each_kind_are_added_and_only_their_kind_is_listed(
    cli: CommandLine, admin: User, kind: str
) -> None:
    options, credentials = CREDENTIALS[kind]
    typed = cli.run("profiles", "add", "typed", *options, typed="hidden\n")
    cli.variables["ADIT_WEB_SECRET"] = "hidden"
    added = cli.json("profiles", "add", "taken", *options)

    assert (typed.exit_code, "hidden" in typed.output) == (0, False)
    assert (added["credentials"], added["has_proxy"]) == (kind, False)
    for name in ("typed", "taken"):
        assert profile_value(cli.db, get_profile(cli.db, name).id).credentials == credentials
    for listed in (cli.run("profiles", "list"), cli.run("profiles", "list", "--json")):
        assert kind.split(maxsplit=1)[0] in listed.stdout
        assert "hidden" not in listed.output
        assert "adit" not in listed.output


def test_a_proxy_is_added_with_the_password_of_its_user(cli: CommandLine, admin: User) -> None:
    host = "proxy.example.org:3128"
    typed = cli.run("profiles", "add", "typed", "--proxy", f"http://adit@{host}", typed="hid:den/\n")
    cli.variables["ADIT_PROXY_PASSWORD"] = "hid:den/"
    added = cli.json("profiles", "add", "taken", "--proxy", f"http://adit@{host}", "--busy-timeout", 90)
    open_to_all = cli.json("profiles", "add", "open", "--proxy", f"http://{host}", "--parallel-uploads", 4)

    assert (typed.exit_code, added["has_proxy"], open_to_all["has_proxy"]) == (0, True, True)
    assert (added["busy_timeout"], open_to_all["parallel_uploads"]) == (90, 4)
    values = [profile_value(cli.db, get_profile(cli.db, name).id) for name in ("typed", "taken", "open")]
    with_password = f"http://adit:hid%3Aden%2F@{host}"
    assert [value.proxy for value in values] == [with_password, with_password, f"http://{host}"]
    assert host not in cli.run("profiles", "list", "--json").stdout
    assert cli.error("profiles", "add", "bad", "--proxy", "http://[proxy")["problems"][0]["field"] == "proxy"


@pytest.mark.parametrize(
    "options",
    [
        ("--basic", "adit", "--bearer"),
        ("--client", "adit"),
        ("--token-url", "https://id.example.org"),
        ("--basic", "adit", "--scope", "dicom"),
        ("--proxy", "http://adit:hidden@proxy.example.org:3128"),
    ],
)
def test_options_that_do_not_go_together_are_a_misuse(
    cli: CommandLine, admin: User, options: tuple[str, ...]
) -> None:
    cli.variables["ADIT_WEB_SECRET"] = "hidden"

    misused = cli.run("profiles", "add", "web", *options)

    assert (misused.exit_code, "hidden" in misused.output) == (2, False)
    assert list_profiles(cli.db) == []


def test_web_servers_are_added_with_a_profile_or_given_another(cli: CommandLine, admin: User) -> None:
    cli.variables["ADIT_WEB_SECRET"] = "hidden"
    for name in ("old", "new"):
        cli.json("profiles", "add", name, "--bearer")
    url = "https://pacs.example.org/dicom-web"

    added = cli.json("nodes", "add", "web", "WEB", url, "--profile", "old")
    changed = cli.json("nodes", "change", "WEB", "--no-stow", "--profile", "new")

    assert added["profile"] == "old"
    assert changed == added | {"profile": "new", "services": ["QIDO-RS", "WADO-RS"]}
    assert "in use by WEB" in cli.error("profiles", "remove", "new")["error"]
    assert cli.json("nodes", "change", "WEB", "--profile", "")["profile"] == ""
    for option in ("--get", "--root=PATIENT"):
        assert cli.run("nodes", "change", "WEB", option).exit_code == 2
    make_server(cli.db, "PACS")
    assert cli.run("nodes", "change", "PACS", "--no-stow").exit_code == 2


@pytest.mark.system
def test_an_archive_answers_over_tls(
    cli: CommandLine, admin: User, files: tuple[object, ...], tls_orthanc: OrthancServer
) -> None:
    node = tls_orthanc.archive.node
    make_server(cli.db, "PACS", ae_title=node.ae_title, host=node.host, port=node.port)
    cli.json("profiles", "add", "TLS", *files)

    assert "TLS" in cli.error("nodes", "echo", "PACS")["error"]
    cli.json("nodes", "change", "PACS", "--profile", "TLS")

    assert cli.json("nodes", "echo", "PACS")["seconds"] > 0


def test_secrets_move_from_the_key_file_to_keys_that_are_set(
    cli: CommandLine, admin: User, files: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.json("profiles", "add", "TLS", *files)
    make_server(cli.db, "PACS")
    cli.json("nodes", "change", "PACS", "--profile", "TLS")
    new = cli.json("secrets", "new-key")["key"]

    monkeypatch.setenv("ADIT_SECRET_KEYS", new)
    get_settings.cache_clear()
    assert cli.json("secrets", "rotate") == {"rotated": 1}

    (cli.data_dir / "secret.key").unlink()
    assert cli.json("secrets", "rotate") == {"rotated": 1}
    monkeypatch.setenv("ADIT_SECRET_KEYS", new_key())
    get_settings.cache_clear()
    assert "ADIT_SECRET_KEYS" in cli.error("secrets", "rotate")["error"]


def test_a_profile_is_replaced_and_removed(cli: CommandLine, admin: User, files: tuple[object, ...]) -> None:
    cli.json("profiles", "add", "slow", "--silence-timeout", 600)

    replaced = cli.json("profiles", "add", "slow", *files, "--replace")
    assert (replaced["tls"], replaced["silence_timeout"]) == (True, 60)
    assert cli.json("profiles", "list") == [replaced]

    assert "no connection profile called fast" in cli.error("profiles", "remove", "fast")["error"]
    assert cli.json("profiles", "remove", "slow") == {"removed": "slow"}
    assert cli.json("profiles", "list") == []


def test_keys_that_do_not_fit_are_found_out(cli: CommandLine, admin: User, files: tuple[object, ...]) -> None:
    cli.json("profiles", "add", "TLS", *files)
    assert cli.json("secrets", "check") == {"readable": 1, "unreadable": 0}

    (cli.data_dir / "secret.key").write_text(new_key())

    wrong = cli.run("secrets", "check")
    assert wrong.exit_code == 1
    assert "1 of 1 secrets were sealed with a key that is not at hand" in wrong.stdout
