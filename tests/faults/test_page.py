"""The table in docs/reliability.md is complete."""

from collections import Counter

from tests.faults import table


def test_every_fault_has_a_name_of_its_own() -> None:
    names = Counter(table.fault_names())
    assert [name for name, count in names.items() if count > 1] == []


def test_the_page_tells_of_every_fault_that_there_is_a_test_for_and_of_no_other() -> None:
    assert list(table.rows_of(table.PAGE.read_text())) == table.fault_names()
