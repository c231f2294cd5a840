"""`adit tokens`."""

from adit_core.db import User
from adit_core.services.tokens import TokenBearer, TokenState, find_bearer
from tests.integration.cli.conftest import CommandLine
from tests.rows import let_use_api, make_user


def test_a_token_is_shown_once_and_used_from_then_on(cli: CommandLine, admin: User) -> None:
    made = cli.json("tokens", "create", "notebook", "--scope", "read", "--scope", "jobs", "--days", 30)

    bearer = find_bearer(cli.db, made["token"])
    assert isinstance(bearer, TokenBearer)
    assert (bearer.user.username, made["scopes"]) == ("admin", ["jobs", "read"])
    (listed,) = cli.json("tokens", "list")
    assert (listed["name"], listed["state"]) == ("notebook", "valid")
    assert made["token"] not in cli.run("tokens", "list").output


def test_people_get_the_bare_token(cli: CommandLine, admin: User) -> None:
    let_use_api(cli.db, make_user(cli.db, "ada"))

    shown = cli.run("tokens", "create", "OHIF", "--scope", "dicomweb", "--for", "ada").stdout.strip()

    bearer = find_bearer(cli.db, shown)
    assert isinstance(bearer, TokenBearer)
    assert bearer.user.username == "ada"


def test_no_token_is_made_for_who_may_not_use_the_api(cli: CommandLine, admin: User) -> None:
    make_user(cli.db, "ada")

    error = cli.error("tokens", "create", "OHIF", "--scope", "dicomweb", "--for", "ada")["error"]

    assert "ada lacks the permission to use the API" in error
    assert cli.json("tokens", "list", "--all") == []


def test_a_token_is_revoked(cli: CommandLine, admin: User) -> None:
    made = cli.json("tokens", "create", "notebook", "--scope", "read")

    assert cli.json("tokens", "revoke", made["id"])["state"] == "revoked"

    assert find_bearer(cli.db, made["token"]) is TokenState.REVOKED
    assert "no token 99" in cli.error("tokens", "revoke", 99)["error"]


def test_wrong_scopes_and_lifetimes_are_refused(cli: CommandLine, admin: User) -> None:
    assert cli.run("tokens", "create", "x", "--scope", "everything").exit_code == 2
    assert cli.run("tokens", "create", "x").exit_code == 2
    assert cli.run("tokens", "create", "x", "--scope", "read", "--days", 10**12).exit_code == 2
    assert cli.error("tokens", "create", " ", "--scope", "read")["problems"][0]["field"] == "name"
