"""The group that a user works for, chosen on the command line."""

from tests.integration.cli.conftest import CommandLine
from tests.rows import make_group, make_user


def test_a_user_chooses_the_group_to_work_for_and_all_of_them_again(cli: CommandLine) -> None:
    ada, bob = make_user(cli.db, "ada"), make_user(cli.db, "bob")
    mine, both = make_group(cli.db, ada), make_group(cli.db, ada, bob)
    as_ada = ("--user", "ada", "users", "active-group")
    groups = sorted((mine.name, both.name))

    assert cli.json(*as_ada) == {"username": "ada", "active_group": "", "groups": groups}
    assert cli.json(*as_ada, both.name)["active_group"] == both.name
    assert cli.run(*as_ada).stdout == f"ada works for {both.name}.\n"
    assert cli.json("--user", "bob", "users", "active-group")["active_group"] == ""
    assert cli.run(*as_ada, "--all").stdout == f"ada works for all groups together: {', '.join(groups)}.\n"


def test_a_group_that_cannot_be_chosen_is_told_and_nothing_changes(cli: CommandLine) -> None:
    ada, bob = make_user(cli.db, "ada"), make_user(cli.db, "bob")
    mine, other = make_group(cli.db, ada), make_group(cli.db, bob)
    as_ada = ("--user", "ada", "users", "active-group")
    cli.json(*as_ada, mine.name)

    assert f"in no group called {other.name}" in cli.error(*as_ada, other.name)["error"]
    assert cli.error(*as_ada, mine.name, "--all")["problems"][0]["field"] == "name"
    assert cli.json(*as_ada)["active_group"] == mine.name
