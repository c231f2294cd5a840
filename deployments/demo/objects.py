"""The information objects (PS3.3 A) that the synthetic studies consist of."""

from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from adit_core.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from deployments.demo.pixels import add_pixels
from deployments.demo.specs import Form, SeriesSpec, StudySpec

Elements = dict[str, Any]
"""Data elements by keyword."""

_SLICE_THICKNESS = 2.5
_PRIVATE_GROUP = 0x0029


def build_instance(study: StudySpec, series_index: int, index: int) -> Dataset:
    """Return the complete data set of one instance, with file meta."""
    series = study.series[series_index]
    dataset = _dataset(
        **_patient_and_study(study),
        **_series(study, series_index),
        **_EQUIPMENT,
        **_FORMS[series.form](study, series, index),
        InstanceNumber=index + 1,
        SOPInstanceUID=study.sop_instance_uid(series_index, index),
    )
    if series.form is not Form.REPORT:
        add_pixels(dataset, series, index)
    if series.private:
        _add_private_block(dataset, study)
    dataset.file_meta = _file_meta(dataset, series)
    return dataset


def _dataset(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _item(**elements: Any) -> Sequence:
    return Sequence([_dataset(**elements)])


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _file_meta(dataset: Dataset, series: SeriesSpec) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(series.transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _add_private_block(dataset: Dataset, study: StudySpec) -> None:
    """Add elements as vendors do: a number, bytes, and a text that identifies."""
    block = dataset.private_block(_PRIVATE_GROUP, "ADIT DEMO HEADER", create=True)
    block.add_new(0x08, "CS", "PHANTOM")
    block.add_new(0x10, "OB", bytes(range(256)))
    block.add_new(0x20, "LO", f"Scan of {study.patient_id}")
    block.add_new(0x30, "SQ", [_dataset(PatientComments=f"Private note on {study.patient_id}")])


def _patient_and_study(study: StudySpec) -> Elements:
    character_set = {"SpecificCharacterSet": study.character_set} if study.character_set else {}
    return {
        **character_set,
        "PatientName": study.patient_name,
        "PatientID": study.patient_id,
        "PatientBirthDate": study.patient_birth_date,
        "PatientSex": study.patient_sex,
        "StudyInstanceUID": study.study_instance_uid,
        "StudyDate": study.study_date,
        "StudyTime": study.study_time,
        "ReferringPhysicianName": "Referrer^Rita",
        "StudyID": study.accession_number,
        "AccessionNumber": study.accession_number,
        "StudyDescription": study.description,
    }


def _series(study: StudySpec, index: int) -> Elements:
    series = study.series[index]
    return {
        "SOPClassUID": series.form.sop_class_uid,
        "Modality": series.form.modality,
        "SeriesInstanceUID": study.series_instance_uid(index),
        "SeriesNumber": index + 1,
        "SeriesDate": study.study_date,
        "SeriesTime": study.study_time,
        "SeriesDescription": series.description,
        "ContentDate": study.study_date,
        "ContentTime": study.study_time,
    }


_EQUIPMENT: Elements = {
    "Manufacturer": "ADIT demo",
    "ManufacturerModelName": "Phantom",
    "DeviceSerialNumber": "0001",
    "SoftwareVersions": "1",
    "InstitutionName": "Demo Hospital",
}


def _acquisition(study: StudySpec) -> Elements:
    return {
        "AcquisitionNumber": 1,
        "AcquisitionDate": study.study_date,
        "AcquisitionTime": study.study_time,
    }


def _plane(study: StudySpec, series: SeriesSpec, index: int) -> Elements:
    """Return the modules Frame of Reference and Image Plane (PS3.3 C.7.4.1, C.7.6.2)."""
    spacing = round(400 / series.columns, 4)
    return {
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": study.frame_of_reference_uid,
        "PositionReferenceIndicator": "",
        "PixelSpacing": [spacing, spacing],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": _position(index),
        "SliceThickness": _SLICE_THICKNESS,
        "SliceLocation": -index * _SLICE_THICKNESS,
    }


def _position(index: int) -> list[float]:
    return [-200, -200, -index * _SLICE_THICKNESS]


def _ct(study: StudySpec, series: SeriesSpec, index: int) -> Elements:
    return {
        **_acquisition(study),
        **_plane(study, series, index),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "BodyPartExamined": "CHEST",
        "KVP": 120,
        "ConvolutionKernel": "B",
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
        "RescaleType": "HU",
        "WindowCenter": 40,
        "WindowWidth": 400,
    }


def _mr(study: StudySpec, series: SeriesSpec, index: int) -> Elements:
    return {
        **_acquisition(study),
        **_plane(study, series, index),
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "BodyPartExamined": "CHEST",
        "ScanningSequence": "SE",
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "RepetitionTime": 2500,
        "EchoTime": 90,
        "EchoTrainLength": 1,
        "MagneticFieldStrength": 1.5,
        "FlipAngle": 90,
        "WindowCenter": 1060,
        "WindowWidth": 400,
    }


def _cr(study: StudySpec, _series: SeriesSpec, _index: int) -> Elements:
    return {
        **_acquisition(study),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "ImagerPixelSpacing": [0.2, 0.2],
        "WindowCenter": 1600,
        "WindowWidth": 3000,
    }


def _us_cine(study: StudySpec, series: SeriesSpec, _index: int) -> Elements:
    return {
        **_acquisition(study),
        "ImageType": ["ORIGINAL", "PRIMARY", "", "0001"],
        "PatientOrientation": "",
        "Laterality": "",
        "LossyImageCompression": "00",
        "NumberOfFrames": series.frames,
        "FrameTime": 40,
        "FrameIncrementPointer": 0x00181063,
    }


def _secondary_capture(study: StudySpec, _series: SeriesSpec, _index: int) -> Elements:
    return {
        "ConversionType": "WSD",
        "DateOfSecondaryCapture": study.study_date,
        "TimeOfSecondaryCapture": study.study_time,
        "ImageType": ["DERIVED", "SECONDARY"],
        "PatientOrientation": "",
        "Laterality": "",
        "BurnedInAnnotation": "NO",
    }


def _report(study: StudySpec, _series: SeriesSpec, _index: int) -> Elements:
    """Return a Basic Text SR that names the patient in its text, as real reports do (PS3.3 A.35.1)."""
    return {
        "ReferencedPerformedProcedureStepSequence": Sequence(),
        "PerformedProcedureCodeSequence": Sequence(),
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED",
        "ValueType": "CONTAINER",
        "ConceptNameCodeSequence": _code("18748-4", "LN", "Diagnostic imaging report"),
        "ContinuityOfContent": "SEPARATE",
        "ContentSequence": Sequence(
            [
                _section("121060", "History", f"Known patient {study.patient_name}."),
                _section("121070", "Findings", "No abnormality in this phantom."),
                _section("121076", "Conclusions", f"Normal, see {study.accession_number}."),
            ]
        ),
    }


def _section(code: str, heading: str, text: str) -> Dataset:
    return _dataset(
        RelationshipType="CONTAINS",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=_code(code, "DCM", heading),
        ContinuityOfContent="SEPARATE",
        ContentSequence=_item(
            RelationshipType="CONTAINS",
            ValueType="TEXT",
            ConceptNameCodeSequence=_code("121071", "DCM", "Finding"),
            TextValue=text,
        ),
    )


def _enhanced_ct(study: StudySpec, series: SeriesSpec, _index: int) -> Elements:
    """Return a derived Enhanced CT, which needs no groups on how it was acquired (PS3.3 A.38.1)."""
    frames = [_frame_groups(study, frame) for frame in range(series.frames)]
    return {
        "ImageType": ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": study.frame_of_reference_uid,
        "PositionReferenceIndicator": "",
        "AcquisitionDateTime": study.study_date + study.study_time,
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "PixelPresentation": "MONOCHROME",
        "ContentQualification": "RESEARCH",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
        "AcquisitionContextSequence": Sequence(),
        "NumberOfFrames": series.frames,
        "SharedFunctionalGroupsSequence": Sequence([_shared_groups(study, series)]),
        "PerFrameFunctionalGroupsSequence": Sequence(frames),
        **_dimensions(study),
    }


def _dimensions(study: StudySpec) -> Elements:
    organization = f"{study.frame_of_reference_uid}.1"
    return {
        "DimensionOrganizationSequence": _item(DimensionOrganizationUID=organization),
        "DimensionIndexSequence": _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=0x00209057,  # In-Stack Position Number
            FunctionalGroupPointer=0x00209111,  # Frame Content Sequence
        ),
    }


def _shared_groups(study: StudySpec, series: SeriesSpec) -> Dataset:
    plane = _plane(study, series, 0)
    return _dataset(
        PixelMeasuresSequence=_item(
            PixelSpacing=plane["PixelSpacing"], SliceThickness=plane["SliceThickness"]
        ),
        PlaneOrientationSequence=_item(ImageOrientationPatient=plane["ImageOrientationPatient"]),
        FrameAnatomySequence=_item(
            FrameLaterality="U", AnatomicRegionSequence=_code("51185008", "SCT", "Chest")
        ),
        FrameVOILUTSequence=_item(WindowCenter=40, WindowWidth=400),
        PixelValueTransformationSequence=_item(RescaleIntercept=0, RescaleSlope=1, RescaleType="HU"),
        IrradiationEventIdentificationSequence=_item(IrradiationEventUID=f"{study.frame_of_reference_uid}.2"),
        CTImageFrameTypeSequence=_item(
            FrameType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
        ),
    )


def _frame_groups(study: StudySpec, frame: int) -> Dataset:
    return _dataset(
        FrameContentSequence=_item(
            FrameComments=f"Frame of {study.patient_name}",
            StackID="1",
            InStackPositionNumber=frame + 1,
            DimensionIndexValues=[frame + 1],
        ),
        PlanePositionSequence=_item(ImagePositionPatient=_position(frame)),
    )


_FORMS: dict[Form, Callable[[StudySpec, SeriesSpec, int], Elements]] = {
    Form.CT: _ct,
    Form.MR: _mr,
    Form.CR: _cr,
    Form.US_CINE: _us_cine,
    Form.SECONDARY_CAPTURE: _secondary_capture,
    Form.REPORT: _report,
    Form.ENHANCED_CT: _enhanced_ct,
}
