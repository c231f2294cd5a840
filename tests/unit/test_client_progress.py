"""What waiting for a job shows: a bar of tqdm, or a line where that is not installed; in a real terminal."""

import os
import pty
import subprocess
import sys
import termios

import pytest

SHOWN = """
with job_bar("Job 7") as show:
    show(0.0, "PENDING")
    show(0.5, "IN_PROGRESS")
    show(1.0, "SUCCESS")
"""
BROKEN_OFF = """
with job_bar("Job 7") as show:
    show(0.5, "IN_PROGRESS")
    raise TimeoutError
"""
WITH_TQDM = "from adit_core.client.progress import job_bar\n"
WITHOUT_TQDM = f"import sys\nsys.modules['tqdm'] = sys.modules['tqdm.auto'] = None\n{WITH_TQDM}"


def in_terminal(program: str, status: int = 0) -> str:
    """Return what a program shows in a terminal of 80 columns."""
    terminal, side = pty.openpty()
    termios.tcsetwinsize(side, (24, 80))
    command = [sys.executable, "-X", "utf8", "-c", program]
    done = subprocess.run(command, stderr=side, check=False)
    os.close(side)
    assert done.returncode == status
    shown = bytearray()
    try:
        while piece := os.read(terminal, 1 << 16):
            shown += piece
    except OSError:  # Linux says so when nobody has the other side open any more
        pass
    finally:
        os.close(terminal)
    return shown.decode()


def test_a_bar_of_tqdm_is_shown_if_it_is_installed():
    shown = in_terminal(WITH_TQDM + SHOWN)

    states = shown.split("\r")
    assert any("Job 7:  50% |" in state and "IN_PROGRESS" in state for state in states)
    assert "Job 7: 100% |" in states[-2]
    assert states[-2].split("|")[2].strip() == ", SUCCESS"
    assert shown.endswith("\n")


def test_a_line_is_shown_if_it_is_not():
    shown = in_terminal(WITHOUT_TQDM + SHOWN)

    assert shown.split("\r")[1:] == [
        f"Job 7:   0% |{'-' * 40}| PENDING     ",
        f"Job 7:  50% |{'#' * 20}{'-' * 20}| IN_PROGRESS ",
        f"Job 7: 100% |{'#' * 40}| SUCCESS     ",
        "\n",
    ]


@pytest.mark.parametrize("start", [WITH_TQDM, WITHOUT_TQDM])
def test_what_is_said_after_waiting_broke_off_has_a_line_of_its_own(start: str):
    lines = in_terminal(start + BROKEN_OFF, status=1).replace("\r\n", "\n").split("\n")

    assert "IN_PROGRESS" in lines[0]
    assert "Traceback" not in lines[0]
    assert "TimeoutError" in lines[-2]


def test_no_line_is_written_to_what_is_no_terminal():
    command = [sys.executable, "-c", WITHOUT_TQDM + SHOWN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("", "")
