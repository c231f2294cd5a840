"""Objects of the key that are no images: reports, selections, presentation states, plans, waveforms."""

import numpy as np
from pydicom.dataset import Dataset

from tests.bench.deid.place import Elements, Place, code, item, items
from tests.factories import dataset


def report(place: Place) -> Elements:
    """Return a Basic Text SR (PS3.3 A.35.1) whose content names the patient at several depths."""
    person = place.person
    return {
        **_sr_document(place),
        "VerificationFlag": "VERIFIED",
        "VerifyingObserverSequence": item(
            VerifyingObserverName=place.staff[3].full_name,
            VerifyingObserverIdentificationCodeSequence=items(),
            VerifyingOrganization="Klinikum Niederwurzelbach",
            VerificationDateTime=place.date_time,
        ),
        "ConceptNameCodeSequence": code("18748-4", "LN", "Diagnostic imaging report"),
        "ContentSequence": items(
            _section("121060", "History", f"Known patient {person.full_name}, {person.patient_id}"),
            _section("121070", "Findings", "No pleural effusion"),
            _section("121076", "Conclusions", f"{person.family.upper()}: normal. {place.accession_number}"),
            _named(place),
        ),
    }


def key_objects(place: Place) -> Elements:
    """Return a Key Object Selection of images of other series (PS3.3 A.35.4)."""
    return {
        **_sr_document(place),
        "ReferencedPerformedProcedureStepSequence": items(),
        "ConceptNameCodeSequence": code("113000", "DCM", "Of Interest"),
        "ContentTemplateSequence": item(MappingResource="DCMR", TemplateIdentifier="2010"),
        "CurrentRequestedProcedureEvidenceSequence": items(_evidence(place)),
        "ContentSequence": items(
            dataset(
                RelationshipType="CONTAINS",
                ValueType="IMAGE",
                ReferencedSOPSequence=items(place.referenced[0].item()),
            )
        ),
    }


def presentation_state(place: Place) -> Elements:
    """Return a Grayscale Softcopy Presentation State with a remark on the image (PS3.3 A.33.1)."""
    shown = place.referenced[0]
    return {
        "Laterality": "",
        "ContentLabel": "ANNOTATED",
        "ContentDescription": "Measured",
        "ContentCreatorName": place.staff[2].full_name,
        "PresentationCreationDate": place.date,
        "PresentationCreationTime": place.time,
        "PresentationLUTShape": "IDENTITY",
        "ReferencedSeriesSequence": item(
            SeriesInstanceUID=shown.series_instance_uid, ReferencedImageSequence=items(shown.item())
        ),
        "DisplayedAreaSelectionSequence": item(
            ReferencedImageSequence=items(shown.item()),
            DisplayedAreaTopLeftHandCorner=[1, 1],
            DisplayedAreaBottomRightHandCorner=[16, 16],
            PresentationSizeMode="SCALE TO FIT",
            PresentationPixelAspectRatio=[1, 1],
        ),
        "GraphicLayerSequence": item(
            GraphicLayer="LAYER 0", GraphicLayerOrder=1, GraphicLayerDescription="Remarks"
        ),
        "GraphicAnnotationSequence": item(
            GraphicLayer="LAYER 0",
            TextObjectSequence=item(
                AnchorPointAnnotationUnits="PIXEL",
                UnformattedTextValue=f"{place.person.family}, {place.person.given}",
                AnchorPoint=[3, 3],
                AnchorPointVisibility="N",
            ),
        ),
    }


def encapsulated_pdf(place: Place) -> Elements:
    """Return an Encapsulated PDF; the document itself is not scored (PS3.3 A.45.1)."""
    return {
        "ConversionType": "WSD",
        "ContentDate": place.date,
        "ContentTime": place.time,
        "AcquisitionDateTime": place.date_time,
        "BurnedInAnnotation": "YES",
        "DocumentTitle": f"Letter on {place.person.family}",
        "ConceptNameCodeSequence": code("18748-4", "LN", "Diagnostic imaging report"),
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
        "EncapsulatedDocument": b"%PDF-1.4\n%%EOF\n ",
    }


def ecg(place: Place) -> Elements:
    """Return a 12-lead ECG with an annotation (PS3.3 A.34.3)."""
    channel = dataset(
        ChannelSourceSequence=code("2:1", "MDC", "Lead I"),
        ChannelSensitivity=1,
        ChannelSensitivityUnitsSequence=code("uV", "UCUM", "microvolt"),
        ChannelSensitivityCorrectionFactor=1,
        ChannelBaseline=0,
        ChannelTimeSkew=0,
        WaveformBitsStored=16,
    )
    return {
        "ContentDate": place.date,
        "ContentTime": place.time,
        "AcquisitionDateTime": place.date_time,
        "AcquisitionContextSequence": items(),
        "WaveformSequence": item(
            WaveformOriginality="ORIGINAL",
            NumberOfWaveformChannels=1,
            NumberOfWaveformSamples=100,
            SamplingFrequency=500,
            ChannelDefinitionSequence=items(channel),
            WaveformBitsAllocated=16,
            WaveformSampleInterpretation="SS",
            WaveformData=np.arange(100, dtype=np.int16).tobytes(),
        ),
        "WaveformAnnotationSequence": item(
            UnformattedTextValue=f"Sinus rhythm, {place.person.given}",
            ReferencedWaveformChannels=[1, 0],
            AnnotationGroupNumber=1,
        ),
    }


def rt_structure_set(place: Place) -> Elements:
    """Return an RT Structure Set on the images of another series (PS3.3 A.19)."""
    source = place.referenced[0]
    return {
        "StructureSetLabel": "LUNGS",
        "StructureSetName": "Lungs both",
        "StructureSetDate": place.date,
        "StructureSetTime": place.time,
        "FrameOfReferenceUID": place.frame_of_reference_uid,
        "PositionReferenceIndicator": "",
        "ReferencedFrameOfReferenceSequence": item(
            FrameOfReferenceUID=place.frame_of_reference_uid,
            RTReferencedStudySequence=item(
                ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
                ReferencedSOPInstanceUID=source.study_instance_uid,
                RTReferencedSeriesSequence=item(
                    SeriesInstanceUID=source.series_instance_uid, ContourImageSequence=items(source.item())
                ),
            ),
        ),
        "StructureSetROISequence": item(
            ROINumber=1,
            ReferencedFrameOfReferenceUID=place.frame_of_reference_uid,
            ROIName="Lung left",
            ROIGenerationAlgorithm="AUTOMATIC",
        ),
        "ROIContourSequence": item(
            ReferencedROINumber=1,
            ContourSequence=item(
                ContourImageSequence=items(source.item()),
                ContourGeometricType="POINT",
                NumberOfContourPoints=1,
                ContourData=[1.5, 2.5, 3.5],
            ),
        ),
        "RTROIObservationsSequence": item(
            ObservationNumber=1,
            ReferencedROINumber=1,
            RTROIInterpretedType="ORGAN",
            ROIInterpreter=place.staff[2].full_name,
        ),
        "ApprovalStatus": "APPROVED",
        "ReviewDate": place.date,
        "ReviewTime": place.time,
        "ReviewerName": place.staff[3].full_name,
        "OperatorsName": place.staff[1].full_name,
    }


def rt_plan(place: Place) -> Elements:
    """Return an RT Plan of one beam (PS3.3 A.20)."""
    return {
        "RTPlanLabel": "CHEST",
        "RTPlanName": "Chest 50 Gy",
        "RTPlanDate": place.date,
        "RTPlanTime": place.time,
        "RTPlanGeometry": "PATIENT",
        "FrameOfReferenceUID": place.frame_of_reference_uid,
        "PositionReferenceIndicator": "",
        "ReferencedStructureSetSequence": items(place.referenced[0].item()),
        "DoseReferenceSequence": item(
            DoseReferenceNumber=1,
            DoseReferenceUID=f"{place.series_instance_uid}.94",
            DoseReferenceStructureType="SITE",
            DoseReferenceDescription="Target",
            DoseReferenceType="TARGET",
        ),
        "FractionGroupSequence": item(
            FractionGroupNumber=1,
            NumberOfFractionsPlanned=25,
            NumberOfBeams=0,
            NumberOfBrachyApplicationSetups=0,
        ),
        "ApprovalStatus": "UNAPPROVED",
        "OperatorsName": place.staff[1].full_name,
    }


def _sr_document(place: Place) -> Elements:
    return {
        "ContentDate": place.date,
        "ContentTime": place.time,
        "ReferencedPerformedProcedureStepSequence": items(),
        "PerformedProcedureCodeSequence": items(),
        "CompletionFlag": "COMPLETE",
        "ValueType": "CONTAINER",
        "ContinuityOfContent": "SEPARATE",
    }


def _section(value: str, heading: str, text: str) -> Dataset:
    return dataset(
        RelationshipType="CONTAINS",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=code(value, "DCM", heading),
        ContinuityOfContent="SEPARATE",
        ContentSequence=item(
            RelationshipType="CONTAINS",
            ValueType="TEXT",
            ConceptNameCodeSequence=code("121071", "DCM", "Finding"),
            TextValue=text,
        ),
    )


def _named(place: Place) -> Dataset:
    """Return content items that hold a person's name, a date and a UID (PS3.3 C.17.3.2)."""
    return dataset(
        RelationshipType="HAS OBS CONTEXT",
        ValueType="PNAME",
        ConceptNameCodeSequence=code("121008", "DCM", "Person Observer Name"),
        PersonName=place.staff[3].full_name,
        ContentSequence=items(
            dataset(
                RelationshipType="HAS PROPERTIES",
                ValueType="DATETIME",
                ConceptNameCodeSequence=code("121125", "DCM", "DateTime of Recording"),
                DateTime=place.date_time,
            ),
            dataset(
                RelationshipType="HAS PROPERTIES",
                ValueType="UIDREF",
                ConceptNameCodeSequence=code("121126", "DCM", "Source"),
                UID=place.referenced[0].series_instance_uid,
            ),
        ),
    )


def _evidence(place: Place) -> Dataset:
    shown = place.referenced[0]
    return dataset(
        StudyInstanceUID=shown.study_instance_uid,
        ReferencedSeriesSequence=item(
            SeriesInstanceUID=shown.series_instance_uid, ReferencedSOPSequence=items(shown.item())
        ),
    )
