"""De-identification of a data set by PS3.15 Annex E, the way that a project wants it for one patient.

An instance leaves clean or not at all: whatever goes wrong here is DeidentificationFailed. The result is
the same for the same project, subject and data set, in any process and at any time.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from typing import TypeVar

from pydicom.datadict import dictionary_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from adit_core.deid.changes import AttributeChange, change
from adit_core.deid.charsets import DEFAULT, decode
from adit_core.deid.dates import shift_of
from adit_core.deid.known import KnownValues, known_values
from adit_core.deid.marks import marks
from adit_core.deid.opened import Element, Opened, opened, raw_value
from adit_core.deid.profile import DeidProfile, ProfileOption
from adit_core.deid.pseudonyms import keyed_pseudonym
from adit_core.deid.rules import Place, Rule, RuleBook
from adit_core.deid.standard import Action, iod_of, safe_private_elements
from adit_core.deid.subject import Project, Subject
from adit_core.deid.uids import UidMap
from adit_core.deid.values import Context, ValueCleaner
from adit_core.deid.walk import SafePrivateElements, Step, Visit, Walk, likeness
from adit_core.errors import DeidentificationFailed

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_PATIENT_ID = 0x00100020
_STUDY_INSTANCE_UID = 0x0020000D
_STUDY_ID = BaseTag(0x00200010)
_REMEMBERED_CONTEXTS = 8
_WRITTEN = Rule(Action.DUMMY, Action.DUMMY, "written to every de-identified object", "", "")

_Made = TypeVar("_Made")


class Deidentifier:
    """De-identifies the instances of one patient for one project. Use it for many: it remembers rules."""

    def __init__(self, project: Project, subject: Subject) -> None:
        self._project = project
        self._subject = subject
        self._uids = UidMap(project.secret)
        cleaner = ValueCleaner(project.profile, self._uids, days=shift_of(project.secret, subject.patient_id))
        self._walk = Walk(RuleBook(project.profile), cleaner, _safe_private(project.profile))
        self._context = lru_cache(maxsize=_REMEMBERED_CONTEXTS)(Context)
        self._encoded_marks = lru_cache(maxsize=4)(self._encode_marks)

    @property
    def project(self) -> Project:
        """What the data are de-identified for."""
        return self._project

    @property
    def subject(self) -> Subject:
        """Whom they are about."""
        return self._subject

    def mapped_uid(self, uid: str) -> str:
        """Return the UID that an object, series or study has after de-identification."""
        return uid if self._keeps_uids else self._uids.replaced(uid)

    def deidentify(self, dataset: Dataset) -> Dataset:
        """Return the de-identified likeness of a data set, which is not changed.

        Values that are kept are the same objects, pixel data among them. The file meta information,
        if there was any, has the new SOP Instance UID and the transfer syntax, and nothing else.

        Raises:
            DeidentificationFailed: It cannot be de-identified completely.
        """
        return _failing_closed(self._likeness, dataset)

    def trace(self, dataset: Dataset) -> list[AttributeChange]:
        """Return what `deidentify` does to each attribute, at every depth: a dry run.

        Raises:
            DeidentificationFailed: It cannot be de-identified completely.
        """
        return _failing_closed(self._changes, dataset)

    def deidentify_rest(self, rest: Dataset, header: Dataset) -> Dataset:
        """Return the de-identified likeness of what follows the pixel data of an instance.

        `header` is what precedes them, as it was: it tells what is known of the patient.

        Raises:
            DeidentificationFailed: It cannot be de-identified completely.
        """
        return _failing_closed(lambda _: self._likeness_of_rest(rest, header), header)

    @property
    def _keeps_uids(self) -> bool:
        return ProfileOption.RETAIN_UIDS in self._project.profile.options

    def _likeness(self, dataset: Dataset) -> Dataset:
        data = self._opened(dataset)
        elements = self._walk.elements(data, self._visit(dataset, data, known_values(data)))
        elements.update(self._written(data, elements))
        made = likeness(data, elements)
        _add_file_meta(made, dataset, self.mapped_uid)
        return made

    def _likeness_of_rest(self, rest: Dataset, header: Dataset) -> Dataset:
        whole = self._opened(header)
        data = opened(rest, whole.encodings)
        elements = self._walk.elements(data, self._visit(header, data, known_values(whole)))
        return likeness(data, elements)

    def _changes(self, dataset: Dataset) -> list[AttributeChange]:
        data = self._opened(dataset)
        steps: list[Step] = []
        visit = replace(self._visit(dataset, data, known_values(data)), record=steps.append)
        elements = self._walk.elements(data, visit)
        return self._with_written([change(step) for step in steps], self._written(data, elements))

    def _opened(self, dataset: Dataset) -> Opened:
        data = opened(dataset)
        patient_id = _text(dataset, _PATIENT_ID, data.encodings)
        if patient_id not in {"", self._subject.patient_id.strip()}:
            raise DeidentificationFailed("its Patient ID is not that of the patient of this study")
        if not _text(dataset, _SOP_INSTANCE_UID) or not _text(dataset, _SOP_CLASS_UID):
            raise DeidentificationFailed("it has no SOP Class UID or SOP Instance UID")
        return data

    def _visit(self, header: Dataset, data: Opened, known: KnownValues) -> Visit:
        iod = iod_of(_text(header, _SOP_CLASS_UID))
        return Visit(Place(iod), self._context(known, data.encodings))

    def _written(self, data: Opened, elements: dict[BaseTag, Element]) -> dict[BaseTag, Element]:
        """Return what every de-identified object says, whatever the original said."""
        written = dict(self._encoded_marks(*data.dataset.original_encoding))
        study_id = elements.get(_STUDY_ID)
        if study_id is None or not study_id.value:
            # Some archives take studies without Study ID for one study.
            study = _text(data.dataset, _STUDY_INSTANCE_UID)
            value = keyed_pseudonym(self._project.secret, study, issuer="studies")
            written[_STUDY_ID] = DataElement(_STUDY_ID, "SH", value)
        return written

    def _encode_marks(self, implicit: bool | None, little: bool | None) -> dict[BaseTag, Element]:
        """Return the marks as raw elements: no result can change those of another."""
        buffer = DicomBytesIO()
        buffer.is_implicit_VR = implicit is True
        buffer.is_little_endian = little is not False
        write_dataset(buffer, Dataset({mark.tag: mark for mark in marks(self._project, self._subject)}))
        encoded = BytesIO(buffer.getvalue())
        return dict(read_dataset(encoded, buffer.is_implicit_VR, buffer.is_little_endian).items())

    def _with_written(
        self, changes: list[AttributeChange], written: dict[BaseTag, Element]
    ) -> list[AttributeChange]:
        tops = {found.path: found for found in changes}
        for tag, element in written.items():
            keyword = dictionary_keyword(tag)
            before = tops[keyword].before if keyword in tops else ""
            step = Step(keyword, tag, _WRITTEN, element, element, DEFAULT)
            tops[keyword] = replace(change(step), before=before, keyword=keyword)
        return list(tops.values())


def _safe_private(profile: DeidProfile) -> SafePrivateElements:
    """Return which private attributes a profile keeps: the standard's, if it wants them, and its own."""
    found = dict(safe_private_elements()) if ProfileOption.RETAIN_SAFE_PRIVATE in profile.options else {}
    for safe in profile.safe_private:
        block = (safe.creator, safe.group)
        found[block] = found.get(block, frozenset()) | safe.elements
    return found


def _text(dataset: Dataset, tag: int, encodings: tuple[str, ...] = DEFAULT) -> str:
    if tag not in dataset:
        return ""
    return (decode(raw_value(dataset.get_item(tag), encodings), encodings) or "").strip()


def _add_file_meta(made: Dataset, original: Dataset, mapped_uid: Callable[[str], str]) -> None:
    file_meta = getattr(original, "file_meta", None)
    if file_meta is None:
        return
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = UID(_text(original, _SOP_CLASS_UID))
    made.file_meta.MediaStorageSOPInstanceUID = UID(mapped_uid(_text(original, _SOP_INSTANCE_UID)))
    if syntax := file_meta.get("TransferSyntaxUID"):
        made.file_meta.TransferSyntaxUID = syntax


def _failing_closed(deidentify: Callable[[Dataset], _Made], dataset: Dataset) -> _Made:
    """Return what `deidentify` makes of a data set; every error becomes DeidentificationFailed."""
    try:
        return deidentify(dataset)
    except DeidentificationFailed as error:
        raise DeidentificationFailed(f"Instance {sop_instance_uid(dataset)}: {error}") from error
    except Exception as error:  # noqa: BLE001 - pydicom raises anything on damaged data, and quotes it
        raise DeidentificationFailed(
            f"Instance {sop_instance_uid(dataset)}: {type(error).__name__} while it was de-identified"
        ) from None


def sop_instance_uid(dataset: Dataset) -> str:
    """Return the SOP Instance UID as far as it is one: nothing else may get into a message."""
    value = dataset.get_item(_SOP_INSTANCE_UID).value if _SOP_INSTANCE_UID in dataset else None
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return "".join(char for char in text if char in "0123456789.")[:64] or "without UID"
