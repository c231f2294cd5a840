"""Searching a real archive through the API."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, NodeHealth, Study, User
from adit_core.db.columns import utc_now
from deployments.demo.studies import write_study
from tests.api import Api, ApiCaller
from tests.factories import ct_study
from tests.rows import allow, make_group, make_server
from tests.servers import OrthancServer

pytestmark = pytest.mark.system

HEAD = ct_study(2, key="head", patient_id="P1", accession_number="A1")
FOOT = ct_study(1, key="foot", patient_id="P2", accession_number="A2")


@pytest.fixture
def caller(api: Api, ada: User, orthanc_source: OrthancServer, tmp_path: Path) -> ApiCaller:
    """A program of Ada, who may search an archive with two studies."""
    archive = orthanc_source.archive
    archive.load(file for spec in (HEAD, FOOT) for file in write_study(spec, tmp_path / "studies"))
    pacs = make_server(api.db, "PACS", ae_title=archive.node.ae_title, port=archive.node.port)
    make_server(api.db, "OTHER")
    allow(api.db, make_group(api.db, ada), pacs, as_source=True)
    return api.caller(ada)


def test_every_level_is_searched(caller: ApiCaller):
    patients = caller.json("POST", "/v1/search/patients", json={"node": "PACS", "patient_id": "P1"})
    studies = caller.json("POST", "/v1/search/studies", json={"node": "PACS", "accession_number": "A*"})
    study = {"node": "PACS", "study_instance_uid": HEAD.study_instance_uid}
    (series,) = caller.json("POST", "/v1/search/series", json=study)
    of_series = {**study, "series_instance_uid": series["series_instance_uid"]}
    instances = caller.json("POST", "/v1/search/instances", json=of_series)

    assert [patient["patient_id"] for patient in patients] == ["P1"]
    assert {study["study_instance_uid"] for study in studies} == {
        HEAD.study_instance_uid,
        FOOT.study_instance_uid,
    }
    assert (series["modality"], series["number_of_instances"]) == ("CT", 2)
    assert len({instance["sop_instance_uid"] for instance in instances}) == 2


def test_what_was_told_is_found_again_without_the_archive(
    api: Api, caller: ApiCaller, orthanc_source: OrthancServer
):
    caller.json("POST", "/v1/search/studies", json={"node": "PACS"})
    study = {"node": "PACS", "study_instance_uid": HEAD.study_instance_uid}
    fresh = caller.json("POST", "/v1/search/series", json=study)
    (fresh_patient,) = caller.json("POST", "/v1/search/patients", json={"node": "PACS", "patient_id": "P1"})
    orthanc_source.clear()

    wanted = {"node": "PACS", "max_age": 3600, "modalities": ["CT"], "patient_id": "p1"}
    (found,) = caller.json("POST", "/v1/search/remembered/studies", json=wanted)
    series = caller.json("POST", "/v1/search/remembered/series", json={**study, "max_age": 3600})
    one = {"node": "PACS", "max_age": 3600, "patient_id": "p1"}
    (patient,) = caller.json("POST", "/v1/search/remembered/patients", json=one)

    assert found["study_instance_uid"] == HEAD.study_instance_uid
    assert series == fresh
    assert patient == fresh_patient
    with api.db.session() as session:
        for row in session.exec(select(Study)):
            row.fetched_at -= timedelta(hours=2)
        session.commit()
    assert caller.json("POST", "/v1/search/remembered/studies", json=wanted) == []
    with api.db.reading() as session:
        levels = [event.details.get("level") for event in session.exec(select(AuditEvent))]
    assert {"remembered studies", "remembered series", "remembered patients"} <= set(levels)


def test_a_patient_of_several_remembered_studies_is_told_once(
    api: Api, caller: ApiCaller, orthanc_source: OrthancServer, tmp_path: Path
):
    again = ct_study(1, key="search again", patient_id="P1")
    orthanc_source.archive.load(write_study(again, tmp_path / "again"))
    studies = caller.json("POST", "/v1/search/studies", json={"node": "PACS"})
    wanted = {"node": "PACS", "max_age": 3600}

    patients = caller.json("POST", "/v1/search/remembered/patients", json=wanted)

    assert [study["patient_id"] for study in studies].count("P1") == 2
    assert len(patients) == len({tuple(patient.values()) for patient in patients})
    assert {patient["patient_id"] for patient in patients} == {study["patient_id"] for study in studies}
    for level in ("patients", "studies"):
        assert len(caller.json("POST", f"/v1/search/remembered/{level}", json={**wanted, "limit": 1})) == 1


def test_instances_are_not_remembered_and_that_is_said(caller: ApiCaller):
    wanted = {"node": "PACS", "study_instance_uid": "1.2", "series_instance_uid": "1.3", "max_age": 60}

    problem = caller.problem("POST", "/v1/search/instances", json=wanted)

    assert [error["field"] for error in problem["errors"]] == ["max_age"]
    assert problem["status"] == 422


@pytest.mark.parametrize("level", ["patients", "studies", "remembered/patients", "remembered/studies"])
def test_an_archive_that_one_may_not_use_is_not_searched(caller: ApiCaller, level: str):
    wanted = {"max_age": 60} if "remembered" in level else {}

    assert caller.problem("POST", f"/v1/search/{level}", json={"node": "OTHER", **wanted})["status"] == 403
    assert caller.problem("POST", f"/v1/search/{level}", json={"node": "NONE", **wanted})["status"] == 404


@pytest.mark.parametrize(
    ("level", "wanted", "field"),
    [
        ("studies", {"study_instance_uid": "1.2.*"}, "study_instance_uid"),
        ("studies", {"study_instance_uid": "1." * 40 + "1"}, "study_instance_uid"),
        ("studies", {"study_date_from": "yesterday"}, "study_date_from"),
        ("studies", {"modalities": ["CT\\MR"]}, "modalities.0"),
        ("studies", {"limit": 0}, "limit"),
        ("studies", {"PatientID": "x"}, "PatientID"),
        ("patients", {"patient_name": "a\\b\x00"}, "patient_name"),
        ("series", {}, "study_instance_uid"),
        ("instances", {"study_instance_uid": "1.2"}, "series_instance_uid"),
    ],
)
def test_keys_that_cannot_be_asked_are_named(caller: ApiCaller, level: str, wanted: dict, field: str):
    problem = caller.problem("POST", f"/v1/search/{level}", json={"node": "PACS", **wanted})

    assert problem["status"] == 422
    assert [error["field"] for error in problem["errors"]] == [field]


def test_an_archive_that_is_paused_is_not_asked(api: Api, caller: ApiCaller):
    with api.db.session() as session:
        until = utc_now() + timedelta(minutes=5)
        session.add(
            NodeHealth(node_id=1, failures=9, failed_at=utc_now(), paused_until=until, message="It failed.")
        )
        session.commit()

    answer = caller.post("/v1/search/studies", {"node": "PACS"})

    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


def test_an_archive_that_does_not_answer_is_a_bad_gateway(api: Api, ada: User, dead_port: int):
    node = make_server(api.db, "DEAD", port=dead_port)
    allow(api.db, make_group(api.db, ada), node, as_source=True)

    problem = api.caller(ada).problem("POST", "/v1/search/studies", json={"node": "DEAD"})

    assert problem["status"] == 502


def test_usable_nodes_are_listed_and_checked(api: Api, caller: ApiCaller):
    nodes = caller.json("GET", "/v1/nodes")

    assert [(node["name"], node["roles"]) for node in nodes] == [("PACS", ["source"])]
    assert nodes[0]["services"] == ["C-FIND", "C-GET", "C-STORE"]
    checked = caller.json("POST", "/v1/nodes/check", json={"node": "PACS"})
    assert (checked["is_good"], checked["server"]["failure"]) == (True, "")
    assert caller.problem("POST", "/v1/nodes/check", json={"node": "OTHER"})["status"] == 403
    probing = {"node": "PACS", "web_url": "http://169.254.169.254/"}
    assert caller.problem("POST", "/v1/nodes/check", json=probing)["status"] == 403
