"""`adit users …`: accounts."""

import os
import sys
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.active_group import active_group_of, choose_active_group, groups_of_user
from adit_core.services.audit import SYSTEM
from adit_core.services.identities import IdentityView, link_identity, list_identities, unlink_identity
from adit_core.services.users import UserChanges, change_user, create_user, get_user, list_users
from adit_core.settings import get_settings
from adit_core.terminal import cell, new_table

app = new_app("Accounts.")

_PASSWORD_VARIABLE = "ADIT_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Account:
    """What is shown of a user."""

    username: str
    full_name: str
    email: str
    is_staff: bool
    is_active: bool
    needs_approval: bool
    notify_by_email: bool
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> "Account":
        """Return what is shown of a row, which leaves out the hash of the password."""
        return cls(**{each.name: getattr(user, each.name) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class WorksFor:
    """The group that a user works for, empty for all of them together, and the groups that the user is in."""

    username: str
    active_group: str
    groups: list[str]


@app.command("add")
def add_user(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The user name: a-z, 0-9 and . _ @ + -")],
    *,
    full_name: Annotated[str, typer.Option(help="As other people write it.")] = "",
    email: Annotated[str, typer.Option(help="Where messages go.")] = "",
    staff: Annotated[bool, typer.Option("--staff", help="May see everybody's jobs, and administer.")] = False,
    needs_approval: Annotated[
        bool, typer.Option("--needs-approval", help="Staff have to look at this user's jobs before they run.")
    ] = False,
    notify_by_email: Annotated[
        bool, typer.Option("--notify-by-email", help="An e-mail tells of the end of each job.")
    ] = False,
    must_change_password: Annotated[
        bool,
        typer.Option("--must-change-password", help="The user has to choose another password first of all."),
    ] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, its first line.")
    ] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="The user signs in by the OpenID provider: see `link`.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add an account. The password is asked for, unless it is in ADIT_PASSWORD or on standard input.

    It cannot be an argument: everybody on the machine could see it, and the shell would remember it.
    """
    with open_database() as db:
        actor = _actor(ctx, db)
        user = create_user(
            db,
            username=name,
            password=None if no_password else _password_from_stdin() if password_stdin else _password(),
            full_name=full_name,
            email=email,
            staff=staff,
            needs_approval=needs_approval,
            notify_by_email=notify_by_email,
            must_change_password=must_change_password,
            actor=actor,
        )
    present(Account.of(user), lambda account: cell(f"Added the user {account.username}."), as_json=as_json)


@app.command("change")
def change_account(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The user name.")],
    *,
    email: Annotated[str | None, typer.Option(help="Where messages go.")] = None,
    needs_approval: Annotated[
        bool | None,
        typer.Option(help="Whether staff have to look at this user's jobs before they run."),
    ] = None,
    notify_by_email: Annotated[
        bool | None, typer.Option(help="Whether an e-mail tells of the end of each job.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change an account; what is not mentioned stays as it is. Jobs that wait already go on waiting."""
    changes = UserChanges(email=email, needs_approval=needs_approval, notify_by_email=notify_by_email)
    with open_database() as db:
        user = change_user(db, name, changes, actor=acting_user(ctx, db))
    present(Account.of(user), lambda account: cell(f"Changed the user {account.username}."), as_json=as_json)


@app.command("list")
def list_accounts(as_json: AsJson = False) -> None:
    """List the accounts."""
    with open_database() as db:
        accounts = [Account.of(user) for user in list_users(db)]
    present(accounts, _table, as_json=as_json)


@app.command("active-group")
def active_group(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="One of your groups.")] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="Work for all your groups together.")] = False,
    as_json: AsJson = False,
) -> None:
    """Choose the group that you work for: only its rights count then. Without a name, show which it is."""
    if name and every:
        raise InvalidInput(InputProblem("Give the name of a group, or --all.", field="name"))
    with open_database() as db:
        user = acting_user(ctx, db)
        if name or every:
            choose_active_group(db, user, name)
        shown = WorksFor(user.username, active_group_of(db, user), groups_of_user(db, user))
    present(shown, _works_for_in_words, as_json=as_json)


@app.command("link")
def link_account(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The user name.")],
    subject: Annotated[str, typer.Argument(help="What the provider calls the user: `sub` in its words.")],
    *,
    issuer: Annotated[str, typer.Option(help="The provider; else that of ADIT_OIDC_ISSUER.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let somebody whom the OpenID provider knows sign in to an account.

    When it has refused somebody, `adit audit list` shows the subject.
    """
    with open_database() as db:
        actor = acting_user(ctx, db)
        link = link_identity(db, name, issuer=_issuer(issuer), subject=subject, actor=actor)
    words = f"{link.subject} of {link.issuer} signs in as {name} from now on."
    present(link, lambda _: cell(words), as_json=as_json)


@app.command("unlink")
def unlink_account(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The user name.")],
    subject: Annotated[str, typer.Argument(help="What the provider calls the user.")],
    *,
    issuer: Annotated[str, typer.Option(help="The provider; else that of ADIT_OIDC_ISSUER.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take such a link away, and end the sessions that the provider has opened."""
    with open_database() as db:
        unlink_identity(db, name, issuer=_issuer(issuer), subject=subject, actor=acting_user(ctx, db))
        links = list_identities(db, get_user(db, name))
    present(links, lambda _: cell(f"{subject} does not sign in as {name} any more."), as_json=as_json)


@app.command("links")
def list_links(
    name: Annotated[str, typer.Argument(help="The user name.")],
    as_json: AsJson = False,
) -> None:
    """List by whom a user is known to OpenID providers."""
    with open_database() as db:
        links = list_identities(db, get_user(db, name))
    present(links, _table_of_links, as_json=as_json)


def _works_for_in_words(shown: WorksFor) -> RenderableType:
    whom = shown.active_group or f"all groups together: {', '.join(shown.groups) or 'there are none'}"
    return cell(f"{shown.username} works for {whom}.")


def _issuer(given: str) -> str:
    issuer = given or get_settings().oidc_issuer
    if not issuer:
        raise InvalidInput(InputProblem("Give --issuer: ADIT_OIDC_ISSUER is not set.", field="issuer"))
    return issuer


def _actor(ctx: typer.Context, db: Database) -> User | str:
    """Return who adds an account; nobody can have added the first."""
    return acting_user(ctx, db) if list_users(db) else SYSTEM


def _password_from_stdin() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _password() -> str:
    given = os.environ.get(_PASSWORD_VARIABLE)
    return given or typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)


def _table_of_links(links: list[IdentityView]) -> RenderableType:
    if not links:
        return "No OpenID provider knows this user: `adit users link --help`."
    table = new_table("provider", "subject", "linked by", "linked at", "last used at")
    for link in links:
        used = link.last_used_at.isoformat(timespec="seconds") if link.last_used_at else "never"
        table.add_row(
            cell(link.issuer),
            cell(link.subject),
            cell(link.linked_by),
            cell(link.linked_at.isoformat(timespec="seconds")),
            cell(used),
        )
    return table


def _table(accounts: list[Account]) -> RenderableType:
    if not accounts:
        return "There are no users yet: `adit users add --help`."
    table = new_table("name", "full name", "email", "staff", "active", "needs approval")
    for account in accounts:
        table.add_row(
            cell(account.username),
            cell(account.full_name),
            cell(account.email),
            "yes" if account.is_staff else "no",
            "yes" if account.is_active else "no",
            "yes" if account.needs_approval else "no",
        )
    return table
