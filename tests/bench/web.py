"""WADO-RS and STOW-RS against dicomweb-client, with one Orthanc."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from dicomweb_client import DICOMwebClient
from pydicom import dcmread

from adit_core.dicom.dicomweb import WebDestination, WebSource
from adit_core.dicom.part10 import read_file_instance
from adit_core.dicom.ports import InstanceHeader
from deployments.demo.studies import write_study
from tests.bench.contest import Contest
from tests.factories import ct_study, hashes, request_for_study
from tests.servers import orthanc


class _Counter:
    """An inlet that counts the instances and bytes that come."""

    def __init__(self) -> None:
        self.instances = 0
        self.size = 0

    def begin(self, header: InstanceHeader) -> None:
        pass

    def write(self, fragment: bytes | memoryview) -> None:
        self.size += len(fragment)

    def end(self) -> None:
        self.instances += 1


def contests(servers: ExitStack, folder: Path, images: int) -> Iterator[Contest]:
    """Yield the retrieval of a CT study and its storage, once from memory and once from files."""
    server = servers.enter_context(orthanc(folder / "web"))
    study = ct_study(images, rows=512, key="bench-web")
    files = write_study(study, folder / "web-study")
    server.archive.load(files)
    node, expected = server.archive.web_node, hashes(files)
    client, uid = DICOMwebClient(node.base_url), study.study_instance_uid
    size = sum(path.stat().st_size - read_file_instance(path).data_set_offset for path in files)
    instances = [read_file_instance(path) for path in files]
    megabytes = sum(path.stat().st_size for path in files) / 1e6

    def retrieve() -> None:
        counter = _Counter()
        with WebSource(node) as source:
            source.retrieve(request_for_study(study), counter)
        assert (counter.instances, counter.size) == (len(files), size)

    def store() -> None:
        with WebDestination(node) as destination:
            deliveries = list(destination.deliver(instances))
        assert not any(delivery.failure for delivery in deliveries)

    def check() -> None:
        assert server.contents() == expected

    yield Contest(
        "WADO-RS",
        megabytes,
        {
            "dicomweb-client, retrieve_study": lambda: client.retrieve_study(uid),
            "dicomweb-client, iter_study": lambda: list(client.iter_study(uid)),
            "ADIT": retrieve,
        },
        check,
        goals={"ADIT": 4.0},
    )
    yield Contest(
        "STOW-RS",
        megabytes,
        {
            "dicomweb-client": lambda: client.store_instances([dcmread(path) for path in files]),
            "ADIT": store,
        },
        check,
        before_each=server.clear,
        goals={"ADIT": 2.0},
    )
