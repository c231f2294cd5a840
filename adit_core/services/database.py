"""The database of a process, as its settings name it; entry points open it."""

from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring
from adit_core.settings import Settings


def configured_database(settings: Settings) -> Database:
    """Return the database, with the keys to the secrets in it. It is not connected to yet."""
    keyring = Keyring(settings.resolved_secret_keys(), settings.secret_key_file)
    return Database(settings.resolved_database_url(), keyring)
