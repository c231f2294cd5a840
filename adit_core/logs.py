"""How all processes write their logs: one line for each event, to standard error.

On a terminal a line is made for reading, elsewhere it is JSON; ADIT_LOG_FORMAT (``text`` or ``json``) decides
otherwise. ADIT_LOG_LEVEL (``INFO``) is that of our own loggers. Those of libraries are never more talkative
than INFO, for what they tell beyond that may hold patient data, as may the text of errors that are not ours:
of those a line tells type and places only.

Whatever logs by the standard library (uvicorn, Prefect, Streamlit) goes the same way. Job and task are bound
to all lines of a thread by `about`. Beside them a line holds only fields that are listed here.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import Processor

from adit_core.errors import AditError, InputProblem, InvalidInput

FIELDS = (
    *("job", "task", "kind", "run", "attempt", "status", "seconds", "reason"),
    *("planned", "delivered", "filtered", "failed"),
)
"""What a line may hold beside its event, from ``extra`` of a log call or from `about`."""

_FORMATS = ("json", "text")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OURS = ("adit", "adit_core", "deployments", "flows", "ui")
_SILENT = ("pydicom.", "pynetdicom.", "py.warnings.", "uvicorn.access.")
"""They would tell what is in data sets and addresses."""
_RESERVED = ("alembic.", "docket.", "httpcore.", "httpx.", "py7zr.", "urllib3.", "websockets.")
"""They tell of each step, which is of no interest."""
_MOST_PLACES = 8
_RUN_NAME = re.compile(r"(job|task)-(\d+)")
_PREFECT_CONFIGURATION = Path(__file__).with_name("prefect_logging.yml")

Event = MutableMapping[str, Any]


def configure_logs() -> None:
    """Have this process, and those that it starts, write their logs in this way.

    Raises:
        InvalidInput: ADIT_LOG_FORMAT or ADIT_LOG_LEVEL is none.
    """
    os.environ["ADIT_LOG_FORMAT"] = _format()  # children write to where we do, though through pipes
    root = logging.getLogger()
    root.handlers = [log_handler()]
    root.setLevel(logging.INFO)
    # Prefect configures the logging of each process that imports it anew, by this file.
    os.environ.setdefault("PREFECT_LOGGING_SETTINGS_PATH", str(_PREFECT_CONFIGURATION))


def log_handler() -> logging.Handler:
    """Return what writes all lines of a process, and set levels; Prefect's file names it, too."""
    logging.captureWarnings(True)
    for name in _OURS:
        logging.getLogger(name).setLevel(_chosen("ADIT_LOG_LEVEL", "INFO", _LEVELS))
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_wanted)
    handler.setFormatter(log_formatter())
    return handler


def task_run_news() -> Callable[[logging.LogRecord], bool]:
    """Return what lets through all that Prefect logs of a task run but that it succeeded.

    Its state says so, and ours is logged; each such line would be sent to Prefect's server and stored there.
    """
    return lambda record: not str(record.msg).startswith("Finished in state Completed(")


def hand_on_to_root() -> None:
    """Take away the handlers that libraries have given their own loggers since the logs were configured."""
    if not any(_is_ours(handler) for handler in logging.getLogger().handlers):
        return
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            for handler in list(logger.handlers):
                if isinstance(handler, logging.StreamHandler):
                    logger.removeHandler(handler)
                    logger.propagate = True


def about(**ids: int) -> AbstractContextManager[None]:
    """Bind ids (`job`, `task`) to all that this thread logs while the block runs."""
    assert ids.keys() <= set(FIELDS)
    return structlog.contextvars.bound_contextvars(**ids)


def log_formatter() -> logging.Formatter:
    """Return the formatter of all lines."""
    as_json = _format() == "json"
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(allow=FIELDS),
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _add_prefects_ids,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ],
        processors=[
            _tell_of_exception,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_rendering(as_json=as_json),
        ],
        # Or the standard library would add the traceback below the line.
        keep_exc_info=False,
        keep_stack_info=False,
    )


def _rendering(*, as_json: bool) -> list[Processor]:
    if as_json:
        order = ("time", "level", "logger", "event", *FIELDS, "exception")
        return [_in_order(order), structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)]
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), timestamp_key="time", pad_event_to=0, sort_keys=False
    )
    return [_on_one_line, renderer]


def _is_wanted(record: logging.LogRecord) -> bool:
    """Tell whether a line may be written; levels would not do, since libraries set their own at any time."""
    name = f"{record.name}."
    if name.startswith(_SILENT) or _is_about_websocket(record):
        return False
    return record.levelno >= logging.WARNING or not name.startswith(_RESERVED)


def _is_about_websocket(record: logging.LogRecord) -> bool:
    """Tell whether uvicorn tells of a websocket, with its address, where it should tell of errors."""
    told = str(record.msg)
    return record.name == "uvicorn.error" and ("WebSocket" in told or told.startswith("connection "))


def _format() -> str:
    return _chosen("ADIT_LOG_FORMAT", "text" if sys.stderr.isatty() else "json", _FORMATS)


def _chosen(variable: str, usual: str, choices: tuple[str, ...]) -> str:
    chosen = os.environ.get(variable, "") or usual
    for choice in choices:
        if chosen.lower() == choice.lower():
            return choice
    raise InvalidInput(InputProblem(f"Give one of {', '.join(choices)}.", field=variable))


def _is_ours(handler: logging.Handler) -> bool:
    return isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)


def _is_of_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OURS


def _add_prefects_ids(_logger: Any, _method: str, event: Event) -> Event:
    """Add job and task of a flow run or task run that Prefect tells of; they are in its name."""
    record = event["_record"]
    for attribute in ("flow_run_name", "task_run_name"):
        if match := _RUN_NAME.match(str(getattr(record, attribute, ""))):
            event.setdefault(match[1], int(match[2]))
    return event


def _tell_of_exception(_logger: Any, _method: str, event: Event) -> Event:
    """Tell type and places of an exception; its text only if it is one of ours.

    Where a library tells of one that is not, its own words go as well, since they may quote that text.
    """
    told = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if told is True:
        told = sys.exc_info()
    error = told[1] if isinstance(told, tuple) else told
    if isinstance(error, BaseException):
        text = type(error).__name__
        if isinstance(error, AditError):
            text = f"{text}: {error}"
        elif not _is_of_ours(event["_record"]):
            event["event"] = f"Unexpected {text}"
        event["exception"] = " < ".join((text, *_places(error)))
    return event


def _places(error: BaseException) -> list[str]:
    """Return where an exception came from, the innermost place first."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_PLACES:]
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)]


def _in_order(order: tuple[str, ...]) -> Processor:
    def sort(_logger: Any, _method: str, event: Event) -> Mapping[str, Any]:
        return {name: event[name] for name in order if name in event}

    return sort


def _on_one_line(_logger: Any, _method: str, event: Event) -> Event:
    """Escape line breaks, with which somebody could forge lines."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = value.replace("\r", "\\r").replace("\n", "\\n")
    return event
