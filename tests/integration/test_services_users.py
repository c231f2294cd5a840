import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import col, update

from adit_core.db import Permission, User
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotFound
from adit_core.services.rights import permissions_of
from adit_core.services.users import (
    add_to_group,
    check_password,
    create_user,
    get_user,
    list_users,
    set_password,
)

PASSWORD = "correct horse battery staple"


def _set(database: Database, username: str, **values: object) -> None:
    with database.session() as session:
        session.exec(update(User).where(col(User.username) == username).values(**values))
        session.commit()


def test_the_right_password_finds_the_user(database: Database):
    alice = create_user(database, username="alice", password=PASSWORD, full_name="Alice Ammann", staff=True)

    found = check_password(database, "alice", PASSWORD)

    assert found is not None
    assert (found.id, found.full_name, found.is_staff) == (alice.id, "Alice Ammann", True)


@pytest.mark.parametrize(
    ("username", "password"),
    [("alice", "correct horse battery"), ("alice", ""), ("nobody", PASSWORD), ("", "")],
)
def test_a_wrong_name_or_password_finds_nobody(database: Database, username: str, password: str):
    create_user(database, username="alice", password=PASSWORD)

    assert check_password(database, username, password) is None


def test_capitals_make_no_difference_in_user_names(database: Database):
    create_user(database, username=" Alice ", password=PASSWORD)

    assert check_password(database, "ALICE", PASSWORD) is not None
    with pytest.raises(InvalidInput, match="taken"):
        create_user(database, username="aLICE", password=PASSWORD)


def test_a_closed_account_cannot_be_signed_in_to(database: Database):
    create_user(database, username="alice", password=PASSWORD)
    _set(database, "alice", is_active=False)

    assert check_password(database, "alice", PASSWORD) is None


def test_an_account_without_a_password_cannot_be_signed_in_to_with_one(database: Database):
    create_user(database, username="alice", password=None)

    assert check_password(database, "alice", "") is None
    assert check_password(database, "alice", "the password of a user who does not exist") is None


def test_everything_that_is_wrong_is_told_at_once(database: Database):
    with pytest.raises(InvalidInput) as refused:
        create_user(database, username="-al ice", password="too short")

    assert [problem.field for problem in refused.value.problems] == ["username", "password"]
    assert list_users(database) == []


@pytest.mark.parametrize("password", ["123456789", "x" * 1025])
def test_passwords_that_are_too_short_or_too_long_are_refused(database: Database, password: str):
    create_user(database, username="alice", password=PASSWORD)

    with pytest.raises(InvalidInput, match="password"):
        set_password(database, "alice", password)

    assert check_password(database, "alice", PASSWORD) is not None


def test_the_password_is_kept_as_argon2id_only(database: Database):
    alice = create_user(database, username="alice", password=PASSWORD)

    assert alice.password_hash is not None
    assert alice.password_hash.startswith("$argon2id$")
    assert PASSWORD not in alice.password_hash


def test_a_hash_with_weaker_parameters_is_replaced_at_sign_in(database: Database):
    create_user(database, username="alice", password=PASSWORD)
    weak = Argon2Hasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    _set(database, "alice", password_hash=weak)

    assert check_password(database, "alice", "a wrong password") is None
    assert get_user(database, "alice").password_hash == weak
    assert check_password(database, "alice", PASSWORD) is not None
    assert "m=65536" in (get_user(database, "alice").password_hash or "")
    assert check_password(database, "alice", PASSWORD) is not None


def test_a_new_password_replaces_the_old_one(database: Database):
    create_user(database, username="alice", password=PASSWORD)

    set_password(database, "Alice", "another long password")

    assert check_password(database, "alice", PASSWORD) is None
    assert check_password(database, "alice", "another long password") is not None


def test_users_are_listed_by_name(database: Database):
    for name in ("carol", "alice", "bob"):
        create_user(database, username=name, password=None)

    assert [user.username for user in list_users(database)] == ["alice", "bob", "carol"]


def test_the_permissions_of_all_groups_add_up(database: Database):
    alice = create_user(database, username="alice", password=None)
    bob = create_user(database, username="bob", password=None)
    add_to_group(database, "alice", "research", frozenset({Permission.UPLOAD}))
    add_to_group(database, "alice", "research", frozenset({Permission.UPLOAD, Permission.DICOMWEB_QUERY}))
    add_to_group(database, "alice", "clinic", frozenset({Permission.PROCESS_URGENTLY}))
    add_to_group(database, "bob", "clinic")

    assert permissions_of(database, alice) == {
        Permission.UPLOAD,
        Permission.DICOMWEB_QUERY,
        Permission.PROCESS_URGENTLY,
    }
    assert permissions_of(database, bob) == {Permission.PROCESS_URGENTLY}


@pytest.mark.parametrize("act", [get_user, lambda db, name: add_to_group(db, name, "research")])
def test_an_unknown_user_is_said_to_be_unknown(database: Database, act):
    with pytest.raises(NotFound, match="nobody"):
        act(database, "nobody")
