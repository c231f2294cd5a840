"""The database of a process, as its settings name it; entry points open it."""

from sqlalchemy.exc import ArgumentError

from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring
from adit_core.errors import InputProblem, InvalidInput
from adit_core.settings import Settings

_URL_RULE = "Give postgresql+psycopg://USER:PASSWORD@HOST/NAME, or sqlite:///FILE."


def configured_database(settings: Settings) -> Database:
    """Return the database, with the keys to the secrets in it. It is not connected to yet.

    Raises:
        InvalidInput: The URL of the database is none, or of a kind that ADIT does not know.
    """
    keyring = Keyring(settings.resolved_secret_keys(), settings.secret_key_file)
    try:
        return Database(settings.resolved_database_url(), keyring)
    except (ArgumentError, ModuleNotFoundError, KeyError):
        # Without its cause, whose text shows the URL with its password.
        raise InvalidInput(InputProblem(_URL_RULE, field="ADIT_DATABASE_URL")) from None
