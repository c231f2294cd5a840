"""pynetdicom as the oracle: as a user of the same archive, it finds, gets and stores the same as we do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from adit_core.dicom.contexts import ProposedContext, message_proposals, storage_proposals
from adit_core.dicom.dimse import DimseDestination, DimseSearcher, DimseSource
from adit_core.dicom.node import ServerNode
from adit_core.dicom.part10 import read_file_layout
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.query import SeriesQuery, StudyQuery
from adit_core.errors import AditError
from deployments.demo.archives import CALLING_AE_TITLE
from deployments.demo.studies import StudySpec, write_study
from tests.factories import mixed_studies, request_for_study, study_reference
from tests.fakes.lost_responses import answered, patiently
from tests.fakes.ports import MemoryInstance, RecordingInlet
from tests.servers import FileArchive, OrthancServer

pytestmark = pytest.mark.system

STUDIES = mixed_studies(8)
FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"

Answers = tuple[set[tuple[str, ...]], int]
"""What was found, and the status at the end."""


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> ServerNode:
    """An archive that holds the studies."""
    fixture = {"orthanc": "orthanc_source", "dcmqrscp": "dcmqrscp"}[request.param]
    server: OrthancServer | FileArchive = request.getfixturevalue(fixture)
    for spec in STUDIES:
        server.archive.load(write_study(spec, tmp_path / "studies"))
    return server.archive.node


@contextmanager
def oracle(
    node: ServerNode,
    proposals: Iterable[ProposedContext],
    *,
    provided: Iterable[str] = (),
    taken: dict[InstanceHeader, bytes] | None = None,
) -> Iterator[Association]:
    """Open an association of pynetdicom, which proposes the same, and takes in what is sent to it."""

    def store(event: Event) -> int:
        request: Any = event.request
        header = InstanceHeader(
            request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, event.context.transfer_syntax
        )
        assert taken is not None
        taken[header] = event.encoded_dataset(include_meta=False)
        return 0x0000

    entity = AE(CALLING_AE_TITLE)
    for proposal in proposals:
        entity.add_requested_context(proposal.sop_class_uid, proposal.transfer_syntax_uid)
    association = entity.associate(
        node.host,
        node.port,
        ae_title=node.ae_title,
        ext_neg=[build_role(sop_class, scp_role=True) for sop_class in provided],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def found_by_oracle(node: ServerNode, keys: dict[str, str], wanted: str) -> Answers:
    query = Dataset()
    for keyword, value in {**keys, wanted: ""}.items():
        setattr(query, keyword, value)

    def find() -> Answers:
        found, final = set(), -1
        with oracle(node, message_proposals(FIND)) as association:
            for status, answer in association.send_c_find(query, FIND):
                final = answered(status).Status
                if answer is not None:
                    found.add(str(answer[wanted].value))
        return found, final

    return patiently(find)


def got_by_oracle(node: ServerNode, spec: StudySpec) -> tuple[dict[InstanceHeader, bytes], int]:
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", spec.study_instance_uid
    classes = sorted({series.form.sop_class_uid for series in spec.series})
    proposals = [*message_proposals(GET), *storage_proposals(classes)]

    def get() -> tuple[dict[InstanceHeader, bytes], int]:
        taken: dict[InstanceHeader, bytes] = {}
        with oracle(node, proposals, provided=classes, taken=taken) as association:
            *_, (status, _) = association.send_c_get(query, GET)
        return taken, answered(status).Status

    return patiently(get)


def test_the_same_is_found_at_each_level(archive: ServerNode) -> None:
    with DimseSearcher(archive) as searcher:
        studies = {each.reference.study_instance_uid for each in searcher.find_studies(StudyQuery())}
        assert (studies, 0) == found_by_oracle(archive, {"QueryRetrieveLevel": "STUDY"}, "StudyInstanceUID")
        assert studies == {spec.study_instance_uid for spec in STUDIES}
        for spec in STUDIES:
            of_study = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": spec.study_instance_uid}
            references = [each.reference for each in searcher.find_series(SeriesQuery(study_reference(spec)))]
            series = {each.series_instance_uid for each in references}
            assert (series, 0) == found_by_oracle(archive, of_study, "SeriesInstanceUID")
            for reference in references:
                of_series = {**of_study, "QueryRetrieveLevel": "IMAGE"}
                of_series["SeriesInstanceUID"] = reference.series_instance_uid
                instances = {each.reference.sop_instance_uid for each in searcher.find_instances(reference)}
                assert (instances, 0) == found_by_oracle(archive, of_series, "SOPInstanceUID")


def test_the_same_bytes_are_sent_for_each_study(archive: ServerNode) -> None:
    compared = 0
    for spec in STUDIES:
        theirs, status = got_by_oracle(archive, spec)
        inlet = RecordingInlet()
        with DimseSource(archive) as source:
            source.retrieve(request_for_study(spec), inlet)
        # What an archive did not send at once, we ask for again; pynetdicom does not.
        ours = inlet.complete if status == 0 else {key: inlet.complete[key] for key in theirs}
        assert ours == theirs
        compared += len(theirs)
    assert compared > len(STUDIES)


def test_a_study_that_nobody_has_ends_the_same_way(archive: ServerNode) -> None:
    nobodys = mixed_studies(9)[8]
    theirs, status = got_by_oracle(archive, nobodys)
    said = 0
    inlet = RecordingInlet()
    with DimseSource(archive) as source:
        try:
            source.retrieve(request_for_study(nobodys), inlet)
        except AditError as error:
            said = int(str(error).partition("status 0x")[2][:4], 16)
    assert (inlet.complete, said) == (theirs, status) == ({}, status)


def test_the_same_is_stored_and_the_same_is_refused(
    orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    files = [path for spec in STUDIES for path in write_study(spec, tmp_path / "studies")]
    unusable = tmp_path / "unusable.dcm"
    data_set = dcmread(files[0])
    del data_set.StudyInstanceUID
    data_set.save_as(unusable)
    node = orthanc_destination.archive.node

    with DimseDestination(node) as destination:
        deliveries = list(destination.deliver(map(instance_in, files)))
        [refused] = destination.deliver([instance_in(unusable)])
    ours = orthanc_destination.contents()
    orthanc_destination.clear()

    headers = [instance_in(path).header for path in files]
    proposals = dict.fromkeys(
        ProposedContext(each.sop_class_uid, each.transfer_syntax_uid) for each in headers
    )

    def store() -> list[int]:
        with oracle(node, proposals) as association:
            return [answered(association.send_c_store(path)).Status for path in [*files, unusable]]

    *statuses, refusal = patiently(store)
    assert orthanc_destination.contents() == ours
    assert len(ours) == len(files)
    assert [delivery.failure for delivery in deliveries] == [""] * len(files)
    assert statuses == [0x0000] * len(files)
    assert f"0x{refusal:04X}" in refused.failure


def instance_in(path: Path) -> MemoryInstance:
    with path.open("rb") as file:
        layout = read_file_layout(file)
        return MemoryInstance(layout.header, (file.read(),))
