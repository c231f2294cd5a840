"""`adit doctor` finds what is wrong with an installation, and says what to do."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from adit_core.db import User
from adit_core.db.secrets import new_key
from adit_core.errors import SchedulerUnavailable
from adit_core.services import doctor
from adit_core.services.disk_watch import watch_disks
from adit_core.services.doctor import Verdict, examine
from adit_core.services.node_policies import change_policy
from adit_core.settings import Settings
from deployments.stack import free_port
from tests.fakes.openid_provider import openid_provider
from tests.integration.cli.conftest import CommandLine
from tests.rows import make_folder, make_server


class Scheduler:
    """A scheduler that says what a test wants."""

    def __init__(self, *, workers: int = 1, missing: tuple[str, ...] = (), is_away: bool = False) -> None:
        self._workers, self._missing, self._is_away = workers, missing, is_away

    def missing_deployments(self) -> list[str]:
        if self._is_away:
            raise SchedulerUnavailable("Prefect does not answer at http://127.0.0.1/api.")
        return list(self._missing)

    def workers_online(self) -> int:
        return self._workers


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/api/health/ready", "/health") else 404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the library
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """Where something answers as the dashboard and the receiver do."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def found(cli: CommandLine, scheduler: Scheduler, **settings: object) -> dict[str, doctor.Finding]:
    values = Settings.model_validate({"data_dir": cli.data_dir, **settings})
    return {finding.subject: finding for finding in examine(cli.db, values, scheduler, with_nodes=True)}


def bad(findings: dict[str, doctor.Finding]) -> set[str]:
    return {subject for subject, finding in findings.items() if finding.verdict is Verdict.BAD}


def test_where_all_is_well_nothing_is_to_be_done(
    cli: CommandLine, admin: User, url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    make_folder(cli.db, "Export", path=str(folder))
    cli.json("db", "backup")

    findings = found(cli, Scheduler(), web_url=url, receiver_url=url, receiver_token="token")

    assert {finding.verdict for finding in findings.values()} == {Verdict.GOOD}
    assert {finding.remedy for finding in findings.values()} == {""}
    assert findings.keys() >= {
        *("database", "secrets", "clock", "users", "Prefect", "workers", "dashboard", "receiver", "backups"),
        "node Export",
    }


def test_what_does_not_answer_is_named_with_a_remedy(cli: CommandLine, url: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    make_server(cli.db, "PACS", port=free_port())

    findings = found(
        cli, Scheduler(is_away=True), web_url=nowhere, receiver_url=nowhere, receiver_token="token"
    )

    assert bad(findings) == {"Prefect", "dashboard", "receiver", "node PACS"}
    assert {"users", "backups"} <= {
        subject for subject, finding in findings.items() if finding.verdict is Verdict.WARNING
    }
    assert all(finding.remedy for finding in findings.values() if finding.verdict is not Verdict.GOOD)


def test_jobs_without_workers_or_flows_are_told_of(cli: CommandLine, url: str) -> None:
    findings = found(cli, Scheduler(workers=0, missing=("query/query",)), web_url=url)

    assert bad(findings) == {"Prefect", "workers"}
    assert "query/query" in findings["Prefect"].message


def test_a_database_without_tables_is_all_that_is_told_of_it(empty_cli: CommandLine, url: str) -> None:
    findings = found(empty_cli, Scheduler(), web_url=url)

    assert bad(findings) == {"database"}
    assert findings["database"].remedy == "Run `adit db upgrade`."
    assert "users" not in findings


def test_secrets_of_a_lost_key_are_told_of(cli: CommandLine, admin: User, url: str) -> None:
    assert cli.run("profiles", "add", "Web", "--basic", "adit", typed="secret\n").exit_code == 0
    (cli.data_dir / "secret.key").write_text(new_key())

    assert "secrets" in bad(found(cli, Scheduler(), web_url=url))


def test_the_clocks_of_two_machines_are_compared(
    cli: CommandLine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doctor.shared_now
    monkeypatch.setattr(doctor, "shared_now", lambda session: real(session).replace(year=2000))

    assert found(cli, Scheduler(), web_url=url)["clock"].verdict is Verdict.WARNING


def test_a_full_disk_is_told_of(cli: CommandLine, url: str) -> None:
    (cli.data_dir / "uploads").mkdir()

    finding = found(cli, Scheduler(), web_url=url, uploads_min_free_bytes=1 << 60)[
        "disk of the application's data"
    ]

    assert finding.verdict is Verdict.BAD
    assert "There is no space for more at uploads" in finding.message
    assert finding.remedy


def test_a_full_folder_of_another_machine_is_told_of(cli: CommandLine, url: str, tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.mkdir()
    node = make_folder(cli.db, "Export", path=str(path))
    change_policy(cli.db, "Export", min_free_bytes=1 << 59)
    watch_disks(cli.db, Settings(data_dir=cli.data_dir))
    path.rmdir()

    finding = found(cli, Scheduler(), web_url=url)[f"disk of {node.path}"]

    assert finding.verdict is Verdict.BAD
    assert "no space for more at Export" in finding.message


def test_the_provider_that_users_sign_in_by_is_asked(cli: CommandLine, admin: User, url: str) -> None:
    with openid_provider() as provider:
        settings = {"web_url": url, "oidc_issuer": provider.issuer, "oidc_client_id": "adit"}
        findings = found(cli, Scheduler(), **settings, oidc_groups={"radiology": "Readers"})
        assert findings["sign-in"].verdict is Verdict.GOOD
        assert "do not exist: Readers" in findings["groups of the provider"].message

        renamed = provider.issuer.replace("127.0.0.1", "localhost")
        finding = found(cli, Scheduler(), **{**settings, "oidc_issuer": renamed})["sign-in"]
        assert finding.verdict is Verdict.BAD
        assert f"is called {provider.issuer}, not {renamed}" in finding.message

    assert bad(found(cli, Scheduler(), **settings)) >= {"sign-in"}
    assert "sign-in" not in found(cli, Scheduler(), web_url=url)


def test_the_command_ends_with_status_1_if_something_is_bad(cli: CommandLine, admin: User) -> None:
    result = cli.run("doctor", "--quick")

    assert result.exit_code == 1
    assert "PREFECT_API_URL is not set" in " ".join(result.stdout.split())
