"""An instance that cannot be de-identified: it stays here, and the others of its study leave."""

import pytest
from pydicom import dcmread

from adit_core.db import JobStatus
from adit_core.deid.engine import Deidentifier
from adit_core.deid.subject import Subject
from adit_core.services.projects import add_project, deid_project
from tests.factories import dataset_hash
from tests.faults.outcome import Record, assert_whole
from tests.faults.scene import INSTANCES, Stage

pytestmark = pytest.mark.system


@pytest.mark.fault("an instance of a pseudonymized study names another patient")
def test_an_instance_of_another_patient_stays_and_the_others_leave(stage: Stage, record: Record) -> None:
    adit = stage.adit
    project = add_project(adit.db, "Faults")
    (spec,), _ = stage.write()
    engine = Deidentifier(deid_project(adit.db.keyring, project), Subject(spec.patient_id, "ANON"))
    first, *others = stage.files([spec])
    stranger = dcmread(first)
    stranger.PatientID = "SOMEBODY ELSE"
    stranger.save_as(first)
    made = [engine.deidentify(dcmread(path)) for path in others]
    leaving = {instance.SOPInstanceUID: dataset_hash(instance) for instance in made}

    scene = stage.scene_from_folder(spec, {spec.study_instance_uid: leaving})
    scene.deliver_to_folder(stage.folder / "pseudonymized")
    transfer = scene.submit(project="Faults", pseudonym="ANON")

    outcome = assert_whole(transfer)
    record(outcome)
    assert (outcome.status, outcome.attempts) == (JobStatus.FAILURE, 1)
    assert (outcome.delivered, outcome.failed) == (INSTANCES - 1, 1)
    assert transfer.arrived() == leaving
