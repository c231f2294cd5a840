"""What archives are asked at each level of the hierarchy, and how their answers are read (PS3.4 C.6)."""

from collections.abc import Hashable

from adit_core.dicom.identifier import Answer
from adit_core.dicom.query import Attributes, InstanceResult, PatientResult, SeriesResult, StudyResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference

PATIENT_KEYS = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
STUDY_KEYS = (
    "StudyInstanceUID",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "InstitutionName",
)
SERIES_KEYS = (
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "NumberOfSeriesRelatedInstances",
    "InstitutionName",
)
UID_KEYS = ("SOPInstanceUID",)
INSTANCE_KEYS = (*UID_KEYS, "SOPClassUID", "InstanceNumber")


def is_of_study(answer: Answer, study: StudyReference) -> bool:
    """Tell whether the answer belongs to the study that was asked for, as far as it says."""
    return answer.text("StudyInstanceUID") in ("", study.study_instance_uid)


def is_of_series(answer: Answer, series: SeriesReference) -> bool:
    """Tell whether the answer belongs to the series that was asked for, as far as it says."""
    named = answer.text("SeriesInstanceUID")
    return named in ("", series.series_instance_uid) and is_of_study(answer, series.study)


def patient_result(answer: Answer) -> PatientResult:
    """Return the patient that an answer tells of."""
    return PatientResult(
        patient_id=answer.text("PatientID"),
        patient_name=answer.text("PatientName"),
        patient_birth_date=answer.date("PatientBirthDate"),
        patient_sex=answer.text("PatientSex"),
    )


def study_result(answer: Answer, patient: PatientResult, further: Attributes = ()) -> StudyResult:
    """Return the study that an answer tells of, as one of `patient`, with what `further` asked for."""
    return StudyResult(
        reference=StudyReference(answer.text("StudyInstanceUID"), patient.patient_id),
        patient_name=patient.patient_name,
        patient_birth_date=patient.patient_birth_date,
        patient_sex=patient.patient_sex,
        accession_number=answer.text("AccessionNumber"),
        study_date=answer.date("StudyDate"),
        study_time=answer.text("StudyTime"),
        study_description=answer.text("StudyDescription"),
        modalities=answer.texts("ModalitiesInStudy"),
        number_of_series=answer.number("NumberOfStudyRelatedSeries"),
        number_of_instances=answer.number("NumberOfStudyRelatedInstances"),
        institution_name=answer.text("InstitutionName"),
        further=_told(answer, further),
    )


def series_result(answer: Answer, study: StudyReference, further: Attributes = ()) -> SeriesResult:
    """Return the series that an answer tells of, as one of `study`, with what `further` asked for."""
    return SeriesResult(
        reference=SeriesReference(study, answer.text("SeriesInstanceUID")),
        modality=answer.text("Modality"),
        series_number=answer.number("SeriesNumber"),
        series_description=answer.text("SeriesDescription"),
        number_of_instances=answer.number("NumberOfSeriesRelatedInstances"),
        institution_name=answer.text("InstitutionName"),
        further=_told(answer, further),
    )


def instance_result(answer: Answer, series: SeriesReference) -> InstanceResult:
    """Return the instance that an answer tells of, as one of `series`."""
    return InstanceResult(
        reference=InstanceReference(series, answer.text("SOPInstanceUID")),
        sop_class_uid=answer.text("SOPClassUID"),
        instance_number=answer.number("InstanceNumber"),
    )


def identity(result: PatientResult | StudyResult | SeriesResult | InstanceResult) -> Hashable:
    """Return what is the same in two results that tell of the same thing."""
    return result if isinstance(result, PatientResult) else result.reference


def _told(answer: Answer, asked: Attributes) -> Attributes:
    return tuple((keyword, answer.text(keyword)) for keyword, _ in asked)
