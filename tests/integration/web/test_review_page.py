"""The page Review: reviewers look at what is held back, blank it, and decide."""

from pathlib import Path

import pytest

from adit_core.db import HeldInstance, Permission, ReviewStatus, User
from adit_core.deid.pixels.regions import Rectangle
from adit_core.services.projects import set_project_access
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.factories import instance_result, series_reference, study
from tests.look_pages import component_data, open_review, tables
from tests.projects import Way, files_below, make_project
from tests.rows import load, make_folder, make_group, make_user
from tests.web_pages import Dashboard, buttons, components, press, said

CAPTURES = study(SeriesSpec(Form.SECONDARY_CAPTURE, 2, "Measurements", 32, 48), key="held captures")

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # the service is tested on both


@pytest.fixture
def way(dashboard: Dashboard, tmp_path: Path) -> Way:
    """A transfer of two images, both of which are held back as if it had been tried."""
    (tmp_path / "arrivals").mkdir()
    write_study(CAPTURES, tmp_path / "studies")
    db = dashboard.db
    source = make_folder(db, "Studies", path=str(tmp_path / "studies"))
    destination = make_folder(db, "Arrivals", path=str(tmp_path / "arrivals"))
    staff = make_user(db, "root", staff=True)
    way = Way(db, staff, source, destination, make_project(db), dashboard.launcher)
    way.submit(CAPTURES)
    series = series_reference(CAPTURES, 0).series_instance_uid
    with db.session() as session:
        session.add_all(
            HeldInstance(
                task_id=1,
                series_instance_uid=series,
                sop_instance_uid=instance_result(CAPTURES, 0, number).reference.sop_instance_uid,
                reason="possible burned-in text: secondary capture",
            )
            for number in range(2)
        )
        session.commit()
    return way


@pytest.fixture
def reviewer(way: Way) -> User:
    """A member of a group that reviews for the project."""
    user = make_user(way.db, "rita")
    group = make_group(way.db, user, permissions=(Permission.REVIEW_HELD_INSTANCES,))
    set_project_access(way.db, group.name, way.project.name, allowed=True)
    return user


def test_who_is_no_reviewer_sees_nothing(dashboard: Dashboard, way: Way):
    for query in ({}, {"image": "1"}):
        page = open_review(dashboard, make_user(way.db, f"eve{len(query)}"), **query)

        assert "You lack the permission to review held instances." in said(page)
        assert not components(page)


def test_held_images_are_listed_by_job(dashboard: Dashboard, way: Way, reviewer: User):
    held = tables(open_review(dashboard, reviewer))["Images that are held back"]

    assert [row[:3] for row in held] == [["1", "Held", "1"], ["2", "Held", "1"]]
    assert held[0][5].startswith("possible burned-in text")
    assert not tables(open_review(dashboard, reviewer, job="7"))


def test_an_image_is_released_with_the_regions_that_were_entered(
    dashboard: Dashboard, way: Way, reviewer: User, tmp_path: Path
):
    page = open_review(dashboard, reviewer, image="1")
    told = component_data(page, "regions")
    assert (told["rows"], told["columns"], told["regions"]) == (32, 48, [])

    page.number_input("height-1").set_value(8)
    press(page, "Add region")
    assert component_data(page, "regions")["regions"] == [[0, 0, 48, 8]]
    page.toggle("preview-1").set_value(True).run()
    assert len(page.get("image")) == 1
    press(page, "Release, 1 region blanked")
    press(page, "Release")

    first, second = (load(way.db, HeldInstance, number) for number in (1, 2))
    assert (first.status, first.blanked) == (ReviewStatus.RELEASED, (Rectangle(0, 0, 48, 8),))
    assert (second.status, page.query_params["image"]) == (ReviewStatus.HELD, "2")
    way.run(1)
    (made,) = files_below(tmp_path / "arrivals")
    assert not made.pixel_array[:8].any()
    assert made.pixel_array[8:].any()


def test_all_images_of_a_series_are_rejected_at_once(dashboard: Dashboard, way: Way, reviewer: User):
    page = open_review(dashboard, reviewer, image="1")
    page.radio[0].set_value("All held images of its series")
    press(page, "Reject")
    assert load(way.db, HeldInstance, 1).status is ReviewStatus.HELD, "nothing is done without a confirmation"
    page.button("confirm").click().run()

    assert {load(way.db, HeldInstance, number).status for number in (1, 2)} == {ReviewStatus.REJECTED}
    assert "image" not in page.query_params


def test_what_was_released_cannot_be_decided_again(dashboard: Dashboard, way: Way, reviewer: User):
    page = press(open_review(dashboard, reviewer, image="1"), "Release as it is")
    page.button("confirm").click().run()

    assert not {"Release as it is", "Reject"} & buttons(open_review(dashboard, reviewer, image="1"))
    page = open_review(dashboard, reviewer, image="99")
    assert "There is no image 99 that you may review." in said(page)
