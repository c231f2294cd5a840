"""Archives of others over TLS; the contract suite runs over TLS with Orthanc, too."""

from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.dicom.dimse import echo
from adit_core.dicom.node import ServerNode
from adit_core.dicom.tls import TlsSettings
from adit_core.errors import AditError, ConnectionFailed, TlsFailed
from deployments.demo.studies import write_study
from tests.certificates import Authority
from tests.factories import instances_in, mixed_study
from tests.servers import FileArchive

pytestmark = pytest.mark.system


def with_tls(node: ServerNode, tls: TlsSettings | None) -> ServerNode:
    return replace(node, profile=replace(node.profile, tls=tls))


def test_storescp_receives_over_tls_what_was_sent(tls_storescp: FileArchive, tmp_path: Path):
    tls_storescp.archive.load(write_study(mixed_study(), tmp_path / "study"))

    assert tls_storescp.contents() == instances_in(tmp_path / "study")


@pytest.fixture(params=["tls_orthanc", "tls_storescp"])
def archive(request: pytest.FixtureRequest) -> ServerNode:
    """The node of each archive in turn."""
    return request.getfixturevalue(request.param).archive.node


def failure(node: ServerNode, tls: TlsSettings | None) -> AditError:
    with pytest.raises(AditError) as raised:
        echo(with_tls(node, tls))
    return raised.value


def test_failures_are_told_apart(archive: ServerNode, authority: Authority):
    other = Authority("Other CA")
    good = archive.profile.tls
    assert good is not None
    assert echo(archive) > 0

    untrusted = failure(archive, replace(good, ca=other.certificate))
    nameless = failure(replace(archive, host="localhost"), good)
    unknown = failure(archive, TlsSettings(ca=authority.certificate))
    refused = failure(archive, other.issue("adit").settings(authority))
    plain = failure(archive, None)

    assert {type(error) for error in (untrusted, nameless, unknown, refused)} == {TlsFailed}
    assert "not from a certification authority that this connection trusts" in str(untrusted)
    assert "made out to another host name or address" in str(nameless)
    assert "wants a certificate of ours" in str(unknown)
    assert "does not accept our certificate" in str(refused)
    assert isinstance(plain, ConnectionFailed)
    assert "perhaps it speaks TLS only" in str(plain)


@pytest.mark.parametrize("name", ["orthanc_source", "storescp", "dcmqrscp", "qrscp"])
def test_plain_archives_are_told(request: pytest.FixtureRequest, name: str, authority: Authority):
    node = request.getfixturevalue(name).archive.node

    said = str(failure(node, TlsSettings(ca=authority.certificate)))

    assert "it does not answer in TLS" in said or "perhaps it does not speak TLS" in said
