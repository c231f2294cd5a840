"""Images of the key: small, of noise, with the attributes that de-identification must keep."""

import zlib

import numpy as np
from pydicom.dataset import Dataset

from tests.bench.deid.place import Elements, Place, code, item, items
from tests.factories import dataset

BANNER_ROWS = 16
"""Rows at the top of a synthetic ultrasound that stand for burned-in text."""
_EDGE = 16
_ORIENTATION = [1, 0, 0, 0, 1, 0]


def ct(place: Place) -> Elements:
    """Return a CT Image (PS3.3 A.3)."""
    return {
        **_acquisition(place),
        **_plane(place),
        **_grey(place),
        **_source(place),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "KVP": 120,
        "ConvolutionKernel": "B30f",
        "FilterType": "BODY",
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
        "RescaleType": "HU",
        "WindowCenter": 40,
        "WindowWidth": 400,
        "IrradiationEventUID": f"{place.series_instance_uid}.99",
        "CTDIvol": 7.25,
    }


def mr(place: Place) -> Elements:
    """Return an MR Image (PS3.3 A.4)."""
    return {
        **_acquisition(place),
        **_plane(place),
        **_grey(place),
        **_source(place),
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "ScanningSequence": "SE",
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "SequenceName": "tse2d1_15",
        "MRAcquisitionType": "2D",
        "RepetitionTime": 2500,
        "EchoTime": 90,
        "EchoTrainLength": 1,
        "MagneticFieldStrength": 1.5,
        "FlipAngle": 90,
    }


def cr(place: Place) -> Elements:
    """Return a Computed Radiography Image (PS3.3 A.2)."""
    return {
        **_acquisition(place),
        **_grey(place),
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "CassetteID": "CAS5550123",
        "PlateID": "PLT5550124",
    }


def dx(place: Place) -> Elements:
    """Return a Digital X-Ray Image For Presentation (PS3.3 A.26)."""
    return {**_acquisition(place), **_radiograph(place), "BodyPartExamined": "CHEST", "PositionerType": ""}


def mg(place: Place) -> Elements:
    """Return a Digital Mammography Image For Presentation (PS3.3 A.27)."""
    return {
        **_acquisition(place),
        **_radiograph(place),
        "BodyPartExamined": "BREAST",
        "ImageLaterality": "L",
        "ViewCodeSequence": code("399162004", "SCT", "cranio-caudal", ViewModifierCodeSequence=items()),
        "PositionerType": "MAMMOGRAPHIC",
        "OrganExposed": "BREAST",
        "BreastImplantPresent": "NO",
        "PartialView": "NO",
        "DetectorID": "DET5550125",
        "DateOfLastDetectorCalibration": place.date,
    }


def us(place: Place) -> Elements:
    """Return an Ultrasound Image (PS3.3 A.6)."""
    return {
        **_acquisition(place),
        **_colour(place),
        "ImageType": ["ORIGINAL", "PRIMARY", "", "0001"],
        "PatientOrientation": "",
        "Laterality": "",
        "LossyImageCompression": "00",
        "TransducerData": ["C5-1", "", ""],
    }


def us_banner(place: Place) -> Elements:
    """Return an Ultrasound Image with a bright banner in its top rows, where devices write names."""
    pixels = np.resize(_noise(place, 1), (48, 64, 3)).astype(np.uint8)
    pixels[:BANNER_ROWS] = np.where(pixels[:BANNER_ROWS] > 128, 255, 0)
    return {**us(place), "Rows": 48, "Columns": 64, "PixelData": pixels.tobytes()}


def us_cine(place: Place) -> Elements:
    """Return an Ultrasound Multi-frame Image (PS3.3 A.7)."""
    return {
        **us(place),
        **_colour(place, frames=3),
        "FrameTime": 40,
        "FrameIncrementPointer": 0x00181063,
    }


def xa(place: Place) -> Elements:
    """Return an X-Ray Angiographic Image (PS3.3 A.14)."""
    return {
        **_acquisition(place),
        **_grey(place, stored=8),
        "ImageType": ["ORIGINAL", "PRIMARY", "SINGLE PLANE"],
        "PatientOrientation": "",
        "PixelIntensityRelationship": "LIN",
        "RadiationSetting": "GR",
        "Laterality": "",
        "XRayTubeCurrent": "",
        "ExposureTime": "",
        "Exposure": 3,
        "KVP": 75,
        "PositionerMotion": "STATIC",
        "PositionerPrimaryAngle": 12,
        "PositionerSecondaryAngle": -3,
        "LossyImageCompression": "00",
    }


def rf(place: Place) -> Elements:
    """Return an X-Ray Radiofluoroscopic Image (PS3.3 A.16)."""
    return {**xa(place), "ImageType": ["ORIGINAL", "PRIMARY", "SINGLE PLANE"], "ColumnAngulation": 4}


def nm(place: Place) -> Elements:
    """Return a planar Nuclear Medicine Image (PS3.3 A.5)."""
    return {
        **_acquisition(place),
        **_grey(place, frames=1),
        "ImageType": ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"],
        "PatientOrientationCodeSequence": code("102538003", "SCT", "recumbent"),
        "PatientGantryRelationshipCodeSequence": code("102540001", "SCT", "headfirst"),
        "FrameIncrementPointer": [0x00540010, 0x00540020],
        "Laterality": "",
        "PixelSpacing": [4, 4],
        "CountsAccumulated": 500000,
        "ActualFrameDuration": 1000,
        "EnergyWindowVector": 1,
        "DetectorVector": 1,
        "NumberOfEnergyWindows": 1,
        "NumberOfDetectors": 1,
        "EnergyWindowInformationSequence": item(EnergyWindowName="Tc99m"),
        "RadiopharmaceuticalInformationSequence": items(_radiopharmaceutical(place)),
        "DetectorInformationSequence": item(
            CollimatorType="PARA", ImagePositionPatient="", ImageOrientationPatient=""
        ),
        "LossyImageCompression": "00",
    }


def pt(place: Place) -> Elements:
    """Return a Positron Emission Tomography Image (PS3.3 A.21)."""
    return {
        **_acquisition(place),
        **_plane(place),
        **_grey(place),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "SeriesType": ["WHOLE BODY", "IMAGE"],
        "Laterality": "",
        "Units": "BQML",
        "CountsSource": "EMISSION",
        "CorrectedImage": ["DECY", "ATTN"],
        "NumberOfSlices": 3,
        "DecayCorrection": "START",
        "CollimatorType": "NONE",
        "RescaleIntercept": 0,
        "RescaleSlope": 1.5,
        "FrameReferenceTime": 0,
        "ActualFrameDuration": 60000,
        "DecayFactor": 1.02,
        "ImageIndex": 1,
        "PatientOrientationCodeSequence": code("102538003", "SCT", "recumbent"),
        "PatientGantryRelationshipCodeSequence": code("102540001", "SCT", "headfirst"),
        "RadiopharmaceuticalInformationSequence": items(_radiopharmaceutical(place)),
    }


def secondary_capture(place: Place) -> Elements:
    """Return a Secondary Capture Image (PS3.3 A.8.1)."""
    return {
        **_colour(place),
        "ConversionType": "WSD",
        "DateOfSecondaryCapture": place.date,
        "TimeOfSecondaryCapture": place.time,
        "SecondaryCaptureDeviceID": "SCD5550126",
        "ImageType": ["DERIVED", "SECONDARY"],
        "PatientOrientation": "",
        "Laterality": "",
        "ContentDate": place.date,
        "ContentTime": place.time,
    }


def op(place: Place) -> Elements:
    """Return an Ophthalmic Photography 8 Bit Image (PS3.3 A.41)."""
    return {
        **_colour(place),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "ContentDate": place.date,
        "ContentTime": place.time,
        "AcquisitionDateTime": place.date_time,
        "PatientOrientation": ["L", "F"],
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "ImageLaterality": "R",
        "PatientEyeMovementCommanded": "NO",
        "EmmetropicMagnification": 1,
        "IntraOcularPressure": 15,
        "HorizontalFieldOfView": 45,
        "PupilDilated": "YES",
        "DegreeOfDilation": 7,
        "AnatomicRegionSequence": code("81745001", "SCT", "Eye"),
        "AcquisitionDeviceTypeCodeSequence": code("409898007", "SCT", "Fundus Camera"),
        "IlluminationTypeCodeSequence": items(),
        "LightPathFilterTypeStackCodeSequence": items(),
        "ImagePathFilterTypeStackCodeSequence": items(),
        "LensesCodeSequence": items(),
        "DetectorType": "CCD",
        "AcquisitionContextSequence": items(),
        "PresentationLUTShape": "IDENTITY",
    }


def sm(place: Place) -> Elements:
    """Return a tile of a whole slide with its specimen (PS3.3 A.32.8)."""
    return {
        **_colour(place, frames=1),
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        "ContentDate": place.date,
        "ContentTime": place.time,
        "AcquisitionDateTime": place.date_time,
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "VolumetricProperties": "VOLUME",
        "SpecimenLabelInImage": "NO",
        "FocusMethod": "AUTO",
        "ExtendedDepthOfField": "NO",
        "ImagedVolumeWidth": 1,
        "ImagedVolumeHeight": 1,
        "ImagedVolumeDepth": 1,
        "TotalPixelMatrixColumns": _EDGE,
        "TotalPixelMatrixRows": _EDGE,
        "TotalPixelMatrixOriginSequence": item(
            XOffsetInSlideCoordinateSystem=1, YOffsetInSlideCoordinateSystem=2
        ),
        "ImageOrientationSlide": _ORIENTATION,
        "FrameOfReferenceUID": place.frame_of_reference_uid,
        "PositionReferenceIndicator": "SLIDE_CORNER",
        "AcquisitionContextSequence": items(),
        **_container(place),
        **_dimensions(place),
    }


def enhanced_ct(place: Place) -> Elements:
    """Return a derived Enhanced CT Image (PS3.3 A.38), which needs no groups on how it was acquired."""
    frame_type = {
        "ImageType": ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
    }
    groups = {
        "CTImageFrameTypeSequence": item(FrameType=frame_type["ImageType"], **_without_type(frame_type)),
        "PixelValueTransformationSequence": item(RescaleIntercept=0, RescaleSlope=1, RescaleType="HU"),
        "FrameVOILUTSequence": item(WindowCenter=40, WindowWidth=400),
        "IrradiationEventIdentificationSequence": item(IrradiationEventUID=f"{place.series_instance_uid}.99"),
    }
    return {**_enhanced(place, groups), **frame_type}


def enhanced_mr(place: Place) -> Elements:
    """Return a derived Enhanced MR Image (PS3.3 A.36)."""
    frame_type = {
        "ImageType": ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": "T1",
    }
    groups = {
        "MRImageFrameTypeSequence": item(FrameType=frame_type["ImageType"], **_without_type(frame_type)),
        "FrameVOILUTSequence": item(WindowCenter=40, WindowWidth=400),
        "PixelValueTransformationSequence": item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US"),
    }
    magnet = {"MagneticFieldStrength": 3, "ResonantNucleus": "1H", "ApplicableSafetyStandardAgency": "IEC"}
    return {**_enhanced(place, groups), **frame_type, **magnet}


def segmentation(place: Place) -> Elements:
    """Return a binary Segmentation of the image that it refers to (PS3.3 A.51)."""
    source = place.referenced[0]
    bits = np.packbits(_noise(place, 1) > 128, axis=None).tobytes()
    return {
        **_multi_frame(place, {"SegmentIdentificationSequence": item(ReferencedSegmentNumber=1)}, frames=1),
        "ImageType": ["DERIVED", "PRIMARY"],
        "ContentLabel": "LIVER",
        "ContentDescription": "Liver, automatic",
        "ContentCreatorName": place.staff[2].full_name,
        "LossyImageCompression": "00",
        "SegmentationType": "BINARY",
        "SegmentSequence": item(
            SegmentNumber=1,
            SegmentLabel="Liver",
            SegmentAlgorithmType="AUTOMATIC",
            SegmentAlgorithmName="threshold",
            SegmentedPropertyCategoryCodeSequence=code("123037004", "SCT", "Anatomical Structure"),
            SegmentedPropertyTypeCodeSequence=code("10200004", "SCT", "Liver"),
            TrackingID="Finding 1",
            TrackingUID=f"{place.series_instance_uid}.97",
        ),
        "ReferencedSeriesSequence": item(
            SeriesInstanceUID=source.series_instance_uid,
            ReferencedInstanceSequence=items(*(found.item() for found in place.referenced[:1])),
        ),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": _EDGE,
        "Columns": _EDGE,
        "BitsAllocated": 1,
        "BitsStored": 1,
        "HighBit": 0,
        "PixelRepresentation": 0,
        "PixelData": bits,
    }


def rt_dose(place: Place) -> Elements:
    """Return an RT Dose grid (PS3.3 A.18)."""
    plan = place.referenced[0]
    return {
        **_plane(place),
        **_grey(place, frames=2),
        "DoseUnits": "GY",
        "DoseType": "PHYSICAL",
        "DoseSummationType": "PLAN",
        "DoseGridScaling": 0.001,
        "FrameIncrementPointer": 0x3004000C,
        "GridFrameOffsetVector": [0, 2.5],
        "DoseComment": "3 mm grid",
        "ReferencedRTPlanSequence": items(plan.item()),
        "OperatorsName": place.staff[1].full_name,
        "InstanceCreatorUID": f"{place.study_instance_uid}.96",
    }


def _acquisition(place: Place) -> Elements:
    return {
        "AcquisitionNumber": 1,
        "AcquisitionDate": place.date,
        "AcquisitionTime": place.time,
        "ContentDate": place.date,
        "ContentTime": place.time,
        "AcquisitionDateTime": place.date_time,
        "OperatorsName": place.staff[1].full_name,
        "PerformedProcedureStepStartDate": place.date,
        "PerformedProcedureStepStartTime": place.time,
        "PerformedProcedureStepID": place.accession_number,
    }


def _source(place: Place) -> Elements:
    """Return references to other images, nested with codes (PS3.3 C.7.6.1.1.4)."""
    source = place.referenced[0].item()
    source.PurposeOfReferenceCodeSequence = code("121322", "DCM", "Source of image processing operation")
    return {
        "ReferencedImageSequence": items(place.referenced[-1].item()),
        "SourceImageSequence": items(source),
        "AnatomicRegionSequence": code("51185008", "SCT", "Chest"),
    }


def _plane(place: Place) -> Elements:
    """Return the modules Frame of Reference and Image Plane (PS3.3 C.7.4.1, C.7.6.2)."""
    return {
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": place.frame_of_reference_uid,
        "PositionReferenceIndicator": "",
        "PixelSpacing": [0.75, 0.75],
        "ImageOrientationPatient": _ORIENTATION,
        "ImagePositionPatient": [-6, -6, 2.5 * place.instance_number],
        "SliceThickness": 2.5,
        "SliceLocation": 2.5 * place.instance_number,
    }


def _radiograph(place: Place) -> Elements:
    """Return what radiographs of flat detectors share (PS3.3 C.8.11)."""
    return {
        **_grey(place),
        "PresentationIntentType": "FOR PRESENTATION",
        "ImageType": ["ORIGINAL", "PRIMARY", ""],
        "PatientOrientation": ["L", "F"],
        "ImageLaterality": "U",
        "AnatomicRegionSequence": code("51185008", "SCT", "Chest"),
        "DetectorType": "DIRECT",
        "ImagerPixelSpacing": [0.1, 0.1],
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": -1,
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
        "RescaleType": "US",
        "PresentationLUTShape": "IDENTITY",
        "LossyImageCompression": "00",
        "BurnedInAnnotation": "NO",
        "AcquisitionContextSequence": items(),
        "WindowCenter": 2000,
        "WindowWidth": 4000,
    }


def _radiopharmaceutical(place: Place) -> Dataset:
    return dataset(
        RadionuclideCodeSequence=code("C-111A1", "SRT", "^18^Fluorine"),
        Radiopharmaceutical="FDG",
        RadiopharmaceuticalStartTime=place.time,
        RadiopharmaceuticalStartDateTime=place.date_time,
        RadionuclideTotalDose=350000000,
    )


def _container(place: Place) -> Elements:
    """Return the module Specimen (PS3.3 C.7.6.22)."""
    return {
        "ContainerIdentifier": f"B{place.accession_number}",
        "IssuerOfTheContainerIdentifierSequence": items(),
        "ContainerTypeCodeSequence": items(),
        "SpecimenDescriptionSequence": item(
            SpecimenIdentifier=f"S{place.accession_number}",
            IssuerOfTheSpecimenIdentifierSequence=items(),
            SpecimenUID=f"{place.study_instance_uid}.95",
            SpecimenPreparationSequence=items(),
        ),
    }


def _dimensions(place: Place) -> Elements:
    organization = f"{place.series_instance_uid}.98"
    return {
        "DimensionOrganizationSequence": item(DimensionOrganizationUID=organization),
        "DimensionIndexSequence": item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=0x00209057,  # In-Stack Position Number
            FunctionalGroupPointer=0x00209111,  # Frame Content Sequence
            DimensionDescriptionLabel="In-Stack Position Number",
        ),
    }


def _enhanced(place: Place, groups: Elements) -> Elements:
    return {
        **_multi_frame(place, groups, frames=2),
        **_grey(place, frames=2),
        "AcquisitionDateTime": place.date_time,
        "PatientPosition": "HFS",
        "ContentQualification": "RESEARCH",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
        "AcquisitionContextSequence": items(),
    }


def _multi_frame(place: Place, groups: Elements, frames: int) -> Elements:
    """Return functional groups (PS3.3 C.7.6.16), with planes and the times of frames."""
    return {
        "FrameOfReferenceUID": place.frame_of_reference_uid,
        "PositionReferenceIndicator": "",
        "ContentDate": place.date,
        "ContentTime": place.time,
        "NumberOfFrames": frames,
        "SharedFunctionalGroupsSequence": item(
            PixelMeasuresSequence=item(PixelSpacing=[0.75, 0.75], SliceThickness=2.5),
            PlaneOrientationSequence=item(ImageOrientationPatient=_ORIENTATION),
            FrameAnatomySequence=item(
                FrameLaterality="U", AnatomicRegionSequence=code("51185008", "SCT", "Chest")
            ),
            **groups,
        ),
        "PerFrameFunctionalGroupsSequence": items(*(_frame(place, frame) for frame in range(frames))),
        **_dimensions(place),
    }


def _frame(place: Place, frame: int) -> Dataset:
    return dataset(
        FrameContentSequence=item(
            FrameAcquisitionDateTime=place.date_time,
            FrameReferenceDateTime=place.date_time,
            FrameAcquisitionDuration=12.5,
            StackID="1",
            InStackPositionNumber=frame + 1,
            DimensionIndexValues=[frame + 1],
        ),
        PlanePositionSequence=item(ImagePositionPatient=[-6, -6, 2.5 * frame]),
    )


def _without_type(frame_type: Elements) -> Elements:
    return {keyword: value for keyword, value in frame_type.items() if keyword != "ImageType"}


def _grey(place: Place, frames: int = 0, stored: int = 16) -> Elements:
    pixels = _noise(place, max(frames, 1)).astype(np.uint8 if stored == 8 else np.uint16)
    return {
        **({"NumberOfFrames": frames} if frames else {}),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": _EDGE,
        "Columns": _EDGE,
        "BitsAllocated": stored,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes(),
    }


def _colour(place: Place, frames: int = 0) -> Elements:
    pixels = np.stack([_noise(place, max(frames, 1))] * 3, axis=-1).astype(np.uint8)
    return {
        **({"NumberOfFrames": frames} if frames else {}),
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": _EDGE,
        "Columns": _EDGE,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes(),
    }


def _noise(place: Place, frames: int) -> np.ndarray:
    """Return frames of other pixels in each instance, the same on every run."""
    seed = zlib.crc32(place.sop_instance_uid.encode())
    return np.random.default_rng(seed).integers(1, 255, (frames, _EDGE, _EDGE))
