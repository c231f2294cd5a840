"""Whose turn it is at nodes that are full."""

from datetime import UTC, datetime, timedelta

import pytest

from adit_core.db import Precedence
from adit_core.services.node_turns import NodeUse, admitted

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
A, B, C = 1, 2, 3
URGENT, ANSWER, JOB = Precedence


def holds(*node_ids: int, second: int = 0, precedence: Precedence = JOB) -> NodeUse:
    name = f"holder {node_ids} {second}"
    return NodeUse(name, frozenset(node_ids), precedence, NOON + timedelta(seconds=second), is_held=True)


def waits(name: str, *node_ids: int, second: int, precedence: Precedence = JOB) -> NodeUse:
    return NodeUse(name, frozenset(node_ids), precedence, NOON + timedelta(seconds=second), is_held=False)


def test_who_asked_first_is_first() -> None:
    line = [waits("second", A, second=2), waits("first", A, second=1), waits("third", A, second=3)]
    assert admitted(line, {A: 1}) == {"first"}
    assert admitted(line, {A: 2}) == {"first", "second"}


def test_those_who_asked_at_the_same_moment_agree_on_who_is_first() -> None:
    line = [waits("b", A, second=1), waits("a", A, second=1)]
    assert admitted(line, {A: 1}) == admitted(line[::-1], {A: 1}) == {"a"}


def test_urgent_jobs_come_first_then_answers_then_other_jobs() -> None:
    line = [
        waits("job", A, second=1),
        waits("answer", A, second=2, precedence=ANSWER),
        waits("urgent", A, second=3, precedence=URGENT),
    ]
    assert admitted(line, {A: 1}) == {"urgent"}
    assert admitted(line, {A: 2}) == {"urgent", "answer"}


def test_places_that_are_held_are_not_given_away_even_to_urgent_jobs() -> None:
    urgent = waits("urgent", A, second=9, precedence=URGENT)
    assert admitted([holds(A), holds(A, second=1), urgent], {A: 2}) == set()
    assert admitted([holds(A), urgent], {A: 2}) == {"urgent"}


def test_a_node_that_has_become_narrower_lets_nobody_in_until_enough_have_left() -> None:
    three = [holds(A, second=second) for second in range(3)]
    assert admitted([*three, waits("next", A, second=9)], {A: 1}) == set()


def test_a_place_at_each_node_is_needed() -> None:
    assert admitted([holds(B), waits("both", A, B, second=1)], {A: 1, B: 1}) == set()
    assert admitted([waits("both", A, B, second=1)], {A: 1, B: 1}) == {"both"}


def test_a_node_is_not_left_idle_because_the_other_one_of_who_is_first_is_full() -> None:
    line = [waits("both", A, B, second=1), waits("later", A, second=2)]
    assert admitted([holds(B), *line], {A: 1, B: 1}) == {"later"}


def test_who_was_passed_by_at_all_nodes_is_not_passed_by_any_more() -> None:
    both, later = waits("both", A, B, second=1), waits("later", A, second=9)
    passed_at_one = [holds(A, second=5), holds(B), both, later]
    assert admitted(passed_at_one, {A: 2, B: 1}) == {"later"}
    passed_at_both = [holds(A, C, second=5), holds(B, second=6), both, later]
    assert admitted(passed_at_both, {A: 2, B: 1, C: 1}) == set()
    urgent = waits("urgent", A, second=10, precedence=URGENT)
    assert admitted([*passed_at_both, urgent], {A: 2, B: 1, C: 1}) == {"urgent"}


@pytest.mark.parametrize("first", ["ab", "ba"])
def test_of_two_that_need_the_same_two_nodes_one_goes(first: str) -> None:
    line = [waits("ab", A, B, second=1 + (first == "ba")), waits("ba", B, A, second=1 + (first == "ab"))]
    assert admitted(line, {A: 1, B: 1}) == {first}
