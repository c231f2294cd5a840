"""The generated parts of the documentation: complete, and in their places."""

import logging
import re

import pytest
from typer.main import get_command

from adit_core.api.logo import MARK
from adit_core.cli.application import app
from adit_core.dicom import find, get, move, receiver
from adit_core.dicom.contexts import STORAGE_SOP_CLASSES, STORAGE_TRANSFER_SYNTAXES
from adit_core.dicom.node import QueryRoot, Service
from adit_core.dicom.probe import QUERY_RETRIEVE_CLASSES
from adit_core.settings import Settings
from deployments.documentation import dicom_tables
from deployments.documentation.command_line import command_line
from deployments.documentation.hook import PARTS, filled, without_ways_out
from deployments.documentation.rest_api import described_api, rest_api
from deployments.documentation.settings import settings_table
from deployments.stack import HOME

PAGES = {path: path.read_text(encoding="utf-8") for path in (HOME / "docs").rglob("*.md")}


@pytest.fixture(scope="module")
def commands() -> str:
    return command_line()


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def test_every_part_has_a_place_and_every_place_a_part() -> None:
    places = [place for page in PAGES.values() for place in re.findall(r"<!-- generated: (\S+) -->", page)]
    assert sorted(places) == sorted(PARTS)


def test_a_place_that_nothing_fills_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mkdocs.hooks.adit"):
        page = filled("before\n<!-- generated: nothing-at-all -->\nafter", "page.md")
    assert page == "before\n<!-- generated: nothing-at-all -->\nafter"
    assert "nothing-at-all" in caplog.text


def test_a_part_replaces_its_place_only() -> None:
    page = filled("before\n\n<!-- generated: message-transfer-syntaxes -->\n\nafter", "page.md")
    assert page == f"before\n\n{dicom_tables.message_transfer_syntaxes()}\n\nafter"


def test_every_setting_is_there_with_its_meaning() -> None:
    told = {name.strip("`"): meaning for name, _, meaning in rows(settings_table())}
    assert list(told) == [f"ADIT_{name.upper()}" for name in Settings.model_fields]
    assert all(told.values()), "say below each setting what it means"


def test_defaults_are_those_of_the_code_and_name_no_home() -> None:
    defaults = {name.strip("`"): default for name, default, _ in rows(settings_table())}
    assert defaults["ADIT_TASK_ATTEMPTS"] == "`3`"
    assert defaults["ADIT_RECEIVER_MIN_FREE_BYTES"] == "`2147483648` (2 GiB)"
    assert defaults["ADIT_SECURE_COOKIES"] == "`false`"
    assert defaults["ADIT_DATA_DIR"].startswith("`~/")


def test_every_command_is_there_with_its_usage(commands: str) -> None:
    names = list(get_command(app).commands)  # type: ignore[attr-defined] - it is a group
    assert re.findall(r"^## adit (\S+)$", commands, re.MULTILINE) == names
    told = re.findall(r"^#{2,3} (adit .+)\n\n(?!#)(.+)", commands, re.MULTILINE)
    headings = re.findall(r"^#{2,3} (adit .+)$", commands, re.MULTILINE)
    assert [name for name, _ in told] == headings, "every command says what it is for"
    assert "\nadit nodes add server [OPTIONS] name\n" in commands


def test_a_choice_keeps_its_bar_in_a_table(commands: str) -> None:
    assert "<code>--partition &lt;daily&#124;weekly&gt;</code>" in commands


def test_every_path_of_the_api_is_there() -> None:
    document, _ = described_api()
    operations = sum(len(operations) for operations in document["paths"].values())
    assert len(re.findall(r"^\| `[A-Z]+` \| <code>", rest_api(), re.MULTILINE)) == operations
    assert operations > 100


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("get", "/health/live", "—"),
        ("get", "/v1/me", "any"),
        ("get", "/v1/jobs", "`read`"),
        ("post", "/v1/jobs/batch", "`jobs`"),
        ("get", "/v1/admin/users", "`admin`, staff"),
        ("get", "/dicom-web/{ae_title}/qidors/studies", "`dicomweb`"),
    ],
)
def test_the_scope_that_a_path_needs(method: str, path: str, need: str) -> None:
    assert described_api()[1][method, path] == need


def test_only_sign_in_and_health_need_nothing() -> None:
    open_paths = {path for (_, path), need in described_api()[1].items() if need == "—"}
    assert open_paths == {"/v1/sign-in", "/health/live", "/health/ready"}


def test_classes_of_queries_and_retrievals_are_those_that_are_used() -> None:
    used = {Service.FIND: find._FIND_CLASSES, Service.GET: get._GET_CLASSES, Service.MOVE: move._MOVE_CLASSES}
    assert {
        (service, root): classes[root] for service, classes in used.items() for root in QueryRoot
    } == QUERY_RETRIEVE_CLASSES


def test_storage_tables_have_names_and_uids() -> None:
    classes, syntaxes = (
        rows(dicom_tables.storage_sop_classes()),
        rows(dicom_tables.storage_transfer_syntaxes()),
    )
    assert [uid.strip("`") for _, uid in classes] == list(STORAGE_SOP_CLASSES)
    assert [uid.strip("`") for _, uid in syntaxes] == list(STORAGE_TRANSFER_SYNTAXES)
    assert not [name for name, uid in classes + syntaxes if name == uid.strip("`")], "named by the dictionary"


def test_what_becomes_of_statuses() -> None:
    find_told = {status.strip("`"): made for status, _, made in rows(dicom_tables.statuses(Service.FIND))}
    assert find_told["A7xx"] == "is tried again"
    assert find_told["FE00"] == "is tried again: there may be more answers"
    assert find_told["Cxxx"] == "is given up"
    store_told = {status.strip("`"): made for status, _, made in rows(dicom_tables.statuses(Service.STORE))}
    assert store_told["A7xx"] == "not stored, is tried again"
    assert store_told["B000"] == "stored; the warning is in the report"
    assert store_told["0124"] == "not stored, fails"
    assert "FE00" not in store_told, "C-STORE cannot be canceled"


def test_the_statement_names_the_statuses_of_the_receiver() -> None:
    statement = PAGES[HOME / "docs/dicom-conformance.md"]
    section = statement.partition("#### 4.3.4 C-STORE")[2].partition("####")[0]
    told = {int(status, 16) for status in re.findall(r"^\| `([0-9A-F]{4})`", section, re.MULTILINE)}
    assert told == {
        receiver.SUCCESS,
        receiver._OUT_OF_RESOURCES,
        receiver._CANNOT_UNDERSTAND,
        receiver._PROCESSING_FAILURE,
    }


def test_rejections_are_those_of_both_sides() -> None:
    told = {line[1]: line for line in rows(dicom_tables.rejections())}
    assert told["1 / 3"] == [
        "rejected-permanent",
        "1 / 3",
        "calling AE title not recognized",
        "is given up",
        "yes",
    ]
    assert told["3 / 2"] == ["rejected-transient", "3 / 2", "local limit exceeded", "is tried again", "yes"]


def test_the_site_has_the_mark_of_the_dashboard() -> None:
    assert (HOME / "docs/images/mark.svg").read_text(encoding="utf-8").strip() == MARK


@pytest.mark.parametrize(
    ("source", "link", "shown"),
    [
        ("security.md", "[compose.yaml](../compose.yaml)", "`compose.yaml`"),
        ("security.md", "[`settings.py`](../adit_core/settings.py)", "`adit_core/settings.py`"),
        ("guide/jobs.md", "[notebooks](../../notebooks)", "`notebooks`"),
        ("security.md", "[the services](../compose.yaml#services)", "the services (`compose.yaml`)"),
        ("guide/jobs.md", "[jobs](../jobs.md#history)", "[jobs](../jobs.md#history)"),
        ("guide/jobs.md", "![a job](../screenshots/job-light.png)", "![a job](../screenshots/job-light.png)"),
    ],
)
def test_files_outside_of_the_site_are_named(
    source: str, link: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert without_ways_out(f"See {link}.", source) == f"See {shown}."
    assert not caplog.records


def test_a_link_to_a_file_that_is_not_there_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mkdocs.hooks.adit"):
        without_ways_out("[gone](../gone.yaml)", "page.md")
    assert "gone.yaml" in caplog.text
