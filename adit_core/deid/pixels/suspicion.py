"""Which instances are likely to show text that identifies the patient.

The first row that fits gives the reason; the header of the original instance is all that it takes.

====================================  ==============================================================
burned in text is likely              because
====================================  ==============================================================
Burned In Annotation is YES           the device says so
Recognizable Visual Features is YES   the device says that the patient can be recognized
an encapsulated document              PDF, CDA, 3D models: nothing here reads what is in it
a video                               by transfer syntax or SOP class; nothing here decodes it
secondary capture                     every class of it: screenshots, scanned paper, digitized film
ultrasound                            every class and modality: the banner is part of the picture
a visible light picture               photographs, endoscopy, microscopy: faces, labels, banners
a modality of documents and pictures  OT, DOC, HC, BMD (densitometry reports) and the like
Conversion Type other than DI         digitized video or film, workstation, scanned, drawn
Image Type names a report             SCREEN SAVE, DOSE, PROT, REPORT, LABEL, VOLREN …
the series is called a report         dose report, patient protocol, screenshot, scan of paper
colour                                RGB, YBR or palette: rendered, fused or captured
8 bit and SECONDARY                   rendered on a workstation, not measured
an unknown kind of image              a private or unknown SOP class with pixels
====================================  ==============================================================

Burned In Annotation NO proves nothing: many devices write it into every image. Neither does
DERIVED or SECONDARY alone raise suspicion: reformatted CT and maps of MR are that, too.
"""

import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

_US_CLASSES = ("1.2.840.10008.5.1.4.1.1.3", "1.2.840.10008.5.1.4.1.1.6")
_SC_CLASSES = ("1.2.840.10008.5.1.4.1.1.7",)
_VL_CLASSES = ("1.2.840.10008.5.1.4.1.1.77",)
_DOCUMENT_CLASSES = ("1.2.840.10008.5.1.4.1.1.104",)
_VIDEO_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.77.1.1.1",
    "1.2.840.10008.5.1.4.1.1.77.1.2.1",
    "1.2.840.10008.5.1.4.1.1.77.1.4.1",
)
_VIDEO_SYNTAXES = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.10[0-8]|7)(\.|$)")
"""MPEG-2, MPEG-4, HEVC and SMPTE ST 2110 (PS3.6 A)."""

_US_MODALITIES = frozenset({"US", "IVUS", "EC", "DD", "BDUS"})
_PICTURE_MODALITIES = frozenset({"DMS", "EPS", "ES", "GM", "XC", "SM", "OP"})
_DOCUMENT_MODALITIES = frozenset({"BMD", "DOC", "HC", "OT", "FID"})

_REPORT_WORDS = frozenset(
    {
        "CAPTURE", "CURVE", "DEMOGRAPHICDATA", "DOCUMENT", "DOSE", "GRAPH", "INVALID", "LABEL", "OVERVIEW",
        "PROT", "PROTOCOL", "REPORT", "REPORTDATA", "SCANNED", "SCREEN", "SCREENSAVE", "SCREENSHOT",
        "SNAPSHOT", "VOLREN", "VXTL",
    }
)  # fmt: skip
_REPORT_TITLES = re.compile(
    r"dose (report|info|record|sheet)|patient protocol|protocol page"
    r"|screen ?(save|shot|capture)|scan(ned)? doc",
    re.IGNORECASE,
)
_COLOURED = re.compile(r"RGB|YBR|PALETTE COLOR|HSV|ARGB|CMYK")


def burned_in_suspicion(dataset: Dataset) -> str:
    """Return why identifying text is likely in the pixels or the document of an instance, or nothing."""
    return (
        _by_its_own_word(dataset)
        or _by_sop_class(dataset)
        or _by_modality(dataset)
        or _by_origin(dataset)
        or _by_pixels(dataset)
    )


def _by_its_own_word(dataset: Dataset) -> str:
    if _text(dataset, "BurnedInAnnotation") == "YES":
        return "the device says that it has burned-in annotation"
    if _text(dataset, "RecognizableVisualFeatures") == "YES":
        return "the device says that the patient can be recognized"
    return ""


def _by_sop_class(dataset: Dataset) -> str:
    sop_class = _text(dataset, "SOPClassUID")
    syntax = str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ""))
    reasons = {
        "encapsulated document": _is_of(sop_class, _DOCUMENT_CLASSES) or "EncapsulatedDocument" in dataset,
        "video": _is_of(sop_class, _VIDEO_CLASSES) or bool(_VIDEO_SYNTAXES.match(syntax)),
        "secondary capture": _is_of(sop_class, _SC_CLASSES),
        "ultrasound": _is_of(sop_class, _US_CLASSES),
        "visible light picture": _is_of(sop_class, _VL_CLASSES),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _by_modality(dataset: Dataset) -> str:
    modality = _text(dataset, "Modality")
    if modality in _US_MODALITIES:
        return "ultrasound"
    if modality in _PICTURE_MODALITIES:
        return "visible light picture"
    return f"modality {modality}" if modality in _DOCUMENT_MODALITIES else ""


def _by_origin(dataset: Dataset) -> str:
    conversion = _text(dataset, "ConversionType")
    if conversion not in {"", "DI"}:
        return "converted from video, film, paper or a workstation"
    if _image_words(dataset) & _REPORT_WORDS and _text(dataset, "Modality") != "RTDOSE":
        return "the image type is that of a report or a screenshot"
    titles = (_text(dataset, "SeriesDescription"), _text(dataset, "ProtocolName"))
    if any(_REPORT_TITLES.search(title) for title in titles):
        return "the series is called a report or a screenshot"
    return ""


def _by_pixels(dataset: Dataset) -> str:
    if not dataset.get("Rows"):
        return ""
    if _COLOURED.match(_text(dataset, "PhotometricInterpretation")):
        return "colour image"
    if dataset.get("BitsAllocated") == 8 and "SECONDARY" in _image_words(dataset):
        return "rendered image"
    sop_class = UID(_text(dataset, "SOPClassUID"))
    return "unknown kind of image" if sop_class.name == str(sop_class) else ""


def _is_of(sop_class: str, families: tuple[str, ...]) -> bool:
    return any(sop_class == family or sop_class.startswith(f"{family}.") for family in families)


def _image_words(dataset: Dataset) -> set[str]:
    return set(re.findall(r"[A-Z0-9]+", _text(dataset, "ImageType").upper()))


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword) or ""
    return " ".join(map(str, value)) if isinstance(value, MultiValue) else str(value).strip()
