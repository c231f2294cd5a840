"""What is found out about folders by trying them."""

import sys
from pathlib import Path

import pytest

from adit_core.dicom.folder_probe import FolderAnswers, probe_folder
from adit_core.services.node_differences import folder_differences


def harm(answers: FolderAnswers, *, is_source: bool = True) -> set[str]:
    return {each.about for each in folder_differences(answers, is_source=is_source) if each.is_harmful}


def test_a_folder_that_can_be_used_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")

    answers = probe_folder(tmp_path)

    assert (answers.reading, answers.writing, harm(answers)) == ("", "", set())
    assert answers.free_bytes
    assert answers.host
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("is_file", [True, False], ids=["a file", "nothing"])
def test_what_is_no_folder_can_neither_be_read_nor_written(tmp_path: Path, is_file: bool) -> None:
    path = tmp_path / "folder"
    if is_file:
        path.write_text("content")

    answers = probe_folder(path)

    expected = "Not a directory" if is_file else "No such file or directory"
    assert (answers.reading, answers.writing) == (expected, expected)
    assert harm(answers) == {"reading", "writing"}
    assert harm(answers, is_source=False) == {"writing"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write to")
def test_a_folder_that_can_only_be_read_is_told() -> None:
    answers = probe_folder(Path("/proc"))

    assert answers.reading == ""
    assert harm(answers) == {"writing"}
