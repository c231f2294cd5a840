"""Children: calls return, are killed, time out, and die with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from adit_core.errors import ChildDied, ConnectionFailed, TaskStopped, TaskTimeout, UnexpectedError
from adit_core.services.children import ChildPool

PATIENT = "Doe^Jane"


@pytest.fixture(scope="module")
def pool() -> Iterator[ChildPool]:
    with ChildPool(2) as pool:
        pool.call(60, os.getpid).result()  # start it here, so that no test measures the start
        yield pool


def sleep_after_telling(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def write_half_a_file(path: str, half: str) -> None:
    Path(half).write_text("half")
    try:
        sleep_after_telling(path)
    finally:
        time.sleep(1)  # an archive takes so long to end what it is doing, on a busy machine
        Path(half).unlink()


def refuse_to_end(path: str) -> None:
    try:
        sleep_after_telling(path)
    finally:
        time.sleep(600)


def fail_with_patient_data() -> None:
    raise ValueError(f"cannot parse {PATIENT}")


def fail_with_our_error() -> None:
    raise ConnectionFailed("PACS at 127.0.0.1:104 refused the connection.")


def pid_from(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the child did not start"
        time.sleep(0.02)
    return int(path.read_text())


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the child lives on"
            time.sleep(0.02)


def test_a_call_runs_in_another_process_and_returns_its_result(pool: ChildPool) -> None:
    assert pool.call(60, os.getpid).result() != os.getpid()


def test_a_killed_call_ends_at_once_with_its_process(pool: ChildPool, tmp_path: Path) -> None:
    call = pool.call(60, sleep_after_telling, str(tmp_path / "pid"))
    pid = pid_from(tmp_path / "pid")
    assert not call.is_over(within=0.01)
    call.kill()
    assert call.is_over(within=60)
    with pytest.raises(TaskStopped):
        call.result()
    wait_until_gone(pid)
    assert pool.call(60, os.getpid).result() != pid


def test_a_killed_call_leaves_no_half_written_file(pool: ChildPool, tmp_path: Path) -> None:
    call = pool.call(60, write_half_a_file, str(tmp_path / "pid"), str(tmp_path / "half"))
    pid = pid_from(tmp_path / "pid")
    call.kill()
    wait_until_gone(pid)
    assert not (tmp_path / "half").exists()


def test_a_killed_call_that_does_not_come_to_an_end_is_ended_by_force(
    pool: ChildPool, tmp_path: Path
) -> None:
    call = pool.call(60, refuse_to_end, str(tmp_path / "pid"))
    pid = pid_from(tmp_path / "pid")
    call.kill()
    wait_until_gone(pid)


def test_a_call_that_takes_too_long_is_ended_by_force(pool: ChildPool, tmp_path: Path) -> None:
    call = pool.call(1, sleep_after_telling, str(tmp_path / "pid"))
    pid = pid_from(tmp_path / "pid")
    with pytest.raises(TaskTimeout, match="after 1 seconds"):
        call.result()
    wait_until_gone(pid)


def test_a_child_that_is_killed_from_outside_is_a_transient_error(pool: ChildPool, tmp_path: Path) -> None:
    call = pool.call(60, sleep_after_telling, str(tmp_path / "pid"))
    os.kill(pid_from(tmp_path / "pid"), signal.SIGKILL)
    with pytest.raises(ChildDied):
        call.result()


def test_a_pool_whose_children_were_all_killed_goes_on_with_new_ones(tmp_path: Path) -> None:
    with ChildPool(2) as pool:
        calls = [pool.call(60, sleep_after_telling, str(tmp_path / name)) for name in "ab"]
        for name in "ab":
            os.kill(pid_from(tmp_path / name), signal.SIGKILL)
        waiting = pool.call(60, os.getpid)
        for call in calls:
            with pytest.raises(ChildDied):
                call.result()
        with suppress(ChildDied):
            waiting.result()  # it may have been given to one of them
        assert pool.call(60, os.getpid).result() != os.getpid()


def test_a_pool_whose_idle_children_were_killed_goes_on_with_new_ones() -> None:
    with ChildPool(2) as pool:
        before = pool.call(60, os.getpid).result()
        for child in psutil.Process().children(recursive=True):
            if "forkserver" in " ".join(child.cmdline()) and not child.children():
                child.kill()
        for _ in range(20):
            with suppress(ChildDied):
                assert pool.call(60, os.getpid).result() != before
                return
        pytest.fail("the pool does not recover")


def test_calls_that_end_with_their_pool_were_stopped_and_did_not_fail(tmp_path: Path) -> None:
    with ChildPool(4) as pool:
        paths = [tmp_path / str(number) for number in range(4)]
        calls = [pool.call(60, sleep_after_telling, str(path)) for path in paths]
        for path in paths:
            pid_from(path)
    for call in calls:
        with pytest.raises(TaskStopped):
            call.result()


def test_calls_end_with_their_pool_even_if_pebble_forgets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pebble.pool.process.TaskManager.tasks_abort", lambda *_: None)
    with ChildPool(1) as pool:
        call = pool.call(60, sleep_after_telling, str(tmp_path / "pid"))
        pid_from(tmp_path / "pid")
    assert call.is_over(within=60)
    with pytest.raises(TaskStopped):
        call.result()


def test_a_closed_pool_starts_nothing() -> None:
    pool = ChildPool(1)
    pool.close()
    with pytest.raises(TaskStopped):
        pool.call(60, os.getpid).result()


def test_our_errors_come_through_as_they_are(pool: ChildPool) -> None:
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:104 refused"):
        pool.call(60, fail_with_our_error).result()


def test_of_foreign_errors_only_type_and_place_come_through(pool: ChildPool) -> None:
    with pytest.raises(UnexpectedError, match=r"Unexpected ValueError at test_children\.py:") as caught:
        pool.call(60, fail_with_patient_data).result()
    chain: BaseException | None = caught.value
    while chain is not None:
        assert PATIENT not in repr(chain)
        assert PATIENT not in str(vars(chain))
        chain = chain.__cause__ or chain.__context__


def test_a_script_without_a_guarded_main_part_is_not_run_again_by_children(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from adit_core.services.children import ChildPool\n"
        "print('main part', flush=True)\n"
        "with ChildPool(1) as pool:\n"
        "    assert pool.call(60, os.getpid).result() != os.getpid()\n"
    )
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout == "main part\n"


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("parent_of_child.py")), str(tmp_path)]
    )
    child = pid_from(tmp_path / "pid")
    parent.kill()
    parent.wait()
    wait_until_gone(child)


def test_children_load_nothing_of_spreadsheets():
    """It would take 70 MB and half a second of each job."""
    program = "import sys, adit_core.services.execute; print({'pandas', 'openpyxl'} & sys.modules.keys())"
    command = [sys.executable, "-c", program]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"
