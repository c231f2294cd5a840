"""Warm child processes that do the work which must be possible to end at once.

A thread that blocks in a socket cannot be interrupted; a process can be killed, and its sockets go
with it. Children start from a fork server that has already imported what they need, run one call at
a time, and die with their parent.
"""

import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import arbitrary_address  # pyright: ignore[reportAttributeAccessIssue]
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock, Thread, Timer
from types import ModuleType
from typing import Any, Generic, ParamSpec, Self, TypeVar
from weakref import WeakSet

from pebble import ProcessExpired, ProcessPool
from pebble.common.types import ProcessFuture

from adit_core.errors import AditError, ChildDied, TaskStopped, TaskTimeout, UnexpectedError
from adit_core.logs import configure_logs

P = ParamSpec("P")
T = TypeVar("T")

_PRELOADED = "adit_core.services.child_server"
_TIDYING_TIME = 2.0
"""Seconds after which a call that is killed is ended by force, less than the 3 after which pebble kills it.

Half a second of it is for an archive that has to end what it is doing.
"""


def start_fork_server() -> None:
    """Start the process that children are forked from, if there is none; it imports what they need.

    Every pool does so; who knows that there will be one saves it the wait.
    """
    forkserver.set_forkserver_preload([_PRELOADED])
    forkserver.ensure_running()


def fork_fork_server() -> None:
    """Make a fork of this process the one that children are forked from: it has imported all that they need.

    Only while this process has one thread, and no child yet.
    """
    address = arbitrary_address("AF_UNIX")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    Path(address).chmod(0o600)
    listener.listen()
    alive, kept = os.pipe()  # it ends when the other end is closed, as by our death
    pid = os.fork()
    if not pid:
        os.close(kept)
        try:
            forkserver.main(listener.fileno(), alive, preload=[])
        finally:
            os._exit(0)
    os.close(alive)
    listener.close()
    vars(forkserver._forkserver).update(  # noqa: SLF001 - there is no other way to give it one that runs
        _forkserver_address=address, _forkserver_alive_fd=kept, _forkserver_pid=pid
    )


class ChildPool:
    """A pool of child processes. Use it as a context manager: leaving it ends all calls and children."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = Lock()
        self._is_closed = False
        self._pool = self._new_pool()
        self._futures: WeakSet[ProcessFuture[Any]] = WeakSet()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End all calls and children."""
        with self._lock:
            self._is_closed = True
            _end(self._pool)
            for future in list(self._futures):
                future.cancel()  # pebble forgets those whose child it ends in a quiet moment

    def call(
        self, timeout: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "ChildCall[T]":
        """Start `function` in a child, which is killed if it has not returned after `timeout` seconds.

        Raises:
            TaskStopped: The pool is closed.
        """
        with self._lock:
            if self._is_closed:
                raise TaskStopped("The children have been ended.")
            if not self._pool.active:
                # pebble gives a pool up when a child dies that has nothing to do.
                _end(self._pool)
                self._pool = self._new_pool()
            future = self._pool.schedule(_sanitised, (function, args, kwargs), timeout=timeout)
            self._futures.add(future)
        return ChildCall(future, timeout, lambda: self._is_closed)

    def _new_pool(self) -> ProcessPool:
        start_fork_server()
        return ProcessPool(max_workers=self._size, context=_Context(), initializer=_start_child)


class ChildCall(Generic[T]):
    """A call that runs in a child."""

    def __init__(self, future: ProcessFuture[T], timeout: float, is_pool_closed: Callable[[], bool]) -> None:
        self._future = future
        self._timeout = timeout
        self._is_pool_closed = is_pool_closed

    def is_over(self, within: float) -> bool:
        """Wait at most `within` seconds for the call to end and tell whether it has."""
        try:
            self._future.exception(timeout=within)
        except TimeoutError:
            return self._future.done()
        except CancelledError:
            return True
        return True

    def kill(self) -> None:
        """End the call and its child: it has two seconds to remove what it has half done."""
        self._future.cancel()

    def result(self) -> T:
        """Return what the call returned, or raise what it raised.

        Raises:
            TaskTimeout: The call was ended because it took too long.
            ChildDied: The child process was killed or crashed.
            TaskStopped: The call was ended by `kill`, or with the pool.
        """
        try:
            return self._future.result()
        except CancelledError as error:
            raise TaskStopped("The transfer was stopped.") from error
        except TimeoutError as error:
            raise TaskTimeout(f"The transfer was ended after {self._timeout:.0f} seconds.") from error
        except (ProcessExpired, BrokenProcessPool) as error:
            if self._is_pool_closed():  # which ends the children before it ends the calls
                raise TaskStopped("The transfer was stopped.") from error
            raise ChildDied("The process that moved the study died.") from error


class _Child(ForkServerProcess):
    """A child that does not import its parent's `__main__`.

    It needs nothing of it. Importing Prefect's engine would cost it a second, and a script that
    calls a flow without guarding its main part would be run again by every child.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - the name is that of multiprocessing
        with _main_lock:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                return ForkServerProcess._Popen(process_obj)  # noqa: SLF001
            finally:
                sys.modules["__main__"] = main


class _Context(ForkServerContext):
    Process = _Child


_main_lock = Lock()


def _end(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _start_child() -> None:
    """Have the child log as its parent does, and die with it, even if that is killed."""
    configure_logs()
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in children only"

    def die_with_parent() -> None:
        wait_for_any([parent.sentinel])
        os._exit(1)

    Thread(target=die_with_parent, name="die-with-parent", daemon=True).start()


def _sanitised(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    """Call `function`; of errors that are not ours only type and place leave the process.

    Their text may hold patient data (a value that could not be parsed, say), and it would end up in
    logs and in Prefect.
    """
    try:
        with _killed_by_exception():
            return function(*args, **kwargs)
    except AditError:
        raise
    except _Killed:
        pass  # its frames are released here, and with them what they still hold open
    except Exception as error:  # noqa: BLE001 - the edge of the process
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        raise UnexpectedError(f"Unexpected {type(error).__name__} at {place}.") from None
    os._exit(1)


class _Killed(BaseException):
    """Raised in the call that a child is told to end."""


@contextmanager
def _killed_by_exception() -> Iterator[None]:
    """Have SIGTERM end the block like an error, so that no half-written file is left behind."""

    def unwind(*_: object) -> None:
        force = Timer(_TIDYING_TIME, os._exit, [1])
        force.daemon = True
        force.start()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Killed

    usual = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)
