"""Connection profiles: what may be stored, how secrets are stored, and that servers are reached by them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import Session, select

from adit_core.db import AuditEvent, DicomNode, NodeKind, migrations
from adit_core.db import ConnectionProfile as ProfileRow
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring, new_key
from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)
from adit_core.dicom.dimse import echo
from adit_core.dicom.node import (
    ConnectionProfile,
    DicomWebNode,
    QueryRoot,
    ServerNode,
    Service,
    WebService,
)
from adit_core.dicom.tls import TlsSettings
from adit_core.errors import ActionNotPossible, InvalidInput, NotFound, SecretUnreadable, TlsFailed
from adit_core.services.node_settings import change_server, change_web_server
from adit_core.services.nodes import (
    add_server,
    add_web_server,
    get_node,
    list_nodes,
    node_value,
)
from adit_core.services.profiles import (
    add_profile,
    get_profile,
    list_profiles,
    profile_value,
    provider_profile,
    remove_profile,
    replace_profile,
)
from adit_core.services.secret_rotation import SecretCounts, count_secrets, rotate_secrets
from adit_core.services.web_credentials import kind_of
from tests.certificates import Authority, Identity, encrypted
from tests.rows import make_folder, make_server, make_web_server
from tests.servers import OrthancServer

CREATED = "0e63a926d195"
"""The revision before profiles knew TLS."""
WITHOUT_CREDENTIALS = "00e71f570b4b"


@pytest.fixture
def db(database: Database) -> Database:
    """An empty database with a key for secrets."""
    return database


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Identity:
    return authority.issue("adit")


@pytest.fixture
def tls(authority: Authority, ours: Identity) -> TlsSettings:
    return ours.settings(authority)


def problems(db: Database, profile: ConnectionProfile, name: str = "TLS") -> dict[str | None, str]:
    with pytest.raises(InvalidInput) as caught:
        add_profile(db, name, profile)
    return {problem.field: problem.message for problem in caught.value.problems}


PROXY = "http://adit:hidden@proxy.example.org:3128"
CREDENTIALS = [
    BasicCredentials("adit", "hidden"),
    BearerToken("hidden"),
    HeaderCredentials("X-API-Key", "hidden"),
    ClientCredentials("https://id.example.org/token", "adit", "hidden", "dicom"),
]


def test_a_profile_comes_back_as_it_was_given(db: Database, tls: TlsSettings) -> None:
    given = ConnectionProfile(5, 7, 65536, 3, 0.25, replace(tls, verify_host_name=False))

    row = add_profile(db, " TLS ", given, actor="command line")

    assert (row.name, [each.name for each in list_profiles(db)]) == ("TLS", ["TLS"])
    assert profile_value(db, row.id) == given
    assert profile_value(db, None) == ConnectionProfile()
    with db.reading() as session:
        (event,) = session.exec(select(AuditEvent)).all()
    assert (event.actor, event.action, event.object_id) == (
        "command line",
        "connection profile added",
        "TLS",
    )


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=lambda each: type(each).__name__)
def test_what_only_dicomweb_needs_comes_back_as_it_was_given(db: Database, credentials: Credentials) -> None:
    given = ConnectionProfile(credentials=credentials, proxy=PROXY, busy_timeout=7, parallel_uploads=5)

    row = add_profile(db, "web", given)

    assert profile_value(db, row.id) == given
    assert (row.credentials_kind, list_profiles(db)) == (kind_of(credentials), [row])
    replace_profile(db, "web", ConnectionProfile())
    assert profile_value(db, row.id) == ConnectionProfile()
    assert get_profile(db, "web").credentials_kind is None


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=lambda each: type(each).__name__)
def test_secrets_are_nowhere_in_the_database_and_in_no_text(db: Database, credentials: Credentials) -> None:
    row = add_profile(db, "web", ConnectionProfile(credentials=credentials, proxy=PROXY))

    with db.reading() as session:
        tables = [
            session.execute(text(f"SELECT * FROM {table}")).all()
            for table in ("connection_profile", "audit_event")
        ]
    value = profile_value(db, row.id)
    for shown in (str(tables), repr(row), repr(list_profiles(db)), repr(value)):
        assert "hidden" not in shown


def test_the_private_key_is_nowhere_in_the_database(db: Database, tls: TlsSettings) -> None:
    add_profile(db, "TLS", ConnectionProfile(tls=tls))

    with db.reading() as session:
        row = session.execute(text("SELECT * FROM connection_profile")).one()
    secret = tls.private_key.splitlines()[1]
    assert not [value for value in row if isinstance(value, str) and secret in value]
    assert tls.ca in row


def test_clear_text_cannot_be_stored_as_a_secret(db: Database) -> None:
    with db.session() as session:
        session.add(ProfileRow(name="TLS", tls_private_key="clear"))  # pyright: ignore[reportArgumentType]
        with pytest.raises(StatementError, match="must be sealed"):
            session.commit()


def test_without_the_key_profiles_are_listed_but_not_used(db: Database, tls: TlsSettings) -> None:
    row = add_profile(db, "TLS", ConnectionProfile(tls=tls))
    stranger = Database(db.url, Keyring((new_key(),)))

    assert [profile.name for profile in list_profiles(stranger)] == ["TLS"]
    with pytest.raises(SecretUnreadable):
        profile_value(stranger, row.id)
    stranger.dispose()


def test_secrets_are_rotated_to_the_first_key(db: Database, tls: TlsSettings) -> None:
    rows = [add_profile(db, name, ConnectionProfile(tls=tls)) for name in ("one", "two")]
    add_profile(db, "plain", ConnectionProfile())
    new = new_key()
    both = Database(db.url, Keyring((new, *db.keyring.keys)))
    newest = Database(db.url, Keyring((new,)))

    assert rotate_secrets(both) == 2

    for row in rows:
        assert profile_value(newest, row.id).tls == tls
        with pytest.raises(SecretUnreadable):
            profile_value(db, row.id)
    both.dispose()
    newest.dispose()


def test_credentials_and_proxies_are_rotated_too(db: Database, tls: TlsSettings) -> None:
    given = ConnectionProfile(tls=tls, credentials=BearerToken("hidden"), proxy=PROXY)
    row = add_profile(db, "web", given)
    new = new_key()
    both = Database(db.url, Keyring((new, *db.keyring.keys)))
    newest = Database(db.url, Keyring((new,)))

    assert rotate_secrets(both) == 3

    assert profile_value(newest, row.id) == given
    assert count_secrets(db) == SecretCounts(0, 3)
    both.dispose()
    newest.dispose()


def test_no_secret_is_rotated_if_one_cannot_be_read(db: Database, tls: TlsSettings) -> None:
    first = add_profile(db, "one", ConnectionProfile(tls=tls))
    stranger = Database(db.url, Keyring((new_key(),)))
    add_profile(stranger, "two", ConnectionProfile(tls=tls))

    with pytest.raises(SecretUnreadable):
        rotate_secrets(Database(db.url, Keyring((new_key(), *db.keyring.keys))))

    assert profile_value(db, first.id).tls == tls
    stranger.dispose()


def test_material_that_cannot_work_is_refused(
    db: Database, tls: TlsSettings, authority: Authority, ours: Identity
) -> None:
    def refused(**changes: str) -> dict[str | None, str]:
        return problems(db, ConnectionProfile(tls=replace(tls, **changes)))

    other, expired = authority.issue("other"), authority.issue_expired("old")
    assert refused(ca="hello").keys() == {"ca"}
    assert "expired on" in refused(ca=expired.certificate)["ca"]
    assert refused(certificate="hello").keys() == {"certificate"}
    assert refused(certificate=ours.private_key).keys() == {"certificate"}
    assert "expired on" in refused(certificate=expired.certificate)["certificate"]
    assert refused(private_key="hello").keys() == {"private_key"}
    assert "another certificate" in refused(private_key=other.private_key)["private_key"]
    assert "without a password" in refused(private_key=encrypted(ours.private_key, "x"))["private_key"]
    assert "without its key" in refused(private_key="")["private_key"]
    assert "without its certificate" in refused(certificate="")["certificate"]
    assert refused(ca="hello", certificate="hello", private_key="hello").keys() == {
        "ca",
        "certificate",
        "private_key",
    }
    assert list_profiles(db) == []


def test_what_is_refused_quotes_no_key(db: Database, tls: TlsSettings, authority: Authority) -> None:
    other = authority.issue("other").private_key
    with pytest.raises(InvalidInput) as caught:
        add_profile(db, "TLS", ConnectionProfile(tls=replace(tls, private_key=other)))
    assert other.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"connect_timeout": 0},
        {"connect_timeout": float("nan")},
        {"silence_timeout": 3601},
        {"max_pdu_length": 0},
        {"verify_attempts": 0},
        {"verify_delay": -1},
        {"busy_timeout": -1},
        {"parallel_uploads": 0},
    ],
)
def test_numbers_out_of_range_are_refused(db: Database, changes: dict[str, float]) -> None:
    assert problems(db, replace(ConnectionProfile(), **changes)).keys() == changes.keys()


@pytest.mark.parametrize(
    ("credentials", "fields"),
    [
        (BasicCredentials("", ""), {"username", "password"}),
        (BasicCredentials("a:hidden", "b"), {"username"}),
        (BasicCredentials("a", "hidden\n"), {"password"}),
        (BearerToken("hidden token"), {"token"}),
        (BearerToken("hidden\r\nX: y"), {"token"}),
        (HeaderCredentials("a header", "hidden\n"), {"header", "value"}),
        (HeaderCredentials("Content-Type", "hidden"), {"header"}),
        (HeaderCredentials("X-Key", ""), {"value"}),
        (ClientCredentials("id.example.org", "", ""), {"token_url", "client_id", "client_secret"}),
        (ClientCredentials("https://a:hidden@id.example.org", "a", "b"), {"token_url"}),
        (ClientCredentials("https://id.example.org", "a", "b", 'a"b'), {"scope"}),
    ],
)
def test_credentials_that_cannot_work_are_refused_without_being_quoted(
    db: Database, credentials: Credentials, fields: set[str]
) -> None:
    found = problems(db, ConnectionProfile(credentials=credentials))

    assert found.keys() == fields
    assert "hidden" not in str(found)


@pytest.mark.parametrize(
    "proxy",
    ["proxy", "socks5://hidden", "http://", "http://a:b@hidden:0", "http://hidden/x", "http://hid den"],
)
def test_what_is_no_proxy_is_refused_without_being_quoted(db: Database, proxy: str) -> None:
    found = problems(db, ConnectionProfile(proxy=proxy))

    assert found.keys() == {"proxy"}
    assert "hid" not in str(found)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65, "a\x00"])
def test_names_that_cannot_be_shown_are_refused(db: Database, name: str) -> None:
    assert problems(db, ConnectionProfile(), name).keys() == {"name"}


def test_a_name_is_given_once(db: Database) -> None:
    add_profile(db, "slow", ConnectionProfile())

    assert "already" in problems(db, ConnectionProfile(), "slow")["name"]
    with pytest.raises(NotFound, match="Known profiles: slow"):
        get_profile(db, "fast")


def test_a_profile_is_replaced_even_if_its_key_is_lost(
    db: Database, tls: TlsSettings, authority: Authority
) -> None:
    add_profile(db, "TLS", ConnectionProfile(tls=tls))
    make_server(db)
    change_server(db, "PACS", connection_profile="TLS")
    heir = Database(db.url, Keyring((new_key(),)))
    new = authority.issue("adit").settings(authority)
    renewed = ConnectionProfile(silence_timeout=600, tls=new)

    replace_profile(heir, "TLS", renewed, actor="somebody")

    node = node_value(heir, get_node(heir, "PACS"))
    assert isinstance(node, ServerNode)
    assert node.profile == renewed
    with pytest.raises(InvalidInput, match="another certificate"):
        replace_profile(heir, "TLS", ConnectionProfile(tls=replace(tls, private_key=new.private_key)))
    with pytest.raises(NotFound):
        replace_profile(heir, "SSL", renewed)
    heir.dispose()


def test_a_profile_is_removed_once_no_server_uses_it(db: Database) -> None:
    add_profile(db, "slow", ConnectionProfile())
    make_server(db)
    change_server(db, "PACS", connection_profile="slow")

    with pytest.raises(ActionNotPossible, match="in use by PACS"):
        remove_profile(db, "slow")
    change_server(db, "PACS", connection_profile="")
    remove_profile(db, "slow")

    assert list_profiles(db) == []


@pytest.fixture
def assigning(db: Database) -> Iterator[Session]:
    """A transaction in which the server PACS has just got the profile "slow"."""
    add_profile(db, "slow", ConnectionProfile(silence_timeout=600))
    make_server(db)
    with db.session() as session:
        node = session.exec(select(DicomNode)).one()
        node.connection_profile_id = session.exec(select(ProfileRow.id)).one()
        session.flush()
        yield session


def test_a_profile_that_is_being_assigned_is_not_removed(db: Database, assigning: Session) -> None:
    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(remove_profile, db, "slow")
        with pytest.raises(TimeoutError):
            removal.result(0.3)
        assigning.commit()
        with pytest.raises(ActionNotPossible, match="in use by PACS"):
            removal.result(20)

    assert [profile.name for profile in list_profiles(db)] == ["slow"]
    node = node_value(db, get_node(db, "PACS"))
    assert isinstance(node, ServerNode)
    assert node.profile.silence_timeout == 600


@pytest.mark.parametrize("assign", ["change", "add"])
def test_a_profile_that_is_being_removed_is_not_assigned(db: Database, assign: str) -> None:
    add_profile(db, "slow", ConnectionProfile())
    make_server(db)
    with db.session() as session, ThreadPoolExecutor(1) as pool:
        session.delete(session.exec(select(ProfileRow)).one())
        session.flush()
        if assign == "change":
            assignment = pool.submit(change_server, db, "PACS", connection_profile="slow")
        else:
            url = "http://pacs.example.org"
            assignment = pool.submit(add_web_server, db, "WEB", base_url=url, connection_profile="slow")
        with pytest.raises(TimeoutError):
            assignment.result(0.3)
        session.commit()
        with pytest.raises(NotFound, match="no connection profile called slow"):
            assignment.result(20)

    assert [(node.name, node.connection_profile_id) for node in list_nodes(db)] == [("PACS", None)]


def test_no_database_lets_a_profile_go_that_a_server_has(db: Database, assigning: Session) -> None:
    assigning.commit()
    with db.session() as session:
        with pytest.raises(IntegrityError):
            session.execute(text("DELETE FROM connection_profile"))
        session.rollback()

    assert get_node(db, "PACS").connection_profile_id is not None


def test_ids_of_nodes_are_not_used_again(db: Database) -> None:
    first = make_server(db).id
    with db.session() as session:
        session.execute(text("DELETE FROM dicom_node"))
        session.commit()

    assert make_server(db).id > first


def test_secrets_that_no_key_opens_are_counted(db: Database, tls: TlsSettings) -> None:
    stranger, keyless = Database(db.url, Keyring((new_key(),))), Database(db.url)
    assert count_secrets(keyless) == SecretCounts(0, 0)

    add_profile(db, "ours", ConnectionProfile(tls=tls))
    add_profile(stranger, "theirs", ConnectionProfile(tls=tls))

    assert count_secrets(db) == count_secrets(stranger) == SecretCounts(1, 1)
    with pytest.raises(SecretUnreadable, match="set ADIT_SECRET_KEYS"):
        count_secrets(keyless)
    stranger.dispose()
    keyless.dispose()


def test_a_profile_is_assigned_and_taken_away(db: Database) -> None:
    add_profile(db, "slow", ConnectionProfile(silence_timeout=600))
    make_server(db)

    change_server(db, "PACS", connection_profile="slow")
    slow = node_value(db, get_node(db, "PACS"))
    change_server(db, "PACS", connection_profile="")
    usual = node_value(db, get_node(db, "PACS"))

    assert isinstance(slow, ServerNode)
    assert isinstance(usual, ServerNode)
    assert (slow.profile.silence_timeout, usual.profile) == (600, ConnectionProfile())
    with pytest.raises(NotFound, match="no connection profile called fast"):
        change_server(db, "PACS", connection_profile="fast")


def test_a_provider_without_a_certificate_does_not_start(
    db: Database, tls: TlsSettings, authority: Authority
) -> None:
    add_profile(db, "both sides", ConnectionProfile(tls=tls))
    add_profile(db, "users only", ConnectionProfile(tls=TlsSettings(ca=authority.certificate)))

    assert provider_profile(db, "both sides").tls == tls
    assert provider_profile(db, "") == ConnectionProfile()
    with pytest.raises(TlsFailed, match="needs a certificate"):
        provider_profile(db, "users only")
    with pytest.raises(NotFound, match="Known profiles"):
        provider_profile(db, "fast")


def test_what_a_server_supports_is_changed(db: Database) -> None:
    make_server(db)

    change_server(db, "PACS", services=[Service.MOVE], query_root=QueryRoot.PATIENT, actor="somebody")
    change_server(db, "PACS")

    node = node_value(db, get_node(db, "PACS"))
    assert isinstance(node, ServerNode)
    assert (node.services, node.query_root) == ({Service.MOVE}, QueryRoot.PATIENT)
    with db.reading() as session:
        actors = {event.actor for event in session.exec(select(AuditEvent)) if event.action == "node changed"}
    assert actors == {"somebody", "ADIT"}
    make_folder(db)
    with pytest.raises(InvalidInput, match="is a folder"):
        change_server(db, "Export", services=[])


def test_a_web_server_gets_a_profile_and_other_services(db: Database) -> None:
    add_profile(db, "web", ConnectionProfile(credentials=BearerToken("hidden")))
    make_web_server(db)
    make_server(db)

    change_web_server(db, "WEB", services=[WebService.QIDO], connection_profile="web")
    change_web_server(db, "WEB")

    node = node_value(db, get_node(db, "WEB"))
    assert isinstance(node, DicomWebNode)
    assert (node.services, node.profile.credentials) == ({WebService.QIDO}, BearerToken("hidden"))
    with pytest.raises(InvalidInput, match="WEB is an archive that is reached by DICOMweb, not"):
        change_server(db, "WEB", connection_profile="")
    with pytest.raises(InvalidInput, match="PACS is an archive that speaks DIMSE, not"):
        change_web_server(db, "PACS", services=[])


def test_profiles_from_before_tls_stay_as_they_were(database_url: str) -> None:
    db = Database(database_url)
    _upgrade_to(db, CREATED)
    with db.session() as session:
        session.execute(
            text("INSERT INTO connection_profile VALUES (1, 'old', 1.5, 2.5, 4096, 3, 0.5)"),
        )
        session.commit()

    db.upgrade()

    (row,) = list_profiles(db)
    assert row.name == "old"
    assert profile_value(db, row.id) == ConnectionProfile(1.5, 2.5, 4096, 3, 0.5)
    db.dispose()


def test_servers_keep_their_profiles_when_these_get_credentials(database_url: str) -> None:
    db = Database(database_url)
    _upgrade_to(db, WITHOUT_CREDENTIALS)
    with db.session() as session:
        profile = "7, 'old', 1, 2, 4096, 3, 0, false, '', '', NULL, true"
        session.execute(text(f"INSERT INTO connection_profile VALUES ({profile})"))
        node = {**DicomNode(kind=NodeKind.SERVER, name="PACS", connection_profile_id=7).model_dump(), "id": 3}
        of_then = {column["name"] for column in inspect(session.connection()).get_columns("dicom_node")}
        node = {name: value for name, value in node.items() if name in of_then}
        columns = ", ".join(node)
        values = ", ".join(f":{name}" for name in node)
        session.execute(text(f"INSERT INTO dicom_node ({columns}) VALUES ({values})"), node)
        session.commit()

    db.upgrade()

    value = node_value(db, get_node(db, "PACS"))
    assert isinstance(value, ServerNode)
    assert value.profile == ConnectionProfile(1, 2, 4096, 3, 0)
    db.dispose()


def _upgrade_to(db: Database, revision: str) -> None:
    with db.engine.begin() as connection:
        config: Config = migrations._configured(connection)
        command.upgrade(config, revision)


@pytest.mark.system
def test_a_server_is_reached_by_its_profile(db: Database, tls_orthanc: OrthancServer) -> None:
    archive = tls_orthanc.archive.node
    add_profile(db, "TLS", archive.profile)
    row = add_server(
        db,
        "PACS",
        ae_title=archive.ae_title,
        host=archive.host,
        port=archive.port,
        connection_profile="TLS",
    )

    node = node_value(db, row)

    assert isinstance(node, ServerNode)
    assert echo(node) > 0
