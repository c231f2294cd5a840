"""Lines of logs: what is in them, and what never is."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adit_core.errors import InvalidInput, StudyNotFound, kind_and_place
from adit_core.logs import FIELDS, about, configure_logs, log_formatter
from deployments.stack import HOME

MARKER = "MARKER^PATIENT"

Write = Callable[..., str]

# What a process of ours meets, with patient data wherever a library could put them.
PROCESS = f"""
import logging, sys, warnings
from adit_core.logs import about, configure_logs, hand_on_to_root
configure_logs()
import uvicorn.config
logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
hand_on_to_root()
from prefect.logging import get_logger
from prefect.logging.configuration import setup_logging
setup_logging()
from pydicom import Dataset
logging.getLogger("uvicorn.error").info("Started")
logging.getLogger("uvicorn.access").info("GET /studies?PatientName={MARKER}")
logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" [accepted]', "127.0.0.1", "/?q={MARKER}")
logging.getLogger("urllib3").debug("{MARKER}")
logging.getLogger("pydicom").warning("{MARKER}")
warnings.warn("{MARKER}")
dataset = Dataset()
dataset.StudyInstanceUID = "{MARKER}"
get_logger("worker").info("Prefect speaks")
get_logger("task_runs").info("Finished in state Completed()")
get_logger("task_runs").info("Task run failed")
with about(job=3):
    try:
        raise ValueError("{MARKER}")
    except ValueError:
        logging.getLogger("adit_core.services").exception("Ours speaks")
logging.getLogger("adit_core.services").debug("too quiet")
"""


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Write:
    """Format a record of the given form, as a logger of ours would make it."""

    def line(
        event: str, *args: object, form: str = "json", logger: str = "adit_core.test", **fields: Any
    ) -> str:
        monkeypatch.setenv("ADIT_LOG_FORMAT", form)
        record = logging.getLogger(logger).makeRecord(
            *(logger, logging.INFO, "test.py", 1, event, args),
            fields.pop("exc_info", None),
            extra=fields,
        )
        return log_formatter().format(record)

    return line


@pytest.fixture
def foreign_error() -> Iterator[Any]:
    try:
        int(MARKER)
    except ValueError:
        yield sys.exc_info()


def test_a_line_says_when_who_and_what_and_of_which_job_and_task(write: Write) -> None:
    with about(job=7, task=12):
        line = json.loads(write("attempt %s", "begins", attempt=2))

    assert list(line) == ["time", "level", "logger", "event", "job", "task", "attempt"]
    assert line["time"].endswith("Z")
    assert line | {"time": ""} == {
        "time": "",
        "level": "info",
        "logger": "adit_core.test",
        "event": "attempt begins",
        "job": 7,
        "task": 12,
        "attempt": 2,
    }


def test_ids_are_bound_to_a_block_only(write: Write) -> None:
    with about(job=7), about(task=12):
        pass
    assert json.loads(write("later")).keys().isdisjoint(FIELDS)


def test_a_field_that_is_not_listed_is_left_out(write: Write) -> None:
    assert MARKER not in write("event", patient_name=MARKER, status="FAILURE")


def test_job_and_task_of_prefects_runs_are_told(write: Write) -> None:
    line = json.loads(write("Finished", flow_run_name="job-3-run-2", task_run_name="task-44"))
    assert (line["job"], line["task"]) == (3, 44)
    assert "job" not in json.loads(write("Finished", flow_run_name="pink-fox"))


@pytest.mark.parametrize("form", ["json", "text"])
def test_of_errors_that_are_not_ours_type_and_place_are_told(
    write: Write, foreign_error: Any, form: str
) -> None:
    line = write("Broke", form=form, exc_info=foreign_error)
    assert "ValueError < test_logs.py:" in line
    assert MARKER not in line


def test_of_a_library_that_tells_of_an_error_not_even_its_words_are_told(
    write: Write, foreign_error: Any
) -> None:
    line = json.loads(write(f"Never retrieved: {MARKER}", logger="asyncio", exc_info=foreign_error))
    assert line["event"] == "Unexpected ValueError"
    assert line["exception"].startswith("ValueError < test_logs.py:")


def test_of_our_errors_the_sentence_is_told(write: Write) -> None:
    error = StudyNotFound("PACS knows no study 1.2.3.")
    line = json.loads(write("Broke", exc_info=(type(error), error, None)))
    assert line["exception"] == "StudyNotFound: PACS knows no study 1.2.3."


@pytest.mark.parametrize("form", ["json", "text"])
def test_nobody_can_forge_a_line(write: Write, form: str) -> None:
    forged = "harmless\r\n2026-01-01 [info] signed in"
    with about(job=1):
        assert len(write(forged, form=form, reason=forged).splitlines()) == 1


def test_text_is_for_reading(write: Write) -> None:
    with about(job=7):
        line = write("task ends", form="text", status="SUCCESS")
    assert "[info" in line
    assert "task ends" in line
    assert "job=7" in line
    assert "status=SUCCESS" in line


@pytest.mark.parametrize(("variable", "value"), [("ADIT_LOG_FORMAT", "xml"), ("ADIT_LOG_LEVEL", "loud")])
def test_a_form_or_level_that_does_not_exist_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("ADIT_LOG_FORMAT", "json")
    monkeypatch.setenv(variable, value)
    root = logging.getLogger().handlers
    with pytest.raises(InvalidInput, match=variable):
        configure_logs()
    assert logging.getLogger().handlers == root


def test_all_that_a_process_logs_is_in_this_form_and_without_patient_data() -> None:
    environment = {
        **os.environ,
        "PREFECT_API_URL": "",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    }
    environment.pop("PREFECT_LOGGING_SETTINGS_PATH", None)
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS],
        cwd=HOME,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=100,
    )

    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    told = ["Started", "Prefect speaks", "Task run failed", "Ours speaks"]
    assert [line["event"] for line in lines] == told
    assert lines[-1]["job"] == 3
    assert lines[-1]["exception"].startswith("ValueError < <string>:")
    assert MARKER not in ended.stderr + ended.stdout
    assert not ended.stdout


def test_an_error_that_was_not_raised_has_no_place() -> None:
    assert kind_and_place(ValueError(MARKER)) == "ValueError at an unknown place"
