"""Access for programs that an administrator runs on this machine: the command line and notebooks.

Nobody signs in to them: whoever may read the settings may do everything anyway. They act in the name
of a user, so that jobs have an owner and the audit trail an actor.
"""

from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput, NotAllowed
from adit_core.services.users import get_user, list_users


def require_current(db: Database) -> None:
    """Do nothing if the tables are those of this version.

    Raises:
        ActionNotPossible: They are not; the message says what to do.
        DatabaseUnavailable: The database does not answer.
    """
    if not db.is_current():
        raise ActionNotPossible(
            "The database has no tables yet, or not those of this version: run `adit db upgrade`."
        )


def acting_user(db: Database, username: str = "") -> User:
    """Return the user in whose name to act: the one asked for, else the only active staff user.

    Raises:
        NotFound: There is no user of the name that was asked for.
        NotAllowed: The account is closed.
        InvalidInput: None was asked for, and there is not exactly one active staff user.
    """
    if not username:
        return _only_staff_user(db)
    user = get_user(db, username)
    if not user.is_active:
        raise NotAllowed(f"The account of {user.username} is closed.")
    return user


def _only_staff_user(db: Database) -> User:
    staff = [user for user in list_users(db) if user.is_staff and user.is_active]
    if len(staff) == 1:
        return staff[0]
    why = "there are several staff users" if staff else "there is no staff user yet (`adit users add`)"
    raise InvalidInput(InputProblem(f"Say in whose name to act, here or in ADIT_USER: {why}.", field="user"))
