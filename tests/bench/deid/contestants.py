"""De-identifiers that are scored with the same key. Each takes and gives Part 10 files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from types import MappingProxyType

from dicognito.anonymizer import Anonymizer
from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions
from pydicom import dcmread

from adit_core.deid.engine import Deidentifier
from adit_core.deid.pixels.policy import default_rule_sets
from adit_core.deid.pixels.rules import read_rule_set
from adit_core.deid.pixels.stream_policy import burned_in_policy
from adit_core.deid.profile import BurnedInText, ProfileOption, builtin_profiles
from adit_core.deid.pseudonyms import keyed_pseudonym
from adit_core.deid.stream import EncodedInstance, Held, StreamDeidentifier
from adit_core.deid.subject import Project, Subject
from adit_core.dicom.part10 import encode_file_header, read_file_layout
from adit_core.dicom.ports import InstanceHeader
from adit_core.errors import DeidentificationFailed
from tests.bench.deid.key import KeyInstance
from tests.bench.deid.part10 import written

_SECRET = b"the key of a synthetic project"
_RULES = """
name: bench
version: 1
rules:
  - name: banner of the synthetic ultrasound device
    when: {modality: US, manufacturer: Siemens, model: Phantom US wide, rows: 48}
    blank: {top: 16}
    clears_all_text: true
"""
Results = dict[str, bytes]
"""Part 10 files by the SOP Instance UID of the original; who withholds an instance has none of it."""


def adit(files: Mapping[str, bytes]) -> Results:
    """De-identify with the default profile as transfers do: engine, pixels and checker, on the way."""
    return dict(_adit(files))


def _adit(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    streams: dict[str, StreamDeidentifier] = {}
    for uid, encoded in files.items():
        head = dcmread(BytesIO(encoded), specific_tags=["PatientID"], stop_before_pixels=True)
        patient_id = str(head.PatientID)
        if patient_id not in streams:
            streams[patient_id] = stream_for(patient_id)
        with suppress(DeidentificationFailed):  # fails closed: the instance does not leave
            yield uid, transformed(streams[patient_id], encoded)


def deidentifier_for(
    patient_id: str, options: frozenset[ProfileOption] = frozenset(), secret: bytes = _SECRET
) -> Deidentifier:
    """Return a de-identifier of a patient with the default profile, and more options if wanted."""
    profile = builtin_profiles()["research"]
    project = Project(secret, profile.model_copy(update={"options": profile.options | options}))
    return Deidentifier(project, Subject(patient_id, keyed_pseudonym(secret, patient_id)))


def stream_for(patient_id: str, options: frozenset[ProfileOption] = frozenset()) -> StreamDeidentifier:
    """Return what de-identifies the instances of a patient as transfers do."""
    policy = burned_in_policy(BurnedInText.RELEASE, [*default_rule_sets(), read_rule_set(_RULES)])
    return StreamDeidentifier(deidentifier_for(patient_id, options), policy)


def transformed(stream: StreamDeidentifier, encoded: bytes) -> bytes:
    """Return a Part 10 file as it leaves.

    Raises:
        DeidentificationFailed: It does not leave.
    """
    layout = read_file_layout(BytesIO(encoded))
    data_set = iter((memoryview(encoded)[layout.data_set_offset :].tobytes(),))
    found = layout.header
    instance = EncodedInstance(
        found.sop_class_uid, found.sop_instance_uid, found.transfer_syntax_uid, data_set
    )
    made = stream.transform(instance)
    if isinstance(made, Held):
        raise DeidentificationFailed(made.reason)
    header = InstanceHeader(made.sop_class_uid, made.sop_instance_uid, made.transfer_syntax_uid)
    return encode_file_header(header) + b"".join(made.fragments)


def dicognito(files: Mapping[str, bytes]) -> Results:
    """De-identify with dicognito as it is without options, one anonymizer for all."""
    anonymizer = Anonymizer(seed="adit")
    results: Results = {}
    for uid, encoded in files.items():
        dataset = dcmread(BytesIO(encoded))
        anonymizer.anonymize(dataset)
        results[uid] = written(dataset)
    return results


def dicom_anonymizer(files: Mapping[str, bytes]) -> Results:
    """De-identify with dicom-anonymizer's table of 2026c, private elements deleted."""
    results: Results = {}
    for uid, encoded in files.items():
        dataset = dcmread(BytesIO(encoded))
        anonymize_dataset(dataset, base_rules_gen=lambda: initialize_actions("dicomfields_2026c"))
        results[uid] = written(dataset)
    return results


def nothing(files: Mapping[str, bytes]) -> Results:
    """Read and write, and change nothing: what a score is worth that keeps everything."""
    return {uid: written(dcmread(BytesIO(encoded))) for uid, encoded in files.items()}


CONTESTANTS: Mapping[str, Callable[[Mapping[str, bytes]], Results]] = MappingProxyType(
    {
        "ADIT": adit,
        "dicognito": dicognito,
        "dicom-anonymizer": dicom_anonymizer,
        "nothing": nothing,
    }
)


def files_of(key: Sequence[KeyInstance]) -> dict[str, bytes]:
    """Return the instances of a key as Part 10 files by their SOP Instance UIDs."""
    return {instance.dataset.SOPInstanceUID: written(instance.dataset) for instance in key}
