"""What terminals show of jobs, made from values."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from adit_core.console import job_progress, progress_sentence, results_table
from adit_core.db import JobKind, JobStatus, Task, TaskStatus, TransferOptions
from adit_core.db.columns import utc_now
from adit_core.services.job_progress import JobProgress
from adit_core.services.jobs import JobView
from adit_core.services.progress import TaskCounts
from adit_core.terminal import cell, new_console

NOTHING_YET = TaskCounts()
LONG_UID = "1.2.840." + "9" * 56


def job_view(counts: TaskCounts = NOTHING_YET, **changes) -> JobView:
    """Return a running job of three studies, one of which has ended."""
    progress = JobProgress(
        tasks={TaskStatus.SUCCESS: 1, TaskStatus.IN_PROGRESS: 1, TaskStatus.PENDING: 1},
        counts=counts,
        share=0.5,
        bytes_per_second=2_500_000.0,
        seconds_left=61.2,
    )
    view = JobView(
        id=7,
        kind=JobKind.BATCH_TRANSFER,
        name="",
        owner="ada",
        group="",
        source="PACS",
        destination="Export",
        options=TransferOptions(),
        archive_file="",
        urgent=False,
        status=JobStatus.IN_PROGRESS,
        message="",
        run_number=1,
        flow_run_id=None,
        created_at=utc_now(),
        started_at=utc_now(),
        ended_at=None,
        progress=progress,
        actions=frozenset(),
        refusals={},
    )
    return replace(view, **changes)


def study(task_id: int = 1, *, rows: tuple[int, ...] = (2,), uid: str = "1.2.3", **fields) -> Task:
    return Task(
        id=task_id,
        job_id=7,
        patient_id="P4711",
        study_instance_uid=uid,
        rows=rows,
        **{"status": TaskStatus.SUCCESS, **fields},
    )


def shown(renderable: RenderableType, width: int = 200) -> str:
    console = Console(file=StringIO(), width=width)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_filtered_instances_are_not_waited_for() -> None:
    job = job_view(TaskCounts(planned=10, delivered=3, filtered=4))

    assert "1 of 3 studies ended, 3 of 6 instances delivered" in progress_sentence(job)
    assert "3/6" in shown(job_progress(job, []))


def test_progress_tells_failures_speed_and_time_left() -> None:
    job = job_view(TaskCounts(planned=10, delivered=3, failed=2), message="Something is wrong.")

    assert progress_sentence(job) == (
        "Job 7 IN_PROGRESS: 1 of 3 studies ended, 3 of 10 instances delivered, 2 failed, "
        "2.5 MB/s, 0:01:01 left, Something is wrong."
    )


def test_studies_on_the_move_are_shown_up_to_a_number() -> None:
    moving = [study(number, rows=(number,), planned=5, delivered=2) for number in range(1, 12)]

    picture = shown(job_progress(job_view(), moving))

    assert "2/5  row 8: 1.2.3" in picture
    assert "row 9" not in picture
    assert "and 3 more studies" in picture


@pytest.mark.parametrize(
    ("rows", "text"),
    [((2,), "2"), ((2, 3), "2-3"), ((2, 3, 4, 7, 9, 10), "2-4, 7, 9-10"), ((), "")],
)
def test_rows_are_drawn_together(rows: tuple[int, ...], text: str) -> None:
    table = shown(results_table(job_view(), [study(rows=rows, uid="UID")], {}))

    (line,) = (line for line in table.splitlines() if "UID" in line and "Study" not in line)
    assert line.split("UID")[0].strip() == text


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_results_fit_the_terminal_and_cut_nothing_off(width: int) -> None:
    counts = TaskCounts(
        planned=12345, delivered=12000, filtered=45, failed=300, sent=12000, bytes_sent=10**10
    )
    task = study(uid=LONG_UID, planned=12345, delivered=12000, filtered=45, failed=300, sent=12000)

    table = shown(results_table(job_view(counts), [task], {1: ("CT", "SR")}), width)

    assert all(len(line) <= width for line in table.splitlines())
    assert "…" not in table
    words = table.split()
    assert {"SUCCESS", "12345", "12000", "45", "300", "10000.0", "CT", "SR"} <= set(words)
    pieces = [word for word in words if word.startswith("1.2.840") or set(word) == {"9"}]
    assert "".join(pieces) == LONG_UID


def test_what_went_wrong_is_told_below_the_results_without_the_patient() -> None:
    table = shown(results_table(job_view(), [study(message="2 of 3 are missing."), study(2)], {}))

    assert "row 2: 1.2.3: 2 of 3 are missing." in table
    assert table.count("1.2.3") == 3
    assert "P4711" not in table


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("Müller 山田^太郎", "Müller 山田^太郎"),
        ("a\x1b[31mb", "a�[31mb"),
        ("two\nlines\tand", "two lines and"),
        ("left\u202eright", "left�right"),
        (None, ""),
        (0, "0"),
    ],
)
def test_cells_keep_text_and_drop_what_steers_terminals(text: object, harmless: str) -> None:
    assert cell(text).plain == harmless


def test_a_console_takes_text_as_it_is() -> None:
    console = new_console()
    with console.capture() as capture:
        console.print("[red]:smile: 1.2.3[/red]")

    assert capture.get() == "[red]:smile: 1.2.3[/red]\n"
