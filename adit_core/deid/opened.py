"""A data set taken apart: its elements as they are encoded, and the items of its sequences likewise.

Values stay raw, so that what is kept is kept byte by byte and what is removed is never decoded.
"""

from dataclasses import dataclass

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag

from adit_core.deid import charsets

Element = DataElement | RawDataElement
"""An element of a data set that was read, or of one that was made or changed in memory."""

_SEQUENCES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")
_UNSURE = frozenset({None, "UN"})
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_IMPLICIT_HEADER = 8


@dataclass(frozen=True, slots=True)
class Opened:
    """A data set, the encodings of its text, and its sequences, opened as well."""

    dataset: Dataset
    encodings: tuple[str, ...]
    sequences: "dict[BaseTag, list[Opened]]"


def opened(dataset: Dataset, inherited: tuple[str, ...] = charsets.DEFAULT) -> Opened:
    """Take a data set apart. It is not changed, and neither are its items.

    Raises whatever pydicom raises for a sequence that is damaged, and LookupError for a character
    set that does not exist.
    """
    encodings = charsets.encodings_of(dataset, inherited)
    sequences = {
        tag: [opened(item, encodings) for item in _items(element, dataset, encodings)]
        for tag, element in dataset.items()
        if element.VR == "SQ" or (element.VR in _UNSURE and tag in _SEQUENCES)
    }
    return Opened(dataset, encodings, sequences)


def raw_value(element: Element, encodings: tuple[str, ...]) -> bytes:
    """Return the encoded value of an element; of one that was made in memory, in little endian."""
    if isinstance(element, RawDataElement):
        return element.value or b""
    if element.VR in _BULK:  # pixel data may be encapsulated, and long
        return element.value or b""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_data_element(buffer, element, list(encodings))
    return buffer.getvalue()[_IMPLICIT_HEADER:]


def _items(element: Element, dataset: Dataset, encodings: tuple[str, ...]) -> list[Dataset]:
    if isinstance(element, RawDataElement):
        if not element.value:
            return []
        element = convert_raw_data_element(element, encoding=list(encodings), ds=dataset)
    if element.VR != "SQ":
        raise ValueError("a sequence that cannot be read")
    return list(element.value or [])
