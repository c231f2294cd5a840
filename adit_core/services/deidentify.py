"""What a study goes through on its way if it is pseudonymized: the engine of `adit_core.deid`.

To the destination, study, series and instances have the names and descriptions that the engine gives
them; the account stays in those of the source (:mod:`adit_core.dicom.changing`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from adit_core.deid.engine import Deidentifier
from adit_core.deid.pixels.policy import Blank, apply
from adit_core.deid.pixels.regions import Rectangle
from adit_core.deid.pixels.stream_policy import burned_in_policy
from adit_core.deid.stream import Blanking, BurnedInPolicy, EncodedInstance, Held, StreamDeidentifier
from adit_core.deid.subject import Project, Subject
from adit_core.dicom.changing import Withheld
from adit_core.dicom.ports import ExpectedSeries, ExpectedStudy, IncomingInstance, InstanceHeader
from adit_core.dicom.query import InstanceResult, SeriesResult, StudyResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import DeidentificationFailed

REJECTED = "rejected by a reviewer"
_ANY_UID = "2.25.1"


@dataclass(frozen=True, slots=True)
class Review:
    """What reviewers decided about instances of a study, by their SOP Instance UIDs at the source.

    ``released`` ones leave with these regions blanked, ``rejected`` ones never do.
    """

    released: Mapping[str, tuple[Rectangle, ...]] = field(default_factory=dict)
    rejected: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An instance that was held back, and why."""

    reference: InstanceReference
    reason: str


@dataclass(frozen=True, slots=True)
class ChangedInstance:
    """An instance with another content; implements :class:`~adit_core.dicom.ports.IncomingInstance`."""

    reference: InstanceReference
    header: InstanceHeader
    content: Iterator[bytes | memoryview]

    def fragments(self) -> Iterator[bytes | memoryview]:
        """Yield the encoded data set, once."""
        return self.content


def encoded(instance: IncomingInstance) -> EncodedInstance:
    """Return an instance that is on its way as the engine takes it."""
    header = instance.header
    return EncodedInstance(
        header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid, instance.fragments()
    )


def header_of(made: EncodedInstance) -> InstanceHeader:
    """Return the header of what the engine made."""
    return InstanceHeader(made.sop_class_uid, made.sop_instance_uid, made.transfer_syntax_uid)


class StudyDeidentifier:
    """De-identifies the instances of one study; a :class:`~adit_core.dicom.changing.Transformer`."""

    def __init__(self, project: Project, subject: Subject, review: Review | None = None) -> None:
        self._engine = Deidentifier(project, subject)
        self._review = review or Review()
        usual = burned_in_policy(project.profile.burned_in_text)
        self._stream = StreamDeidentifier(self._engine, _reviewed(usual, self._review.released))
        self.held: dict[str, HeldBack] = {}
        """What was held back, by SOP Instance UID."""
        self.broken: dict[str, str] = {}
        """What turned out half-way not to be de-identifiable, and why; it is not begun again."""

    def expected(self, expected: ExpectedStudy) -> ExpectedStudy:
        """Return the study as it will be called and described."""
        study = self._study(expected.study)
        return ExpectedStudy(study, tuple(self._series(one, study.reference) for one in expected.series))

    def transformed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
        """Return an instance de-identified, or that it stays here until somebody has looked at it.

        Raises:
            DeidentificationFailed: It cannot be de-identified completely, so it must not leave.
        """
        uid = instance.header.sop_instance_uid
        if uid in self.broken:
            raise DeidentificationFailed(self.broken[uid])
        if uid in self._review.rejected:
            return Withheld(REJECTED)
        made = self._stream.transform(encoded(instance))
        if isinstance(made, Held):
            self.held[uid] = HeldBack(instance.reference, made.reason)
            return Withheld(made.reason)
        return ChangedInstance(
            self._instance_reference(instance.reference),
            header_of(made),
            self._noting_failure(uid, made.fragments),
        )

    def study_reference(self, study: StudyReference) -> StudyReference:
        """Return what a study is called after de-identification."""
        return StudyReference(
            self._engine.mapped_uid(study.study_instance_uid), self._engine.subject.pseudonym
        )

    def _noting_failure(
        self, uid: str, fragments: Iterator[bytes | memoryview]
    ) -> Iterator[bytes | memoryview]:
        try:
            yield from fragments
        except DeidentificationFailed as error:
            self.broken[uid] = str(error)
            raise

    def _instance_reference(self, instance: InstanceReference) -> InstanceReference:
        series = self._series_reference(instance.series, self.study_reference(instance.series.study))
        return InstanceReference(series, self._engine.mapped_uid(instance.sop_instance_uid))

    def _series_reference(self, series: SeriesReference, study: StudyReference) -> SeriesReference:
        return SeriesReference(study, self._engine.mapped_uid(series.series_instance_uid))

    def _study(self, study: StudyResult) -> StudyResult:
        """Return the description as the engine leaves it, by the rules for data sets."""
        made = self._likeness(
            PatientName=study.patient_name,
            PatientBirthDate=_da(study.patient_birth_date),
            PatientSex=study.patient_sex,
            AccessionNumber=study.accession_number,
            StudyDate=_da(study.study_date),
            StudyTime=study.study_time,
            StudyDescription=study.study_description,
            InstitutionName=study.institution_name,
        )
        return StudyResult(
            self.study_reference(study.reference),
            patient_name=self._engine.subject.pseudonym,
            patient_sex=_text(made, "PatientSex"),
            accession_number=_text(made, "AccessionNumber"),
            study_date=_date(made, "StudyDate"),
            study_time=_text(made, "StudyTime"),
            study_description=_text(made, "StudyDescription"),
            modalities=study.modalities,
        )

    def _series(self, expected: ExpectedSeries, study: StudyReference) -> ExpectedSeries:
        series = expected.series
        reference = self._series_reference(series.reference, study)
        made = self._likeness(SeriesDescription=series.series_description)
        instances = tuple(
            InstanceResult(
                InstanceReference(reference, self._engine.mapped_uid(one.reference.sop_instance_uid)),
                one.sop_class_uid,
                one.instance_number,
            )
            for one in expected.instances
        )
        described = SeriesResult(
            reference,
            modality=series.modality,
            series_number=series.series_number,
            series_description=_text(made, "SeriesDescription"),
            number_of_instances=series.number_of_instances,
        )
        return replace(expected, series=described, instances=instances)

    def _likeness(self, **values: str) -> Dataset:
        """Return what the engine makes of an instance with these values; nothing, if it cannot."""
        original = Dataset()
        original.SOPClassUID = SecondaryCaptureImageStorage
        original.SOPInstanceUID = _ANY_UID
        original.PatientID = self._engine.subject.patient_id
        original.SpecificCharacterSet = "ISO_IR 192"
        try:
            for keyword, value in values.items():
                if value:
                    setattr(original, keyword, value)
            return self._engine.deidentify(original)
        except (DeidentificationFailed, ValueError):
            return Dataset()


def released_as(regions: Sequence[Rectangle]) -> Blank:
    """Return what becomes of the pixels of what a reviewer released with these regions blanked."""
    return Blank(tuple(regions), "reviewer", clears_all_text=True)


def _reviewed(usual: BurnedInPolicy, released: Mapping[str, tuple[Rectangle, ...]]) -> BurnedInPolicy:
    """Return the policy that lets go what a reviewer released, blanked where the reviewer said."""

    def policy(header: Dataset) -> Held | Blanking | None:
        regions = released.get(str(header.get("SOPInstanceUID", "")))
        if regions is None:
            return usual(header)
        if not regions:
            return None
        decision = released_as(regions)
        return lambda dataset: apply(decision, dataset)

    return policy


def _da(day: date | None) -> str:
    return f"{day:%Y%m%d}" if day else ""


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "")


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return date.fromisoformat(_text(dataset, keyword))
    except ValueError:
        return None
