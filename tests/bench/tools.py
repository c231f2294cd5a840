"""DCMTK's tools and plain pynetdicom, run as their users run them; what ADIT is measured against."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.presentation import build_context

from adit_core.dicom.node import ServerNode
from deployments.demo.studies import StudySpec

NO_DELAY: Mapping[str, str] = {**os.environ, "TCP_NODELAY": "1"}
"""For DCMTK's tools: without Nagle's delay, which is not their default."""
DEFAULT: Mapping[str, str] = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
_STUDY_ROOT_GET = UID("1.2.840.10008.5.1.4.1.2.2.3")


def getscu(
    studies: Iterable[StudySpec], node: ServerNode, folder: Path, environment: Mapping[str, str] = NO_DELAY
) -> None:
    """Retrieve studies into a folder by C-GET, one association for each."""
    for study in studies:
        options = ("-S", *_titles(node), *_keys(study), "-od", folder)
        _run(environment, "getscu", *options, node.host, node.port)


def movescu(
    studies: Iterable[StudySpec], node: ServerNode, destination: str, environment: Mapping[str, str]
) -> None:
    """Have studies sent to an AE title by C-MOVE, one association for each."""
    for study in studies:
        options = ("-S", *_titles(node), "-aem", destination, *_keys(study))
        _run(environment, "movescu", *options, node.host, node.port)


def storescu(folders: Iterable[Path], node: ServerNode, environment: Mapping[str, str] = NO_DELAY) -> None:
    """Store what is in folders, one association for each."""
    for folder in folders:
        _run(environment, "storescu", *_titles(node), node.host, node.port, "+sd", folder)


def findscu(study: StudySpec, node: ServerNode) -> None:
    """Ask for one study by its accession number, over an association of its own."""
    keys = ("QueryRetrieveLevel=STUDY", f"AccessionNumber={study.accession_number}", "StudyInstanceUID")
    options = [part for key in keys for part in ("-k", key)]
    _run(NO_DELAY, "findscu", "-S", *_titles(node), *options, node.host, node.port)


def getscu_and_storescu(studies: Iterable[StudySpec], source: ServerNode, destination: ServerNode) -> None:
    """Move studies from archive to archive, one after the other, by way of a folder."""
    for study in studies:
        with temporary_folder() as folder:
            getscu([study], source, folder)
            storescu([folder], destination)


def pynetdicom(studies: Iterable[StudySpec], source: ServerNode, destination: ServerNode) -> None:
    """Move CT studies by pynetdicom as its documentation shows it."""
    for study in studies:
        with temporary_folder() as folder:
            _get(study, source, folder)
            _store(folder, destination)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="adit-bench-") as name:
        yield Path(name)


def _titles(node: ServerNode) -> Sequence[str]:
    return ("-aet", node.calling_ae_title, "-aec", node.ae_title)


def _keys(study: StudySpec) -> Sequence[str]:
    return ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.study_instance_uid}")


def _run(environment: Mapping[str, str], *command: object) -> None:
    subprocess.run(
        list(map(str, command)),
        env=environment,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


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
