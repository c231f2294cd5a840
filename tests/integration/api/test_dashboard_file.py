"""What Grafana and Prometheus are set up to ask for is what ``/metrics`` tells."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from adit_core.db import JobKind, JobStatus, TaskStatus, User
from tests.compose import ROOT
from tests.integration.api.conftest import Api
from tests.rows import make_job

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deployments/grafana/adit.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "deployments/prometheus/alerts.yml").read_text())
EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]),
]
NAME = re.compile(r"\badit_\w+")
SELECTOR = re.compile(r"(adit_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
WORDS = {
    "kind": {*JobKind},
    "status": {*JobStatus, *TaskStatus},
    "outcome": {"planned", "delivered", "filtered", "failed"},
}


@pytest.fixture
def labels(api: Api, ada: User, staff: User) -> dict[str, set[str]]:
    """The labels of each metric that the process exposes."""
    make_job(api.db, 1, ada)
    text = api.caller(staff).get("/metrics").text
    return {
        family.name: {name for sample in family.samples for name in sample.labels}
        for family in text_string_to_metric_families(text)
    }


def test_each_metric_that_is_asked_for_is_exposed(labels: dict[str, set[str]]) -> None:
    asked = {name for expression in EXPRESSIONS for name in NAME.findall(expression)}
    assert asked
    assert asked <= labels.keys()


def test_each_label_that_is_asked_for_is_exposed(labels: dict[str, set[str]]) -> None:
    assert all(name in labels[metric] for metric, name, _ in _matchers())


def test_each_value_that_is_asked_for_can_occur() -> None:
    for _, name, values in _matchers():
        assert set(values.split("|")) <= WORDS[name]


def _matchers() -> Iterator[tuple[str, str, str]]:
    for expression in EXPRESSIONS:
        for metric, matchers in SELECTOR.findall(expression):
            for name, values in MATCHER.findall(matchers):
                yield metric, name, values


def test_every_panel_says_what_it_shows() -> None:
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
