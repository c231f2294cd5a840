"""Who may do what by the services that all faces call: every caller calls every one of them.

The table is ``tests/services_table.txt``, in the words of `tests.rights_table`, and with "nobody".

======== =============================================================================================
others   get
======== =============================================================================================
refused  `NotAllowed`; or `NotFound`, if what they ask for is not theirs to know of
missing  `NotFound`
nothing  an empty answer, or a refusal
======== =============================================================================================
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import adit_core.services
from adit_core.errors import AditError, NotAllowed, NotFound
from deployments.demo.studies import write_study
from tests.factories import ct_study
from tests.fakes.launcher import FakeLauncher
from tests.integration.rights_world import Caller, World, account, make_world
from tests.integration.services_calls import CALLS, Asking
from tests.rights_table import EVERYBODY, OWNER, REVIEWER, UPLOADER

_ROOT = Path(__file__).parents[2]
_HIDING = frozenset({OWNER, REVIEWER, UPLOADER})
_DONE = "done"


@dataclass(frozen=True, slots=True)
class Line:
    """A service, and who may have it done."""

    name: str
    who: frozenset[str]
    """All of these are needed."""
    others_get: str
    answer: str
    """`_DONE`, or the error that those get who may: no archive answers in the world of the tests."""

    @property
    def service(self) -> str:
        """The name of the module and of the function."""
        return self.name.split()[0]

    def expected(self, caller: Caller) -> frozenset[str]:
        """Return what a caller may get."""
        lacking = self.who - caller.has - {EVERYBODY}
        if not lacking:
            return frozenset({self.answer})
        hidden = frozenset({NotFound.__name__}) if lacking & _HIDING else frozenset()
        return {
            "refused": frozenset({NotAllowed.__name__}) | hidden,
            "missing": frozenset({NotFound.__name__}),
            "nothing": frozenset({NotAllowed.__name__, "nothing"}),
        }[self.others_get]


def _lines() -> Iterator[Line]:
    text = (_ROOT / "tests" / "services_table.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, who, others_get, answer = (part.strip() for part in line.split("|"))
            yield Line(name, frozenset(who.split(" + ")), others_get, answer)


LINES = {line.name: line for line in _lines()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hospital."""
    world = make_world(tmp_path_factory.mktemp("services"))
    yield world
    world.api.db.dispose()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A DICOM file."""
    (path,) = write_study(ct_study(rows=16), tmp_path_factory.mktemp("instance"))
    return path.read_bytes()


@pytest.mark.parametrize("name", CALLS)
def test_nobody_gets_more_or_less_than_the_table_says(world: World, instance: bytes, name: str) -> None:
    line = LINES[name]
    wrong = {}
    for caller in (each for each in world.callers if each.username):
        got = _call(world, caller, line, instance)
        if got not in line.expected(caller):
            wrong[caller.name] = got
    assert wrong == {}


def _call(world: World, caller: Caller, line: Line, instance: bytes) -> str:
    """Return in a word what a caller gets."""
    db, settings = world.api.db, world.api.settings
    things = world.things[caller.owns]
    asking = Asking(db, account(db, caller.username), things, instance, settings, FakeLauncher())
    try:
        answer = CALLS[line.name](asking)
        got = "nothing" if line.others_get == "nothing" and not answer else _DONE
    except AditError as error:
        got = type(error).__name__
    if got not in ("nothing", NotAllowed.__name__, NotFound.__name__):
        world.restore()
    return got


def test_the_table_and_the_calls_are_of_the_same_services() -> None:
    assert CALLS.keys() == LINES.keys()


IN_SOMEBODYS_NAME = frozenset({"user", "principal", "owner_id", "actor", "request"})
"""What a service calls those in whose name it acts."""

NOT_IN_THE_TABLE: Mapping[str, str] = {
    "active_group.active_group_of": "tells of rights",
    "active_group.groups_of_user": "tells of rights",
    "identities.list_identities": "asks about an account, whoever asks",
    "job_access.asker": "tells of rights",
    "live_search.LiveSearch": "calls search.find_studies",
    "looks.record_export": "is the end of services that are",
    "looks.record_look": "is the end of services that are",
    "maintenance.require_no_maintenance": "tells of rights",
    "nodes.save_node": "is the end of services that are",
    "once.submit_once": "calls a service that is",
    "own_account.change_own_password": "is told a session that is open",
    "own_account.end_other_sessions": "is told a session that is open",
    "own_account.list_sessions": "is told a session that is open",
    "repeatable.claim": "keeps an answer for those who were given it",
    "repeatable.give_up": "keeps an answer for those who were given it",
    "repeatable.keep": "keeps an answer for those who were given it",
    "sessions.close_session": "is told a session that is open",
    "sessions.open_session": "is the end of signing in",
    "sessions.require_password_user": "is a part of signing in",
    "sign_in_throttle.is_known_browser": "is a part of signing in",
    "submit_mass.require_allowed_mass": "is the beginning of services that are",
    "submit_query.require_allowed_query": "is the beginning of services that are",
    "transfer_request.require_allowed": "is the beginning of services that are",
    "uploads.unused_upload": "is the beginning of services that are",
}


def test_every_service_that_acts_for_somebody_is_in_the_table() -> None:
    services = {
        name
        for name, function in _services().items()
        if not name.startswith("rights.")
        and IN_SOMEBODYS_NAME & inspect.signature(function).parameters.keys()
    }
    listed = {line.service for line in LINES.values()} | NOT_IN_THE_TABLE.keys()
    assert services - listed == set(), "who may do this? Say so in tests/services_table.txt"


def _services() -> Mapping[str, FunctionType]:
    """Return the public functions that are called with the database, by module and name."""
    return {
        f"{module.name}.{name}": member
        for module in pkgutil.iter_modules(adit_core.services.__path__)
        for name, member in vars(importlib.import_module(f"adit_core.services.{module.name}")).items()
        if inspect.isfunction(member)
        and not name.startswith("_")
        and member.__module__ == f"adit_core.services.{module.name}"
        and next(iter(inspect.signature(member).parameters), "") == "db"
    }


FOR_EVERYBODY = frozenset(
    {
        "announcements.current_announcements",
        "maintenance.maintenance_now",
        "sessions.find_active_principal",
        "sessions.find_principal",
    }
)
"""What pages show or ask before they know who somebody is."""

OF_THE_USER = {
    (
        "views/user_links.py",
        "identities.list_identities",
    ): "of the user of the page, or below a page of staff",
    ("views/explorer_images.py", "nodes.get_node"): "the user's right to the node is asked for next",
}


def test_pages_call_what_is_in_the_table_or_are_of_staff_only() -> None:
    pages = _Pages()
    listed = {line.service for line in LINES.values()} | NOT_IN_THE_TABLE.keys() | FOR_EVERYBODY
    listed |= {name for name in _services() if name.startswith("rights.")}
    open_to_all = {
        (page, service)
        for page, services in pages.services.items()
        for service in services - listed
        if not pages.is_of_staff(page)
    }
    assert open_to_all - OF_THE_USER.keys() == set()
    assert {"views/users.py", "views/node_forms.py"} <= {
        page for page in pages.services if pages.is_of_staff(page)
    }


def test_pages_and_routes_say_who_acts() -> None:
    """What is not told an actor believes that a program of the administrator calls it."""
    acting = {
        name.partition(".")[2]
        for name, function in _services().items()
        if "actor" in inspect.signature(function).parameters
    }
    silent = [
        f"{path.relative_to(_ROOT)}:{call.lineno}"
        for folder in ("ui", "adit_core/api")
        for path in (_ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and _name_of(call.func) in acting - {"create_token", "list_events", "revoke_token"}
        and "actor" not in {keyword.arg for keyword in call.keywords}
        and not _is_our_own(path, call)
    ]
    assert silent == []


def _name_of(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _is_our_own(path: Path, call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and f"def {call.func.id}(" in path.read_text(encoding="utf-8")


class _Pages:
    """The modules of the dashboard: which of them import which, and what services they name."""

    def __init__(self) -> None:
        self._folder = _ROOT / "ui"
        trees = {
            path.relative_to(self._folder).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
            for path in self._folder.rglob("*.py")
        }
        self.services = {page: frozenset(self._services_in(tree)) for page, tree in trees.items()}
        self._importers: dict[str, set[str]] = {page: set() for page in trees}
        for page, tree in trees.items():
            for imported in self._pages_in(tree):
                self._importers.get(imported, set()).add(page)
        self._asking = {page for page, tree in trees.items() if self._asks_first(tree)}

    def is_of_staff(self, page: str) -> bool:
        """Tell whether a module is shown to staff only: it asks first of all, or all that import it do."""
        importers = self._importers[page]
        return page in self._asking or (bool(importers) and all(map(self.is_of_staff, importers)))

    @staticmethod
    def _asks_first(tree: ast.Module) -> bool:
        shows = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "show"]
        return any(ast.unparse(show.body[1]) == "require_staff(principal.user)" for show in shows)

    @staticmethod
    def _pages_in(tree: ast.Module) -> Iterator[str]:
        for each in ast.walk(tree):
            if isinstance(each, ast.ImportFrom) and each.module and each.module.split(".")[0] == "ui":
                folder = "/".join(each.module.split(".")[1:])
                yield f"{folder}.py"
                yield from (f"{folder}/{name.name}.py".lstrip("/") for name in each.names)

    def _services_in(self, tree: ast.Module) -> Iterator[str]:
        for each in ast.walk(tree):
            if isinstance(each, ast.ImportFrom) and (each.module or "").startswith("adit_core.services"):
                module = importlib.import_module(each.module or "")
                for name in each.names:
                    yield from self._named(getattr(module, name.name), tree, name.asname or name.name)

    @staticmethod
    def _named(imported: Any, tree: ast.Module, name: str) -> Iterator[str]:
        """Yield the services that a name stands for: one, some by their actions, or those of a module."""
        known = {function: service for service, function in _services().items()}
        attributes = {
            each.attr
            for each in ast.walk(tree)
            if isinstance(each, ast.Attribute) and getattr(each.value, "id", "") == name
        }
        values = imported.values() if isinstance(imported, Mapping) else [imported]
        if inspect.ismodule(imported):
            values = [getattr(imported, attribute) for attribute in attributes]
        yield from (known[value] for value in values if inspect.isfunction(value) and value in known)
