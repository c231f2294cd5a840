"""The information objects of the key: of each kind an instance with what its IOD demands (PS3.3 A)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.bench.deid import documents, images
from tests.bench.deid.people import Person
from tests.bench.deid.place import Elements, Place, item
from tests.factories import dataset


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of information object."""

    modality: str
    sop_class_uid: UID
    elements: Callable[[Place], Elements]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "CT": Kind("CT", uid.CTImageStorage, images.ct),
        "MR": Kind("MR", uid.MRImageStorage, images.mr),
        "CR": Kind("CR", uid.ComputedRadiographyImageStorage, images.cr),
        "DX": Kind("DX", uid.DigitalXRayImageStorageForPresentation, images.dx),
        "MG": Kind("MG", uid.DigitalMammographyXRayImageStorageForPresentation, images.mg),
        "US": Kind("US", uid.UltrasoundImageStorage, images.us),
        "US wide": Kind("US", uid.UltrasoundImageStorage, images.us_banner),
        "US cine": Kind("US", uid.UltrasoundMultiFrameImageStorage, images.us_cine),
        "XA": Kind("XA", uid.XRayAngiographicImageStorage, images.xa),
        "RF": Kind("RF", uid.XRayRadiofluoroscopicImageStorage, images.rf),
        "NM": Kind("NM", uid.NuclearMedicineImageStorage, images.nm),
        "PT": Kind("PT", uid.PositronEmissionTomographyImageStorage, images.pt),
        "SC": Kind("OT", uid.SecondaryCaptureImageStorage, images.secondary_capture),
        "OP": Kind("OP", uid.OphthalmicPhotography8BitImageStorage, images.op),
        "SM tile": Kind("SM", uid.VLWholeSlideMicroscopyImageStorage, images.sm),
        "enhanced CT": Kind("CT", uid.EnhancedCTImageStorage, images.enhanced_ct),
        "enhanced MR": Kind("MR", uid.EnhancedMRImageStorage, images.enhanced_mr),
        "SEG": Kind("SEG", uid.SegmentationStorage, images.segmentation),
        "RTDOSE": Kind("RTDOSE", uid.RTDoseStorage, images.rt_dose),
        "RTSTRUCT": Kind("RTSTRUCT", uid.RTStructureSetStorage, documents.rt_structure_set),
        "RTPLAN": Kind("RTPLAN", uid.RTPlanStorage, documents.rt_plan),
        "SR": Kind("SR", uid.BasicTextSRStorage, documents.report),
        "KO": Kind("KO", uid.KeyObjectSelectionDocumentStorage, documents.key_objects),
        "PR": Kind("PR", uid.GrayscaleSoftcopyPresentationStateStorage, documents.presentation_state),
        "PDF": Kind("DOC", uid.EncapsulatedPDFStorage, documents.encapsulated_pdf),
        "ECG": Kind("ECG", uid.TwelveLeadECGWaveformStorage, documents.ecg),
    }
)
"""All kinds by name."""


_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def build(kind: str, place: Place) -> Dataset:
    """Return an instance with file meta; every second series is in Implicit VR Little Endian."""
    made = dataset(
        **_identification(place),
        Modality=KINDS[kind].modality,
        SOPClassUID=KINDS[kind].sop_class_uid,
        **_equipment(kind),
    )
    for keyword, value in KINDS[kind].elements(place).items():
        setattr(made, keyword, value)
    made.file_meta = _file_meta(made, _SYNTAXES[place.series_number % len(_SYNTAXES)])
    return made


def _identification(place: Place) -> Elements:
    """Return the modules Patient, General Study and General Series (PS3.3 C.7.1 to C.7.3)."""
    person = place.person
    return {
        **_character_set(person),
        "PatientName": person.full_name,
        "PatientID": person.patient_id,
        "PatientBirthDate": person.birth,
        "PatientSex": person.sex,
        "PatientAge": f"{place.taken.year - person.birth_date.year:03}Y",
        "PatientSize": 1.71,
        "PatientWeight": 74.5,
        "StudyInstanceUID": place.study_instance_uid,
        "StudyDate": place.date,
        "StudyTime": place.time,
        "StudyID": place.accession_number,
        "AccessionNumber": place.accession_number,
        "ReferringPhysicianName": place.staff[0].full_name,
        "SeriesInstanceUID": place.series_instance_uid,
        "SeriesNumber": place.series_number,
        "SeriesDate": place.date,
        "SeriesTime": place.time,
        "SOPInstanceUID": place.sop_instance_uid,
        "InstanceNumber": place.instance_number,
        "InstanceCreationDate": place.date,
        "InstanceCreationTime": place.time,
        "ReferencedStudySequence": item(
            ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=place.study_instance_uid
        ),
    }


def _character_set(person: Person) -> Elements:
    """Return Specific Character Set, which is absent for the default repertoire (PS3.3 C.12.1.1.2)."""
    if not any(person.character_set):
        return {}
    return {"SpecificCharacterSet": list(person.character_set)}


def _equipment(kind: str) -> Elements:
    """Return the module General Equipment (PS3.3 C.7.5.1)."""
    return {
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": f"Phantom {kind}",
        "DeviceSerialNumber": "SN-5550199",
        "SoftwareVersions": ["VB 1.2", "3.0"],
        "StationName": "ROOMQUITTE",
        "InstitutionName": "Klinikum Niederwurzelbach",
    }


def _file_meta(made: Dataset, transfer_syntax_uid: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    return meta
