"""The web process with a certificate of its own."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deployments.demo.processes import HOST
from deployments.stack import HOME
from tests.certificates import Authority
from tests.web_process import PASSWORD, WebProcess, fields_of, web_process

FORM = "/auth/sign-in"
YEAR = 31_536_000


@dataclass(frozen=True)
class TlsProcess:
    process: WebProcess
    certificate: Path
    trust: ssl.SSLContext

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.process.url, verify=self.trust, timeout=30)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[TlsProcess]:
    folder = tmp_path_factory.mktemp("tls-web")
    certificate, key = authority.issue(HOST).write(folder)
    trust = ssl.create_default_context(cadata=authority.certificate)
    with web_process(folder, web_certificate=str(certificate), web_key=str(key)) as process:
        yield TlsProcess(process, certificate, trust)


def test_who_signs_in_over_tls_gets_cookies_that_never_leave_it(tls: TlsProcess) -> None:
    user = tls.process.add_user()
    with tls.browser() as browser:
        form = fields_of(browser.get(FORM))
        answer = browser.post(FORM, data={**form, "username": user.username, "password": PASSWORD})
        page = browser.get("/")

    assert (answer.status_code, page.status_code) == (303, 200)
    cookies = answer.headers.get_list("set-cookie")
    assert cookies
    assert all(cookie.startswith("__Host-") and "; Secure" in cookie for cookie in cookies)


def test_every_line_of_the_log_is_an_event(tls: TlsProcess) -> None:
    with tls.browser() as browser:
        browser.get(FORM)
    lines = [json.loads(line) for line in tls.process.log.splitlines()]
    assert {"time", "level", "logger", "event"} <= set.intersection(*map(set, lines))
    assert "Application startup complete." in {line["event"] for line in lines}


@pytest.mark.parametrize("path", [FORM, "/", "/api/health/ready", "/api/v1/jobs"])
def test_browsers_are_told_to_come_back_over_tls_only(tls: TlsProcess, path: str) -> None:
    with tls.browser() as browser:
        assert browser.get(path).headers["strict-transport-security"] == f"max-age={YEAR}"


def test_without_tls_nobody_is_told_so(web: WebProcess) -> None:
    with web.browser() as browser:
        assert "strict-transport-security" not in browser.get(FORM).headers


def test_the_port_speaks_tls_only_and_no_old_version_of_it(tls: TlsProcess) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(tls.process.url.replace("https", "http"))
    assert _reached_with(tls, ssl.TLSVersion.TLSv1_2)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        assert not _reached_with(tls, ssl.TLSVersion.TLSv1_1)


def _reached_with(tls: TlsProcess, newest: ssl.TLSVersion) -> bool:
    """Tell whether a client is answered that knows TLS up to a version, and would take any cipher."""
    client = ssl.create_default_context()
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    client.maximum_version = newest
    client.set_ciphers("ALL:@SECLEVEL=0")
    try:
        return httpx.get(tls.process.url + FORM, verify=client).is_success
    except httpx.ConnectError:
        return False


def test_a_certificate_is_renewed_without_a_restart(tls: TlsProcess, authority: Authority) -> None:
    before = _certificate_of(tls)
    authority.issue(HOST).write(tls.certificate.parent)
    renewed = _certificate_of(tls)
    assert renewed == tls.certificate.read_text()
    assert renewed != before
    assert "ADIT_WEB_CERTIFICATE and ADIT_WEB_KEY was renewed" in tls.process.log

    tls.certificate.write_text("half of it")
    assert _certificate_of(tls) == renewed
    assert "The certificate in use stays" in tls.process.log

    tls.certificate.write_text(before)  # its key was overwritten
    assert _certificate_of(tls) == renewed
    assert "The key does not belong to the certificate." in tls.process.log

    authority.issue(HOST).write(tls.certificate.parent)
    assert _certificate_of(tls) == tls.certificate.read_text() != renewed
    assert tls.process.log.count("The certificate in use stays") == 2


def _certificate_of(tls: TlsProcess) -> str:
    """Return the certificate that the process shows to who connects now, as PEM."""
    address = (HOST, tls.process.server.port)
    with (
        socket.create_connection(address) as plain,
        tls.trust.wrap_socket(plain, server_hostname=HOST) as encrypted,
    ):
        shown = encrypted.getpeercert(binary_form=True)
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown)


def test_the_health_check_of_the_container_speaks_tls_too(tls: TlsProcess) -> None:
    environment = {
        "ADIT_WEB_PORT": str(tls.process.server.port),
        "ADIT_WEB_CERTIFICATE": str(tls.certificate),
    }
    check = [sys.executable, "-m", "deployments.health", "web"]
    subprocess.run(check, check=True, cwd=HOME, env={**os.environ, **environment})


def test_it_does_not_start_with_a_certificate_that_is_missing(tmp_path: Path) -> None:
    environment = {"ADIT_DATA_DIR": str(tmp_path), "ADIT_WEB_CERTIFICATE": f"{tmp_path}/no.pem"}
    ended = subprocess.run(
        [sys.executable, "-m", "deployments.web"],
        cwd=HOME,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr == f"ADIT_WEB_CERTIFICATE: There is no file {tmp_path}/no.pem.\n"
