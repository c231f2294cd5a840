"""The receiver's process with what it finds in the database: its certificate, and who may send."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring
from adit_core.dicom.dimse import echo
from adit_core.dicom.move import DimseMoveSource
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.errors import AssociationRejected, DatabaseUnavailable, PeerBusy
from adit_core.services.profiles import add_profile
from adit_core.services.senders import KnownSenders
from adit_core.services.users import list_users
from adit_core.settings import embedded_database_url
from deployments.demo.processes import HOST, ServerDidNotStart
from deployments.demo.studies import write_study
from tests import factories, servers
from tests.certificates import Authority, Identity
from tests.contract.arrivals import Arrivals
from tests.rows import make_server
from tests.servers import ReceiverServer
from tests.tls_servers import dcmtk_user, plain_dcmtk_user

STUDY = factories.ct_study(10, rows=64, key="received over TLS")
RECEIVER = "ADIT_RECEIVER"
STORING = ("-aec", RECEIVER, "-xe")


@contextmanager
def database_in(folder: Path, key_file: Path | None = None) -> Iterator[Database]:
    """Make the database that a receiver with this data directory has, with its key file or another one."""
    db = Database(embedded_database_url(folder), Keyring(key_file=key_file or folder / "secret.key"))
    db.upgrade()
    yield db
    db.dispose()


@pytest.fixture(scope="module")
def user(authority: Authority) -> Identity:
    return authority.issue("storescu")


@pytest.fixture(scope="module")
def tls_receiver(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ReceiverServer]:
    """A receiver whose stored profile has a certificate, and wants one of users."""
    folder = tmp_path_factory.mktemp("receiver")
    with database_in(folder) as db:
        add_profile(db, "receiver", ConnectionProfile(tls=authority.issue(HOST).settings(authority)))
        make_server(db, "Moves", ae_title="STORESCU", supports_move=True)
    with servers.receiver(
        folder, RECEIVER, receiver_profile="receiver", receiver_calling_ae_titles="[]"
    ) as it:
        yield it


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_study(STUDY, tmp_path / "study")


def answers(node: ServerNode) -> bool:
    """Tell whether an echo is answered; False if the association is rejected for the time being."""
    try:
        return echo(node) > 0
    except PeerBusy:
        return False


def take_all(receiver: ReceiverServer) -> dict[str, str]:
    """Take what waits of the study as a worker does, and return the data set hash of each instance."""
    arrivals = Arrivals()
    nobody = replace(receiver.node, host="127.0.0.1", port=9)
    with DimseMoveSource(nobody, receiver.address) as source:
        source.retrieve(factories.request_for_study(STUDY), arrivals)
    return arrivals.hashes


@pytest.mark.system
def test_what_storescu_sends_over_tls_is_handed_over(
    tls_receiver: ReceiverServer, files: list[Path], tmp_path: Path, user: Identity, authority: Authority
) -> None:
    port = tls_receiver.server.port
    sent = dcmtk_user(
        "storescu", port, tmp_path, identity=user, trusting=authority, options=STORING, files=files
    )

    assert sent.returncode == 0, sent.stderr
    assert take_all(tls_receiver) == factories.hashes(files)
    assert tls_receiver.files() == {}


@pytest.mark.system
def test_who_speaks_no_tls_or_is_not_trusted_is_refused(
    tls_receiver: ReceiverServer, files: list[Path], tmp_path: Path, user: Identity, authority: Authority
) -> None:
    port = tls_receiver.server.port
    stranger = Authority("Other CA").issue("storescu")

    plain = plain_dcmtk_user("storescu", port, options=STORING, files=files)
    untrusted = dcmtk_user(
        "storescu", port, tmp_path, identity=stranger, trusting=authority, options=STORING, files=files
    )
    unknown = dcmtk_user(
        "storescu",
        port,
        tmp_path,
        identity=user,
        trusting=authority,
        options=[*STORING, "-aet", "STRANGER"],
        files=files,
    )

    assert 0 not in {plain.returncode, untrusted.returncode, unknown.returncode}
    assert "Calling AE Title Not Recognized" in unknown.stderr
    assert tls_receiver.files() == {}


@pytest.mark.parametrize("name", ["unknown", "without certificate"])
def test_a_receiver_whose_profile_cannot_be_used_does_not_start(
    tmp_path: Path, authority: Authority, name: str
) -> None:
    with database_in(tmp_path) as db:
        tls = replace(authority.issue(HOST).settings(authority), certificate="", private_key="")
        add_profile(db, "without certificate", ConnectionProfile(tls=tls))

    expected = "no connection profile called unknown" if name == "unknown" else "needs a certificate"
    with (
        pytest.raises(ServerDidNotStart, match=expected),
        servers.receiver(tmp_path, RECEIVER, receiver_profile=name),
    ):
        pass


def test_nothing_is_started_if_the_receiver_could_not_be(tmp_path: Path) -> None:
    environment = {"ADIT_DATA_DIR": str(tmp_path / "data"), "ADIT_RECEIVER_PROFILE": "unknown"}
    command = [sys.executable, "-m", "deployments.up"]

    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "There is no connection profile called unknown. Known profiles: none.\n"
    with database_in(tmp_path / "data") as db:
        assert list_users(db) == []  # whose password nobody would have read


def test_nobody_is_rejected_for_good_before_the_database_has_answered(tmp_path: Path) -> None:
    later = tmp_path / "later"
    url = embedded_database_url(later)
    folder = tmp_path / "receiver"
    with servers.receiver(folder, RECEIVER, database_url=url, receiver_calling_ae_titles="[]") as server:
        sender, stranger = (replace(server.node, calling_ae_title=title) for title in ("PACS", "STRANGER"))
        for node in (sender, stranger):
            with pytest.raises(PeerBusy, match="temporary congestion"):
                echo(node)

        with database_in(later) as db:
            make_server(db, "PACS", supports_move=True)

        wait_until(lambda: answers(sender))
        with pytest.raises(AssociationRejected, match="calling AE title not recognized"):
            echo(stranger)


def test_a_receiver_waits_for_the_database_that_has_its_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    folder, prepared, later = (tmp_path / name for name in ("receiver", "prepared", "later"))
    with database_in(prepared, folder / "secret.key") as db:
        add_profile(db, "receiver", ConnectionProfile(tls=authority.issue(HOST).settings(authority)))

    def let_it_appear() -> None:
        wait_until(lambda: "not listening yet" in read(folder / "receiver.log"))
        prepared.rename(later)

    url = embedded_database_url(later)
    with ThreadPoolExecutor(1) as pool:
        appearing = pool.submit(let_it_appear)
        with servers.receiver(folder, RECEIVER, database_url=url, receiver_profile="receiver") as server:
            ours = ConnectionProfile(tls=authority.issue("adit").settings(authority))
            assert echo(replace(server.node, profile=ours)) > 0
        appearing.result()


def test_what_the_database_said_last_is_valid_while_it_is_down(tmp_path: Path) -> None:
    with database_in(tmp_path / "there") as db:
        make_server(db, "PACS", ae_title="PACS", supports_move=True)
        known = KnownSenders(db, max_age=0, retry_delay=0)
        assert known("PACS")
        db.dispose()
        (tmp_path / "there").rename(tmp_path / "away")

        assert (known("PACS"), known("STRANGER")) == (True, False)
        with pytest.raises(DatabaseUnavailable):
            KnownSenders(db)("PACS")

        (tmp_path / "away").rename(tmp_path / "there")
        make_server(db, "other", ae_title="OTHER", supports_move=True)
        assert known("OTHER")


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
