"""The committed page on de-identification is what the code does."""

import subprocess
import sys
from pathlib import Path

from adit_core.deid.conformance import conformance_page
from adit_core.deid.profile import builtin_profiles
from adit_core.deid.standard import confidential_attributes

_PAGE = Path(__file__).parents[3] / "docs" / "deidentification.md"


def test_the_committed_page_is_what_the_script_writes(tmp_path: Path):
    written = tmp_path / "page.md"
    subprocess.run([sys.executable, "-m", "adit_core.deid.conformance", str(written)], check=True, timeout=60)
    assert written.read_text("utf-8") == _PAGE.read_text("utf-8")


def test_the_page_names_every_profile_and_every_attribute_of_the_table():
    page = conformance_page()
    assert all(f"**{name}**" in page for name in builtin_profiles())
    keywords = {line.split(" | ")[0].removeprefix("| ") for line in page.splitlines()}
    assert {row.keyword for row in confidential_attributes().values()} <= keywords


def test_the_page_tells_what_profiles_do_differently():
    [row] = [line for line in conformance_page().splitlines() if line.startswith("| StudyDate |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    actions = dict(zip(builtin_profiles(), cells[3:], strict=True))
    assert actions["adit-compatible"] == "K"
    assert actions["research"] == "C"
