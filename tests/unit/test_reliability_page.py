"""The table in docs/reliability.md tells of every fault that there is a test for."""

from collections import Counter

from tests.faults import table


def test_every_fault_has_a_name_of_its_own() -> None:
    names = Counter(table.fault_names())
    assert [name for name, count in names.items() if count > 1] == []


def test_the_page_has_a_row_for_each_of_them_and_no_other() -> None:
    assert list(table.rows_of(table.PAGE.read_text())) == table.fault_names()
