"""What is written into attributes: harmless texts, sentences that name somebody, dates, private elements."""

from datetime import timedelta
from functools import lru_cache
from random import Random
from types import MappingProxyType

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c
from pydicom.datadict import dictionary_keyword, dictionary_VR, keyword_dict
from pydicom.dataset import Dataset

from tests.bench.deid.people import Plant
from tests.bench.deid.place import Place, code, item
from tests.factories import dataset

CONFIDENTIAL = {(tag[0] << 16) + tag[1] for tag in dicomfields_2026c.ALL_TAGS if len(tag) == 2} & set(
    keyword_dict.values()
)
"""The tags of PS3.15 table E.1-1 as dicom-anonymizer transcribed them: a yardstick that is not ours."""

HARMLESS = MappingProxyType(
    {
        "StudyDescription": (
            "CT Thorax",
            "MRI brain without and with contrast",
            "Chest, two views",
            "PET/CT",
        ),
        "SeriesDescription": ("t1_mprage_sag_p2_iso", "AX T2 FLAIR", "Localizer", "Lung 1.0 mm", "L MLO"),
        "ProtocolName": ("Abdomen routine", "ep2d_diff_4scan_trace_p2", "Head spiral", "CINE 2D"),
        "DerivationDescription": ("MPR coronal 3 mm", "Lossless JPEG compression", "average intensity"),
        "ImageComments": ("motion artifact", "portal venous phase", "Inspiration"),
        "ContrastBolusAgent": ("iodine", "Gadolinium", "none"),
        "AcquisitionDeviceProcessingDescription": ("edge enhancement", "STANDARD"),
        "AcquisitionProtocolDescription": ("low dose", "arterial phase"),
        "RequestedProcedureDescription": ("CT abdomen and pelvis", "MR knee left"),
        "PerformedProcedureStepDescription": ("CT chest", "Mammography screening"),
        "CommentsOnThePerformedProcedureStep": ("repeated after motion", "without contrast"),
        "AdmittingDiagnosesDescription": ("pneumonia", "suspected fracture"),
        "AdditionalPatientHistory": ("lung cancer, surgery", "hypertension"),
        "Allergies": ("iodine contrast", "penicillin"),
        "PreMedication": ("none",),
        "PatientState": ("stable",),
        "SpecialNeeds": ("wheelchair",),
        "ReasonForTheRequestedProcedure": ("exclude pulmonary embolism", "staging"),
        "FrameComments": ("diastole",),
        "StructureSetLabel": ("LUNGS",),
        "StructureSetName": ("Lungs both",),
        "ROIName": ("Lung left", "Spinal cord"),
        "RTPlanLabel": ("CHEST",),
        "RTPlanName": ("Chest 50 Gy",),
        "RTPlanDescription": ("3 fields", "boost left breast"),
        "DoseReferenceDescription": ("Target",),
        "BeamDescription": ("anterior, 6 MV",),
    }
)
"""By attributes that the option Clean Descriptors keeps when they are clean: texts as devices write them."""

KEPT_OUTSIDE_THE_TABLE = MappingProxyType(
    {
        "BodyPartExamined": ("CHEST", "HEAD", "KNEE"),
        "FilterMaterial": ("ALUMINUM",),
        "Grid": ("FIXED",),
        "ReceiveCoilName": ("HeadNeck_20", "Body_18"),
        "TransmitCoilName": ("Body",),
        "ImagedNucleus": ("1H",),
        "ExposureControlModeDescription": ("automatic",),
        "ReconstructionMethod": ("OSEM",),
        "AttenuationCorrectionMethod": ("measured",),
        "ScatterCorrectionMethod": ("model based",),
        "AcquisitionProtocolName": ("Chest low dose",),
        "LossyImageCompressionRatio": (12,),
        "ExposureTime": (500,),
    }
)
"""Technical attributes that no row of the table names: whatever is in them, unless it identifies, stays."""

_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_LIMITS = MappingProxyType({"SH": 16, "LO": 64, "PN": 64})
_NOT_FREE = (
    *("CodeValue", "ExtendedCodeValue", "LongCodeValue", "Coding", "Mapping", "Timezone", "PrivateCreator"),
    *("PrivateDataElement", "DimensionIndexPrivate", "FunctionalGroupPrivate", "AttributeOccurrencePrivate"),
    *("SelectorSequencePointerPrivate", "SelectorAttributePrivate", "MIMEType", "ListOfMIME", "FontName"),
    *("CSSFontName", "EXIFVersion", "DeletionLock", "DeidentificationMethod"),
)
"""How codes, identifiers of schemes, types and versions begin, that nobody types into."""
_IN_EACH_INSTANCE = frozenset({"PatientName", "PatientID", "AccessionNumber", "StudyID", "Manufacturer"})
PLANTABLE = tuple(
    keyword
    for keyword, tag in sorted(keyword_dict.items())
    if dictionary_VR(tag) in _TEXT_VRS
    and tag >> 16 not in {0, 2, 4}
    and not keyword.startswith(_NOT_FREE)
    and keyword not in _IN_EACH_INSTANCE
)
"""All attributes that somebody could type a name into, those that are retired too."""

SHIFTED = tuple(
    dictionary_keyword(tag)
    for tag in sorted(CONFIDENTIAL)
    if dictionary_VR(tag) in {"DA", "DT"}
    and tag >> 16 not in {0, 2, 4}
    and dictionary_keyword(tag) not in {"PatientBirthDate", "GPSTimeStamp"}
)
"""Dates that longitudinal information with modified dates shifts (those of the table but two)."""

_SENTENCES = (
    *("{}", "CT Thorax {}", "{} T1 axial", "compare with {}", "Pat. {}", "for {}, urgent", "see ({})"),
    *("MRI head/{}/2", "{}; no contrast", "follow-up of {} in 3 months"),
)


def plant(random: Random, keyword: str, place: Place) -> str:
    """Return a text for the attribute that names the patient, somebody of the staff, or the examination."""
    vr = dictionary_VR(keyword)
    limit = _LIMITS.get(vr, 1000)
    spelled = random.choice(spellings(place)).text
    if vr == "PN":
        return random.choice([place.person.full_name, random.choice(place.staff).full_name])
    sentence = random.choice(_SENTENCES).format(spelled)
    fitting = [text for text in (sentence, spelled, place.person.family) if _fits(text, limit)]
    return fitting[0] if fitting else place.person.patient_id


@lru_cache(maxsize=4)
def spellings(place: Place) -> tuple[Plant, ...]:
    """Return all that identifies in the instance, as texts spell it."""
    taken, accession = place.taken, place.accession_number
    return (
        *place.person.name_spellings(),
        *place.person.number_spellings(),
        *(spelled for colleague in place.staff for spelled in colleague.name_spellings()),
        Plant(f"Acc {accession}", (accession,)),
        Plant(f"{taken:%d.%m.%Y}", (f"{taken:%d.%m.%Y}",)),
        Plant(f"{taken:%Y-%m-%d}", (f"{taken:%Y-%m-%d}",)),
        Plant(f"{taken:%m/%d/%Y}", (f"{taken:%m/%d/%Y}",)),
        Plant("Niederwurzelbach", ("Niederwurzelbach",)),
    )


def _fits(text: str, limit: int) -> bool:
    """Tell whether a text fits, with room for the escapes of ISO 2022."""
    return len(text) + 8 * (not text.isascii()) <= limit


def date_value(random: Random, keyword: str, place: Place) -> str:
    """Return a value for a date attribute, at most a year before the examination."""
    day = place.taken - timedelta(days=random.randrange(365))
    if dictionary_VR(keyword) == "DA":
        return f"{day:%Y%m%d}"
    return f"{day:%Y%m%d%H%M%S}" + random.choice(["", ".5", "+0100", ".123456-0500"])


def add_private(made: Dataset, random: Random, place: Place) -> None:
    """Add blocks of three creators: numbers, texts, bytes and a sequence that identify."""
    spelled = [chosen.text for chosen in random.sample(spellings(place), 3)]
    ascii_name = place.staff[1].family
    unknown = made.private_block(0x0029, "ADIT BENCH HEADER 1.0", create=True)
    unknown.add_new(0x08, "CS", "PHANTOM")
    unknown.add_new(0x10, "OB", f"operator={ascii_name};id={place.person.patient_id};".encode() + b"\0")
    unknown.add_new(0x20, "LO", spelled[0])
    unknown.add_new(
        0x30, "SQ", [dataset(PatientComments=spelled[1], ContentSequence=item(TextValue=spelled[2]))]
    )
    unknown.add_new(0x40, "UN", f"NAME {ascii_name.upper()} {place.date}".encode())
    known = made.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    known.add_new(0x0C, "IS", 1000)
    known.add_new(0x0D, "CS", "DIRECTIONAL")
    known.add_new(0x99, "LO", spelled[0])
    named_creator = made.private_block(0x0031, f"EXPORT {ascii_name}"[:64], create=True)
    named_creator.add_new(0x01, "DA", place.person.birth)


def add_nested(made: Dataset, random: Random, place: Place) -> None:
    """Add texts that identify, and others that do not, four sequences deep."""

    def said() -> str:
        return random.choice(spellings(place)).text

    made.RequestAttributesSequence = item(
        RequestedProcedureID=place.accession_number,
        ScheduledProcedureStepDescription=said(),
        ScheduledProcedureStepID=place.accession_number,
        RequestedProcedureDescription=said(),
        ReasonForTheRequestedProcedure=said(),
    )
    made.PerformedProtocolCodeSequence = code(
        "P5-0808E",
        "SRT",
        "CT of chest",
        ProtocolContextSequence=item(
            ValueType="TEXT",
            ConceptNameCodeSequence=code("122131", "DCM", "Remark"),
            TextValue=said(),
            ContentItemModifierSequence=item(
                ValueType="TEXT",
                ConceptNameCodeSequence=code("122131", "DCM", said()[:64]),
                TextValue=said(),
            ),
        ),
    )
    made.ProcedureCodeSequence = code("P5-0808E", "SRT", "CT of chest")
    made.ReferencedPatientSequence = item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.1.1",
        ReferencedSOPInstanceUID=f"{place.study_instance_uid}.93",
    )
