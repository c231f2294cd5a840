"""Keys and what is sealed with them."""

import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adit_core.db.secrets import Keyring, Sealed, new_key
from adit_core.errors import SecretUnreadable
from adit_core.services.database import configured_database
from adit_core.settings import Settings

SECRET = "-----BEGIN PRIVATE KEY-----"


def test_a_secret_comes_back_and_is_not_what_is_stored():
    keyring = Keyring((new_key(),))
    sealed = keyring.seal(SECRET)
    assert SECRET not in sealed.token
    assert keyring.seal(SECRET) != sealed
    assert keyring.unseal(sealed) == SECRET


def test_the_first_key_seals_and_each_opens():
    old, new = new_key(), new_key()
    sealed_before = Keyring((old,)).seal(SECRET)
    both = Keyring((new, old))
    assert both.unseal(sealed_before) == SECRET
    assert Keyring((new,)).unseal(both.seal(SECRET)) == SECRET
    with pytest.raises(SecretUnreadable, match="not at hand"):
        Keyring((new,)).unseal(sealed_before)


def test_a_secret_that_was_changed_is_not_read():
    keyring = Keyring((new_key(),))
    token = keyring.seal(SECRET).token
    for changed in (token[:-5], token[:40] + ("A" if token[40] != "A" else "B") + token[41:], "", "ü"):
        with pytest.raises(SecretUnreadable):
            keyring.unseal(Sealed(changed))


def test_without_a_key_nothing_is_sealed_or_read():
    for act in (lambda: Keyring().seal(SECRET), lambda: Keyring().unseal(Sealed("x"))):
        with pytest.raises(SecretUnreadable, match="set ADIT_SECRET_KEYS"):
            act()


def test_what_is_no_key_is_told_without_showing_it():
    with pytest.raises(SecretUnreadable, match="adit secrets new-key") as raised:
        Keyring(("hunter2",)).seal(SECRET)
    assert "hunter2" not in str(raised.value)


def test_the_key_file_is_made_when_it_is_needed_and_only_for_its_owner(tmp_path: Path):
    path = tmp_path / "data" / "secret.key"
    keyring = Keyring(key_file=path)
    with pytest.raises(SecretUnreadable):
        keyring.unseal(Sealed("x"))
    assert not path.exists()
    sealed = keyring.seal(SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert Keyring(key_file=path).unseal(sealed) == SECRET


def test_one_key_file_is_made_by_many_at_once(tmp_path: Path):
    path = tmp_path / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda _: Keyring(key_file=path).seal(SECRET), range(32)))
    keyring = Keyring(key_file=path)
    assert {keyring.unseal(each) for each in sealed} == {SECRET}


def test_keys_that_are_set_go_before_the_file(tmp_path: Path):
    keyring = Keyring((new_key(),), tmp_path / "secret.key")
    assert keyring.unseal(keyring.seal(SECRET)) == SECRET
    assert not (tmp_path / "secret.key").exists()


def test_what_the_key_file_sealed_is_read_by_those_who_were_given_keys(tmp_path: Path):
    path = tmp_path / "secret.key"
    sealed = Keyring(key_file=path).seal(SECRET)
    given = new_key()
    keyring = Keyring((given,), path)
    assert keyring.unseal(sealed) == SECRET
    assert Keyring((given,)).unseal(keyring.seal(SECRET)) == SECRET
    path.unlink()
    with pytest.raises(SecretUnreadable, match=r"ADIT_SECRET_KEYS, .*secret\.key"):
        keyring.unseal(sealed)


def test_keys_are_not_shown():
    key = new_key()
    keyring = Keyring((key,))
    assert key not in repr(keyring)
    assert keyring.seal(SECRET).token not in repr(keyring.seal(SECRET))


@pytest.mark.parametrize("separator", [",", ", ", "\n"])
def test_the_settings_name_the_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, separator: str):
    keys = (new_key(), new_key())
    monkeypatch.setenv("ADIT_SECRET_KEYS", separator.join(keys))
    monkeypatch.setenv("ADIT_DATA_DIR", str(tmp_path))
    settings = Settings()
    db = configured_database(settings)
    assert db.keyring.keys == keys
    assert pickle.loads(pickle.dumps(db)).keyring == db.keyring
    assert keys[0] not in repr(settings) + repr(db)


def test_without_keys_in_the_settings_the_key_file_of_the_data_directory_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv("ADIT_SECRET_KEYS", raising=False)
    monkeypatch.setenv("ADIT_DATA_DIR", str(tmp_path))
    assert configured_database(Settings()).keyring == Keyring((), tmp_path / "secret.key")
