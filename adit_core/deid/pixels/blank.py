"""Blanking regions of every frame of an instance, and what that changes in its attributes.

How the pixels are written afterwards, so that no pixel outside of the regions changes:

==========================================  ====================================================
they came                                   they leave
==========================================  ====================================================
native, also deflated or big endian         as they came, byte for byte outside of the regions
RLE, JPEG-LS or JPEG 2000, lossless         in the same transfer syntax, compressed again (if
                                            the encoder does not take them: as the next row)
JPEG or HTJ2K, lossless                     Explicit VR Little Endian: nothing here encodes them
lossy                                       Explicit VR Little Endian, as decoded (colour as
                                            RGB); Lossy Image Compression stays 01
==========================================  ====================================================

Icons and the statistics of the former pixels are removed; overlay planes are cleared in the regions.
"""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRBigEndian

from adit_core.deid.pixels.compressed import blank_compressed
from adit_core.deid.pixels.erase import Editor, edited, edited_in_swapped_words, erase_native
from adit_core.deid.pixels.layout import Layout, black, failure
from adit_core.deid.pixels.overlays import erase_overlays
from adit_core.deid.pixels.regions import Rectangle, clipped

_FORMER_PIXELS = (
    "IconImageSequence",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
_CLEAN_PIXEL_DATA = ("113101", "DCM", "Clean Pixel Data Option")
"""PS3.16 CID 7050."""


def blank(dataset: Dataset, regions: Sequence[Rectangle]) -> Dataset:
    """Return the data set with the regions of every frame black; `dataset` is not changed.

    The transfer syntax is that of its file meta information, which the result has of its own. In
    memory are at the most the pixels as they came, as they leave (twice, if they leave compressed),
    and one frame.

    Raises:
        DeidentificationFailed: The pixels cannot be decoded, are not as the attributes say, or none
            of the regions lies in the image.
    """
    layout = Layout.of(dataset)
    syntax = _transfer_syntax(dataset)
    shown = clipped(regions, rows=layout.rows, columns=layout.columns)
    if not shown:
        raise failure(dataset, "no region lies within the image")
    if "PixelData" not in dataset:
        raise failure(dataset, "there is no pixel data")
    result = _shallow_copy(dataset)
    if syntax.is_encapsulated:
        blank_compressed(result, layout, shown, syntax)
    else:
        _blank_native(result, layout, shown, syntax)
    erase_overlays(result, shown, editor_of=partial(_editor, syntax))
    for keyword in _FORMER_PIXELS:
        result.pop(keyword, None)
    return result


def declare_text_cleared(dataset: Dataset) -> Dataset:
    """Return the data set with the statement that no text is left in its pixels (PS3.15 E.3.1)."""
    result = _shallow_copy(dataset)
    result.BurnedInAnnotation = "NO"
    codes = list(dataset.get("DeidentificationMethodCodeSequence") or ())
    if not any(code.get("CodeValue") == _CLEAN_PIXEL_DATA[0] for code in codes):
        result.DeidentificationMethodCodeSequence = Items([*codes, _code(*_CLEAN_PIXEL_DATA)])
    return result


def _blank_native(dataset: Dataset, layout: Layout, regions: Sequence[Rectangle], syntax: UID) -> None:
    element = dataset["PixelData"]
    if not layout.pixel_bytes <= len(element.value) <= layout.pixel_bytes + 1:
        raise failure(dataset, "there is more or less pixel data than the attributes say")
    if layout.photometric == "YBR_FULL_422" and layout.columns % 2:
        raise failure(dataset, "an odd number of columns cannot share colours in pairs")
    values = black(dataset, layout)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    editor = _editor(syntax, element.VR) if layout.bits_allocated <= 8 else edited
    blanked = editor(element.value, lambda view: erase_native(view, layout, regions, values, order=order))
    dataset["PixelData"] = DataElement(element.tag, element.VR, blanked)


def _editor(syntax: UID, vr: str) -> Editor:
    return edited_in_swapped_words if syntax == ExplicitVRBigEndian and vr == "OW" else edited


def _transfer_syntax(dataset: Dataset) -> UID:
    syntax = UID(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ""))
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise failure(dataset, "the transfer syntax is not known")
    return syntax


def _shallow_copy(dataset: Dataset) -> Dataset:
    result = dataset[:]
    result.file_meta = deepcopy(getattr(dataset, "file_meta", None) or FileMetaDataset())
    return result


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
