"""Studies, data sets and references for tests, and the hashes by which arrivals are compared."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pydicom.values import convert_SQ

from adit_core.dicom.ports import RetrieveRequest, SeriesPart
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from deployments.demo.specs import Form, SeriesSpec, StudySpec

_ITEM_START = b"\xfe\xff\x00\xe0"
_TRAILING_PADDING = 0xFFFCFFFC


def study(*series: SeriesSpec, patient_id: str = "0004711", key: str = "test", **changes: Any) -> StudySpec:
    """Return a study of these series; `key` gives it UIDs of its own."""
    spec = StudySpec(
        patient_id=patient_id,
        patient_name="Sample^Anna",
        patient_birth_date="19620817",
        patient_sex="F",
        study_date="20240102",
        study_time="120000",
        accession_number="T0001",
        description="Test study",
        series=series,
        key=key,
    )
    return replace(spec, **changes)


def ct_study(instances: int = 1, *, rows: int = 32, key: str = "ct", **changes: Any) -> StudySpec:
    """Return a study with one CT series of square images."""
    return study(SeriesSpec(Form.CT, instances, "Axial", rows, rows), key=key, **changes)


def large_study(megabytes: int, *, key: str = "large") -> StudySpec:
    """Return a study whose only instance has about so many megabytes of pixel data."""
    return study(SeriesSpec(Form.US_CINE, 1, "Cine", rows=1000, columns=1000, frames=megabytes), key=key)


def one_instance_studies(count: int) -> tuple[StudySpec, ...]:
    """Return studies of one small instance each, four to a patient."""
    return tuple(
        ct_study(
            rows=16,
            key="one",
            patient_id=f"ONE{number // 4:05}",
            accession_number=f"O{number:06}",
            study_date=f"2024{number // 28 % 12 + 1:02}{number % 28 + 1:02}",
        )
        for number in range(count)
    )


PATIENTS = (
    ("", "Miller^Susan"),
    ("ISO_IR 100", "Müller-Lüdenscheid^Jörg"),
    ("ISO_IR 144", "Иванова^Мария"),
    ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
)
"""Specific Character Sets with fitting names."""


def mixed_studies(count: int = 20, *, size: int = 64) -> tuple[StudySpec, ...]:
    """Return studies of all modalities, transfer syntaxes, forms and character sets in turn.

    `size` is the edge of images in pixels.
    """
    kinds = _kinds_of_series(size)
    return tuple(
        study(
            *kinds[number % len(kinds)],
            patient_id=f"{number // 2:07}",
            key="mixed",
            accession_number=f"M{number:05}",
            patient_name=PATIENTS[number % len(PATIENTS)][1],
            character_set=PATIENTS[number % len(PATIENTS)][0],
            study_date=f"2023{number % 12 + 1:02}{number % 28 + 1:02}",
        )
        for number in range(count)
    )


def mixed_study(*, key: str = "all kinds", size: int = 64) -> StudySpec:
    """Return one study that has a series of each kind."""
    return study(*(series for kind in _kinds_of_series(size) for series in kind), key=key)


def _kinds_of_series(size: int) -> tuple[tuple[SeriesSpec, ...], ...]:
    def images(form: Form, count: int, syntax: str = ExplicitVRLittleEndian, frames: int = 1) -> SeriesSpec:
        description = f"{form} {UID(syntax).name}"
        return SeriesSpec(form, count, description, size, size, frames, syntax, private=form is Form.MR)

    return (
        (images(Form.CT, 12), SeriesSpec(Form.REPORT, 1, "Report")),
        (images(Form.MR, 8, ImplicitVRLittleEndian), images(Form.MR, 4)),
        (images(Form.CT, 6, JPEG2000Lossless), images(Form.CT, 3)),
        (images(Form.CT, 6, RLELossless), images(Form.SECONDARY_CAPTURE, 2, RLELossless)),
        (images(Form.CR, 2), images(Form.CR, 1, JPEG2000Lossless)),
        (images(Form.US_CINE, 2, frames=12), images(Form.SECONDARY_CAPTURE, 2)),
        (images(Form.ENHANCED_CT, 1, frames=10), images(Form.CT, 2, DeflatedExplicitVRLittleEndian)),
    )


def dataset(**elements: Any) -> Dataset:
    """Return a data set of these elements; a keyword that DICOM does not know is an error."""
    unknown = elements.keys() - keyword_dict.keys()
    if unknown:
        raise ValueError(f"no DICOM keyword: {', '.join(sorted(unknown))}")
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def dataset_hash(source: Path | BinaryIO | Dataset) -> str:
    """Return a hash of all data elements, the same in each transfer syntax that leaves pixels alone.

    `source` may be a Part 10 file or a data set. Left out are the file meta information, group lengths
    and padding, which say nothing.
    """
    digest = hashlib.blake2b(digest_size=16)
    read = _reread(source) if isinstance(source, Dataset) else dcmread(source, force=True)
    _hash_elements(digest, read)
    return digest.hexdigest()


def instances_in(folder: Path) -> dict[str, str]:
    """Return the hash of each instance below a folder by its SOP Instance UID.

    The names of files do not matter, only that they are DICOM with a preamble.
    """
    return hashes(path for path in sorted(folder.rglob("*")) if path.is_file() and _is_dicom(path))


def hashes(files: Iterable[Path]) -> dict[str, str]:
    """Return the hash of each file by the SOP Instance UID inside it; no two may have the same."""
    found: dict[str, str] = {}
    for path in files:
        uid = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID
        assert uid not in found, f"two files hold {uid}"
        found[uid] = dataset_hash(path)
    return found


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _reread(source: Dataset) -> Dataset:
    """Encode and read a data set, so that its values are bytes."""
    encoded = BytesIO()
    copy = Dataset(source)
    copy.file_meta = FileMetaDataset()
    compressed = "PixelData" in source and source["PixelData"].is_undefined_length
    copy.file_meta.TransferSyntaxUID = RLELossless if compressed else ExplicitVRLittleEndian
    copy.save_as(encoded, enforce_file_format=False)
    encoded.seek(0)
    return dcmread(encoded, force=True)


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def _hash_elements(digest: _Digest, source: Dataset) -> None:
    for tag in sorted(source.keys()):
        if tag.element == 0 or tag.group == 2 or tag == _TRAILING_PADDING:
            continue
        items = _items(source, tag)
        value = b"" if items else _value(source, tag)
        digest.update(b"%08x %d %d:" % (tag, len(items), len(value)))
        digest.update(value)
        for item in items:
            _hash_elements(digest, item)
            digest.update(b";")


def _items(source: Dataset, tag: BaseTag) -> list[Dataset]:
    element = source.get_item(tag)
    if isinstance(element, RawDataElement):
        if _vr(element) == "SQ":
            return list(source[tag].value)
        if _vr(element) == "UN" and (element.value or b"").startswith(_ITEM_START):
            return list(convert_SQ(element.value, True, True))  # PS3.5 6.2.2 note 2
        return []
    return list(element.value) if element.VR == "SQ" else []


def _value(source: Dataset, tag: BaseTag) -> bytes:
    element = source.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value or b""
    return str(element.value).encode()  # what pydicom decodes at once: Specific Character Set


def _vr(element: RawDataElement) -> str:
    if element.VR is not None:
        return element.VR
    return "UN" if element.tag.is_private else dictionary_VR(element.tag)


def study_reference(spec: StudySpec) -> StudyReference:
    return StudyReference(spec.study_instance_uid, spec.patient_id)


def series_reference(spec: StudySpec, series: int) -> SeriesReference:
    return SeriesReference(study_reference(spec), spec.series_instance_uid(series))


def series_references(spec: StudySpec) -> list[SeriesReference]:
    return [series_reference(spec, index) for index in range(len(spec.series))]


def instance_result(spec: StudySpec, series: int, instance: int) -> InstanceResult:
    reference = InstanceReference(series_reference(spec, series), spec.sop_instance_uid(series, instance))
    return InstanceResult(reference, spec.series[series].form.sop_class_uid, instance + 1)


def request_for_study(spec: StudySpec) -> RetrieveRequest:
    """Return the request for everything of a study."""
    parts = tuple(_whole_series(spec, index) for index in range(len(spec.series)))
    return RetrieveRequest(study_reference(spec), parts, whole=True)


def request_for_series(spec: StudySpec, *series: int) -> RetrieveRequest:
    """Return the request for whole series of a study that has others, too."""
    return RetrieveRequest(
        study_reference(spec), tuple(_whole_series(spec, index) for index in series), whole=False
    )


def request_for_instances(spec: StudySpec, series: int, instances: Iterable[int]) -> RetrieveRequest:
    """Return the request for some instances of one series."""
    results = tuple(instance_result(spec, series, index) for index in instances)
    return RetrieveRequest(
        study_reference(spec),
        (SeriesPart(series_reference(spec, series), results, whole=False),),
        whole=False,
    )


def _whole_series(spec: StudySpec, series: int) -> SeriesPart:
    instances = range(spec.series[series].instances)
    return SeriesPart(
        series_reference(spec, series),
        tuple(instance_result(spec, series, instance) for instance in instances),
        whole=True,
    )


def misdeclare_character_set(path: Path) -> None:
    """Make a file that is encoded in ISO_IR 100 declare UTF-8, as wrongly as some devices do."""
    content = path.read_bytes()
    assert b"ISO_IR 100" in content
    path.write_bytes(content.replace(b"ISO_IR 100", b"ISO_IR 192"))
