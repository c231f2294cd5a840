"""Starts everything on this machine: Prefect, the dashboard, a receiver and a worker, with embedded defaults.

Data lie in `ADIT_DATA_DIR` (by default the user's data directory); ports are free ones if the usual
are taken. The first start makes a user `admin` and prints the password. The environment is left in
`stack.env` of the data directory, where the command line and notebooks find it.
"""

import os
import secrets
import shlex
import sys
from collections.abc import Mapping

from adit_core.db.engine import Database
from adit_core.errors import AditError
from adit_core.services.database import configured_database
from adit_core.services.profiles import provider_profile
from adit_core.services.users import create_user, list_users
from adit_core.settings import STACK_ENVIRONMENT, Settings, get_settings
from deployments.stack import HOME, Stack, new_stack


def main() -> None:
    """Prepare the data directory and start supervisord in this process's place."""
    try:
        run(get_settings())
    except AditError as error:
        sys.exit(str(error))


def run(settings: Settings) -> None:
    """Do what `main` does, with these settings.

    Raises:
        AditError: The connection profile of the receiver cannot be used.
    """
    url = settings.resolved_database_url() if settings.database_url else ""
    stack = new_stack(
        settings.data_dir,
        receiver_port=settings.receiver_port,
        handover_port=settings.handover_port,
        database_url=url,
    )
    # Before anything else is made: the receiver could say only in its log that it cannot start.
    db = configured_database(settings)
    db.upgrade()
    receiver = provider_profile(db, settings.receiver_profile)
    password = prepare(stack, db)
    print(f"Dashboard:  {stack.web_url}")
    print(f"Prefect UI: {stack.prefect_url}  (sign in with {stack.prefect_auth})")
    if password:
        print(f"Sign in as admin with the password {password}; you then choose your own.")
    security = "over TLS" if receiver.tls else "without TLS"
    print(f"Receiver:   {settings.receiver_ae_title} at port {stack.receiver_port} (C-MOVE, {security})")
    print(f"Logs:       {stack.data_dir / 'logs'}", flush=True)
    start(stack)


def prepare(stack: Stack, db: Database) -> str:
    """Make the folders of the stack, and return the password of the first user if it was made now."""
    (stack.data_dir / "logs").mkdir(exist_ok=True)
    (stack.data_dir / "prefect").mkdir(exist_ok=True)
    _leave(stack)
    if list_users(db):
        return ""
    password = secrets.token_urlsafe(9)
    create_user(db, username="admin", password=password, staff=True, must_change_password=True)
    return password


def start(stack: Stack) -> None:
    """Start supervisord in this process's place; it stops what it started when it is stopped."""
    os.chdir(HOME)
    os.execve(sys.executable, supervisor_command(), process_environment(stack))  # noqa: S606 - ours


def supervisor_command() -> list[str]:
    """Return the command of supervisord, which runs and restarts the processes."""
    return [sys.executable, "-m", "supervisor.supervisord", "-c", str(HOME / "deployments/supervisord.conf")]


def process_environment(stack: Stack) -> Mapping[str, str]:
    """Return the whole environment of the stack's processes."""
    return {**os.environ, **stack.environment(), "ADIT_PYTHON": sys.executable}


def _leave(stack: Stack) -> None:
    """Write the environment where clients on this machine find it; only its owner may read it."""
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in stack.environment().items())
    path = stack.data_dir / STACK_ENVIRONMENT
    path.touch(mode=0o600)
    path.write_text("".join(lines))


if __name__ == "__main__":
    main()
