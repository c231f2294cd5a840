"""Warm child processes that do the work which must be possible to end at once.

A thread that blocks in a socket cannot be interrupted; a process can be killed, and its sockets go
with it. Children start from a fork server that has already imported what they need, run one call at
a time, and die with their parent.
"""

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from threading import Thread
from typing import Generic, ParamSpec, Self, TypeVar

from pebble import ProcessExpired, ProcessPool
from pebble.common.types import ProcessFuture

from adit_core.errors import AditError, ChildDied, TaskStopped, TaskTimeout, UnexpectedError

P = ParamSpec("P")
T = TypeVar("T")

_PRELOADED = "adit_core.services.execute"


class ChildPool:
    """A pool of child processes. Use it as a context manager: leaving it ends all calls and children."""

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_PRELOADED, *_main_module()])
        self._pool = ProcessPool(max_workers=size, context=context, initializer=_start_child)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End all calls and children."""
        self._pool.stop()
        self._pool.join()

    def call(
        self, timeout: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "ChildCall[T]":
        """Start `function` in a child, which is killed if it has not returned after `timeout` seconds."""
        return ChildCall(self._pool.schedule(_sanitised, (function, args, kwargs), timeout=timeout), timeout)


class ChildCall(Generic[T]):
    """A call that runs in a child."""

    def __init__(self, future: ProcessFuture[T], timeout: float) -> None:
        self._future = future
        self._timeout = timeout

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
        """End the call and its child at once."""
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
        except ProcessExpired as error:
            raise ChildDied("The process that moved the study died.") from error


def _main_module() -> list[str]:
    """Return the module that children would otherwise each import anew, because it is our `__main__`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return [spec.name] if spec is not None and not spec.name.endswith("__main__") else []


def _start_child() -> None:
    """Make the child die with its parent, even if that is killed."""
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
        return function(*args, **kwargs)
    except AditError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge of the process
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        raise UnexpectedError(f"Unexpected {type(error).__name__} at {place}.") from None
