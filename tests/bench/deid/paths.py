"""Paths to elements below sequences, and what is found at their end."""

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

ElementPath = tuple[tuple[int, int], ...]
"""Steps from the top: the tag, and of sequences the index of the item. Empty: the whole instance."""


def element_at(dataset: Dataset, path: ElementPath) -> DataElement | None:
    """Return the element at a path, or nothing if it or what it is in is gone."""
    for tag, index in path[:-1]:
        below = dataset.get(tag)
        if below is None or below.VR != "SQ" or len(below.value) <= index:
            return None
        dataset = below.value[index]
    return dataset.get(path[-1][0])


def name_of(path: ElementPath) -> str:
    """Return a path as people read it, by keywords."""
    if not path:
        return "all bytes"
    *above, (tag, _) = path
    steps = [f"{_keyword(step)}[{index}]" for step, index in above]
    return ".".join([*steps, _keyword(tag)])


def _keyword(tag: int) -> str:
    return keyword_for_tag(tag) or str(BaseTag(tag))
