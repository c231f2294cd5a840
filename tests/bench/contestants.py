"""The ways to move studies from one archive to another that are compared, on the same studies.

DCMTK's tools are run as a user would run them, `getscu` into a folder and `storescu` from it, study by
study. Plain pynetdicom does the same in this process. Each way returns when everything is delivered;
that it was, is checked afterwards by comparing what the archives hold.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.presentation import build_context

from adit_core.db import JobStatus
from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import ServerNode
from adit_core.dicom.transfer import transfer_study
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import JobView, show_job
from adit_core.services.routes import open_route
from adit_core.services.submit import submit_batch_transfer
from deployments.demo.studies import StudySpec
from tests.factories import study_reference
from tests.stack import RunningStack

_DCMTK = {**os.environ, "TCP_NODELAY": "1"}
_POLL = 0.1
_STUDY_ROOT_GET = UID("1.2.840.10008.5.1.4.1.2.2.3")


def by_dcmtk(studies: Sequence[StudySpec], source: ServerNode, destination: ServerNode) -> None:
    """Move studies by getscu and storescu, both without Nagle's delay."""
    for study in studies:
        with tempfile.TemporaryDirectory() as folder:
            keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study.study_instance_uid}")
            options = [part for key in keys for part in ("-k", key)]
            _run("getscu", "-S", *_titles(source), *options, "-od", folder, source.host, str(source.port))
            address = (destination.host, str(destination.port))
            _run("storescu", *_titles(destination), *address, "+sd", folder)


def by_pynetdicom(studies: Sequence[StudySpec], source: ServerNode, destination: ServerNode) -> None:
    """Move CT studies by pynetdicom as its documentation shows it."""
    for study in studies:
        with tempfile.TemporaryDirectory() as folder:
            _get(study, source, Path(folder))
            _store(Path(folder), destination)


def by_core(studies: Sequence[StudySpec], source: ServerNode, destination: ServerNode) -> None:
    """Move studies by ADIT's core alone, one after the other: no database, no Prefect."""
    for study in studies:
        with open_route(source, destination) as route:
            outcome = transfer_study(route, study_reference(study), Selection())
        assert outcome.is_complete, outcome.message()


def by_job(adit: RunningStack, studies: Sequence[StudySpec], source: str, destination: str) -> JobView:
    """Move studies by a job, from its submission to its end."""
    rows = tuple(
        BatchStudy(study.patient_id, study.study_instance_uid, (), "", (row,))
        for row, study in enumerate(studies, 2)
    )
    job_id = submit_batch_transfer(
        adit.db,
        adit.launcher,
        owner_id=adit.user.id,
        source=source,
        destination=destination,
        batch=BatchFile(rows),
    )
    while (job := show_job(adit.db, adit.user, job_id)).status in OPEN_JOBS:
        time.sleep(_POLL)
    assert job.status is JobStatus.SUCCESS, job.message
    return job


def _titles(node: ServerNode) -> tuple[str, ...]:
    return ("-aet", node.calling_ae_title, "-aec", node.ae_title)


def _run(*command: str) -> None:
    subprocess.run(command, env=_DCMTK, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _get(study: StudySpec, node: ServerNode, folder: Path) -> None:
    def keep(event: evt.Event) -> int:
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        data_set.save_as(folder / data_set.SOPInstanceUID, enforce_file_format=True)
        return 0x0000

    ae = AE(ae_title=node.calling_ae_title)
    ae.add_requested_context(_STUDY_ROOT_GET)
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyInstanceUID = study.study_instance_uid
    association = ae.associate(
        node.host,
        node.port,
        ae_title=node.ae_title,
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert association.is_established
    for _ in association.send_c_get(keys, _STUDY_ROOT_GET):
        pass
    association.release()


def _store(folder: Path, node: ServerNode) -> None:
    ae = AE(ae_title=node.calling_ae_title)
    ae.requested_contexts = [build_context(CTImageStorage, ExplicitVRLittleEndian)]
    association = ae.associate(node.host, node.port, ae_title=node.ae_title)
    assert association.is_established
    for path in folder.iterdir():
        assert association.send_c_store(path).Status == 0x0000
    association.release()
