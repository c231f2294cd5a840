"""Slots of nodes in front of a real Prefect server."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Lock

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from adit_core.errors import TaskStopped
from adit_core.services.launcher import PrefectLauncher
from flows.slots import NodeSlots

_numbers = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=90),
        get_client(sync_client=True) as client,
    ):
        yield client


@pytest.fixture
def limits(server: SyncPrefectClient) -> list[str]:
    """Two limits of two slots each."""
    names = [f"slot-test-{next(_numbers)}" for _ in range(2)]
    PrefectLauncher().set_limits(dict.fromkeys(names, 2))
    return names


def held(server: SyncPrefectClient, limits: list[str]) -> list[int]:
    return [int(server.read_global_concurrency_limit_by_name(name).active_slots) for name in limits]


def never() -> None:
    """The job is not being stopped."""


def test_a_slot_of_each_limit_is_held_and_given_back(server: SyncPrefectClient, limits: list[str]) -> None:
    with NodeSlots() as slots, slots.slot(limits, never):
        assert held(server, limits) == [1, 1]
    assert held(server, limits) == [0, 0]


def test_two_jobs_together_never_hold_more_than_the_limit(limits: list[str]) -> None:
    at_once, most, done = 0, 0, 0
    lock = Lock()

    def move(slots: NodeSlots) -> None:
        nonlocal at_once, most, done
        with slots.slot(limits, never):
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.05)
            with lock:
                at_once -= 1
                done += 1

    with NodeSlots() as first, NodeSlots() as second, ThreadPoolExecutor(4) as threads:
        for move_of in [threads.submit(move, slots) for _ in range(6) for slots in (first, second)]:
            move_of.result()
    assert (done, most) == (12, 2)


def test_the_next_study_gets_the_same_slot(server: SyncPrefectClient, limits: list[str]) -> None:
    with NodeSlots() as slots:
        for _ in range(3):
            with slots.slot(limits, never):
                assert held(server, limits) == [1, 1]


def test_a_slot_that_no_study_needs_is_given_back_while_the_job_goes_on(
    server: SyncPrefectClient, limits: list[str]
) -> None:
    with NodeSlots() as slots:
        with slots.slot(limits, never):
            pass
        deadline = time.monotonic() + 20
        while held(server, limits) != [0, 0]:
            assert time.monotonic() < deadline, "the slot is kept"
            time.sleep(0.1)


def test_a_slot_that_is_needed_is_kept_however_long(server: SyncPrefectClient, limits: list[str]) -> None:
    with NodeSlots() as slots, slots.slot(limits, never):
        time.sleep(2.5)
        assert held(server, limits) == [1, 1]


def test_waiting_ends_when_the_job_is_stopped(limits: list[str]) -> None:
    def stopped() -> None:
        raise TaskStopped("The execution of the job is being stopped.")

    with (
        NodeSlots() as slots,
        slots.slot(limits, never),
        slots.slot(limits, never),
        pytest.raises(TaskStopped),
        slots.slot(limits, stopped),
    ):
        pytest.fail("there are two slots only")


def test_an_unknown_limit_is_an_error_and_not_no_limit() -> None:
    with (
        NodeSlots() as slots,
        pytest.raises(Exception, match="nobody-made-this"),
        slots.slot(["nobody-made-this"], never),
    ):
        pytest.fail("a limit that is missing must not let studies through")
