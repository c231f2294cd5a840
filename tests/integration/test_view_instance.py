"""Looking at single instances: who may, what is shown, and that nothing is left behind."""

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlmodel import select

from adit_core.db import AuditEvent, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.frames import Window
from adit_core.dicom.query import InstanceResult
from adit_core.errors import AditError, InvalidInput, NodeClosed, NotAllowed, StudyNotFound
from adit_core.services.node_policies import change_policy
from adit_core.services.view_instance import ViewedInstance, view_instance
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.factories import ct_study, instance_result, study
from tests.rows import allow, make_folder, make_group, make_user

SCAN = study(
    SeriesSpec(Form.CT, 1, "Axial", 24, 16),
    SeriesSpec(Form.US_CINE, 1, "Cine", 16, 24, frames=3),
    key="viewed",
)

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # which one it is makes no difference here


@pytest.fixture
def ada(database: Database, tmp_path: Path) -> User:
    """A user who may read a folder of one study."""
    write_study(SCAN, tmp_path / "archive")
    user = make_user(database)
    node = make_folder(database, "Archive", path=str(tmp_path / "archive"))
    allow(database, make_group(database, user), node, as_source=True)
    return user


def view(db: Database, user: User, instance: InstanceResult) -> ViewedInstance:
    return view_instance(db, user, "Archive", instance, address="10.0.0.1")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def test_frames_are_rendered_and_the_audit_trail_tells_who_looked(database: Database, ada: User) -> None:
    slice_, cine = (view(database, ada, instance_result(SCAN, series, 0)) for series in (0, 1))

    usual, lung = (pixels(slice_.picture(1, window)) for window in (None, Window(-600, 1500)))
    assert usual.shape == (24, 16)
    assert not np.array_equal(usual, lung)
    assert slice_.has_window
    assert cine.frames is not None
    assert cine.frames.count == 3
    assert not np.array_equal(pixels(cine.picture(1, None)), pixels(cine.picture(3, None)))
    with pytest.raises(InvalidInput, match="There is no frame 4"):
        cine.picture(4, None)
    with database.reading() as session:
        events = session.exec(select(AuditEvent)).all()
    assert [(one.actor, one.action.value, one.object_id, one.address) for one in events] == [
        ("ada", "retrieved", instance_result(SCAN, series, 0).reference.sop_instance_uid, "10.0.0.1")
        for series in (0, 1)
    ]


def stranger(db: Database, ada: User) -> User:
    return make_user(db, "eve")


def while_closed(db: Database, ada: User) -> User:
    yesterday = (utc_now() - timedelta(days=1)).strftime("%a")
    change_policy(db, "Archive", windows=[f"{yesterday} 00:00-00:01"])
    return ada


@pytest.mark.parametrize(
    ("who", "instance", "error"),
    [
        (stranger, instance_result(SCAN, 0, 0), NotAllowed),
        (while_closed, instance_result(SCAN, 0, 0), NodeClosed),
        (lambda _, ada: ada, instance_result(ct_study(key="elsewhere"), 0, 0), StudyNotFound),
    ],
)
def test_nothing_is_shown_to_who_may_not_or_of_what_is_not_there(
    database: Database,
    ada: User,
    who: Callable[[Database, User], User],
    instance: InstanceResult,
    error: type[AditError],
) -> None:
    with pytest.raises(error):
        view(database, who(database, ada), instance)
