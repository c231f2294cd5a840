"""Projects, who was who in them, and held images, through the API."""

from pathlib import Path
from typing import Any

import pytest

from adit_core.db import Permission, TokenScope, User
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.api import Api
from tests.factories import study
from tests.projects import files_below
from tests.queries import perform
from tests.rows import make_folder, make_group

SCAN = study(
    SeriesSpec(Form.CT, 2, "Axial", 16, 16),
    SeriesSpec(Form.US_CINE, 1, "Cine", 24, 32, frames=2),
    patient_id="PID4711",
    key="pseudonyms by api",
)


@pytest.fixture
def folders(api: Api, staff: User, tmp_path: Path) -> Api:
    """Two folders, one with a study, and a project."""
    write_study(SCAN, tmp_path / "studies")
    (tmp_path / "arrivals").mkdir()
    make_folder(api.db, "PACS", path=str(tmp_path / "studies"))
    make_folder(api.db, "Export", path=str(tmp_path / "arrivals"))
    api.caller(staff).json("POST", "/v1/projects", json={"name": "Trial", "trial_protocol_id": "T1"})
    return api


def order(pseudonym: str = "ANON1", **changes: Any) -> dict[str, Any]:
    row = {"PatientID": SCAN.patient_id, "StudyInstanceUID": SCAN.study_instance_uid, "Pseudonym": pseudonym}
    return {"source": "PACS", "destination": "Export", "project": "Trial", "rows": [row], **changes}


def test_projects_are_administered_by_staff_and_listed_for_those_who_may_use_them(
    api: Api, ada: User, staff: User
):
    caller = api.caller(staff)
    added = caller.json("POST", "/v1/projects", json={"name": "Trial", "pseudonyms": "random"})
    assert (added["name"], added["profile"]["name"], added["pseudonyms"]) == ("Trial", "research", "random")
    assert "secret" not in added
    changed = caller.json("PATCH", "/v1/projects/Trial", json={"profile": "adit-compatible"})
    assert (changed["profile"]["name"], changed["pseudonyms"]) == ("adit-compatible", "random")

    assert api.caller(ada).json("GET", "/v1/projects") == []
    group = make_group(api.db, ada)
    assert caller.send("PUT", f"/v1/projects/Trial/groups/{group.name}").status_code == 204
    assert [one["name"] for one in api.caller(ada).json("GET", "/v1/projects")] == ["Trial"]
    assert caller.send("DELETE", f"/v1/projects/Trial/groups/{group.name}").status_code == 204
    assert api.caller(ada).json("GET", "/v1/projects") == []

    assert api.caller(ada).problem("POST", "/v1/projects", json={"name": "B"})["status"] == 403
    problem = caller.problem("POST", "/v1/projects", json={"name": "B", "profile": "nonsense"})
    assert problem["errors"][0]["field"] == "profile"
    assert caller.problem("POST", "/v1/projects", json={"name": "Trial"})["errors"][0]["field"] == "name"
    assert caller.problem("PATCH", "/v1/projects/Other", json={})["status"] == 404
    assert caller.send("DELETE", "/v1/projects/Trial").status_code == 204


def test_a_batch_is_pseudonymized_and_who_was_who_is_told_to_those_with_the_right(
    folders: Api, ada: User, staff: User, tmp_path: Path
):
    caller = folders.caller(staff)
    problem = caller.problem("POST", "/v1/jobs/batch", json=order(project=""))
    assert [(one["row"], one["field"]) for one in problem["errors"]] == [(2, "Pseudonym")]
    preview = caller.json("POST", "/v1/jobs/batch/preview", json=order())
    assert preview["studies"][0]["series"]

    job = caller.json("POST", "/v1/jobs/batch", json=order())
    perform(folders.db, job["id"])
    assert {made.PatientID for made in files_below(tmp_path / "arrivals")} == {"ANON1"}
    problem = caller.problem("POST", "/v1/jobs/batch/validate", json=order("ANON2"))
    assert "another pseudonym" in problem["errors"][0]["message"]

    (found,) = caller.json("POST", "/v1/projects/Trial/links/search", json={"term": "ANON1"})
    assert found["patient_id"] == SCAN.patient_id
    assert found["studies"][0]["study_instance_uid"] == SCAN.study_instance_uid
    exported = caller.get("/v1/projects/Trial/links/export")
    assert SCAN.patient_id in exported.text
    assert folders.caller(ada).problem("GET", "/v1/projects/Trial/links/export")["status"] == 403
    make_group(folders.db, ada, permissions=(Permission.VIEW_LINK_TABLE,))
    assert folders.caller(ada).problem("GET", "/v1/projects/Trial/links/export")["status"] == 403
    everybody = {"pseudonyms": None}
    assert caller.json("POST", "/v1/projects/Trial/links/delete", json=everybody) == {"patients": 1}
    assert caller.json("POST", "/v1/projects/Trial/links/search", json={"term": "ANON1"}) == []


def test_a_dry_run_tells_each_attribute(folders: Api, ada: User, staff: User):
    wanted = {
        "source": "PACS",
        "patient_id": SCAN.patient_id,
        "study_instance_uid": SCAN.study_instance_uid,
    }
    found = folders.caller(staff).json("POST", "/v1/projects/Trial/dry-run", json=wanted)
    assert {series["modality"] for series in found} == {"CT", "US"}
    changes = {change["path"]: change for series in found for change in series["changes"]}
    assert changes["PatientID"]["before"] == SCAN.patient_id
    assert changes["PatientID"]["after"] != SCAN.patient_id
    assert folders.caller(ada).problem("POST", "/v1/projects/Trial/dry-run", json=wanted)["status"] == 403


def test_held_images_are_looked_at_released_and_rejected(
    folders: Api, ada: User, staff: User, tmp_path: Path
):
    caller = folders.caller(staff)
    job = caller.json("POST", "/v1/jobs/batch", json=order())
    perform(folders.db, job["id"])
    (held,) = caller.json("GET", "/v1/held")["items"]
    assert held["job_id"] == job["id"]
    picture = caller.get(f"/v1/held/{held['id']}/picture", params={"frame": 2})
    assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", b"\x89PNG")
    assert caller.problem("GET", f"/v1/held/{held['id']}/picture", params={"frame": 3})["status"] == 404

    for asked in (("GET", "/v1/held"), ("GET", f"/v1/held/{held['id']}/picture")):
        assert folders.caller(ada).problem(*asked)["status"] == 403
    reader = folders.caller(staff, TokenScope.READ)
    assert reader.problem("POST", "/v1/held/release", json={"ids": [held["id"]]})["status"] == 403

    region = {"left": 0, "top": 0, "width": 32, "height": 8}
    release = {"ids": [held["id"]], "blank": [region]}
    assert caller.post("/v1/held/release", release).status_code == 204
    assert caller.problem("POST", "/v1/held/reject", json={"ids": [held["id"]]})["status"] == 409
    perform(folders.db, job["id"])
    (cine,) = [made for made in files_below(tmp_path / "arrivals") if made.Modality == "US"]
    assert not cine.pixel_array[:, :8].any()
    assert caller.problem("POST", "/v1/held/reject", json={"ids": [999]})["status"] == 404
