"""Whether an answer fulfils the keys that were asked with, whatever the archive made of them (PS3.4 C.2.2.2).

Archives need not know a key, and then answer as if it had not been asked for; what they do not tell
cannot be judged here, unless it is one that every archive has to know.
"""

from typing import Any

from pydicom.datadict import dictionary_VR

from adit_core.dicom.dicom_json import read_answer, read_items, values_of
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.query import Keys, name_matches, text_matches

_REQUIRED = frozenset(
    {
        *("StudyDate", "StudyTime", "AccessionNumber", "PatientName", "PatientID", "StudyID"),
        *("StudyInstanceUID", "Modality", "SeriesNumber", "SeriesInstanceUID"),
        *("InstanceNumber", "SOPInstanceUID"),
    }
)
"""Keys that every archive matches by (PS3.4 C.6.2.1, Key Type U and R)."""
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""Value representations whose keys may hold wildcards (PS3.4 C.2.2.2.4)."""
RANGE_VRS = frozenset({"DA", "DT", "TM"})
"""Those whose keys may be ranges (PS3.4 C.2.2.2.5)."""


def fulfils(data_set: JsonDataSet, keys: Keys, *, is_fuzzy: bool = False) -> bool:
    """Tell whether the answer matches all keys; names that only sound alike do if `is_fuzzy`."""
    return all(
        _fulfils_key(data_set, keyword, key, is_fuzzy=is_fuzzy) for keyword, key in keys.items() if key
    )


def _fulfils_key(data_set: JsonDataSet, keyword: str, key: str | Keys, *, is_fuzzy: bool) -> bool:
    if not isinstance(key, str):
        items = read_items(data_set, keyword)
        return not items or any(fulfils(item, key, is_fuzzy=is_fuzzy) for item in items)
    vr = dictionary_VR(keyword)
    if vr == "PN" and is_fuzzy:
        return True
    values = _texts(data_set, keyword)
    if not values:
        return keyword not in _REQUIRED
    return any(_matches(vr, part, value) for part in _alternatives(vr, key) for value in values)


def _texts(data_set: JsonDataSet, keyword: str) -> list[str]:
    return [_text(data_set, keyword, value) for value in values_of(data_set, keyword) if value is not None]


def _text(data_set: JsonDataSet, keyword: str, value: Any) -> str:
    if isinstance(value, dict):
        return read_answer(data_set, [keyword]).text(keyword)
    return str(value)


def _alternatives(vr: str, key: str) -> list[str]:
    return key.split("\\") if vr in ("UI", "CS", "IS", "DS") else [key]


def _matches(vr: str, key: str, value: str) -> bool:
    if vr in RANGE_VRS:
        return _lies_in(vr, key, value)
    if vr == "PN":
        return name_matches(key, value)
    if vr in WILDCARD_VRS:
        return text_matches(key, value)
    return _same_number(key, value) if vr in ("IS", "DS") else key == value


def _same_number(key: str, value: str) -> bool:
    try:
        return float(key) == float(value)
    except ValueError:
        return key == value


def _lies_in(vr: str, key: str, value: str) -> bool:
    """Compare as text, as far as both are exact; dates and times of old devices have dots and colons."""
    value = value.replace(".", "") if vr == "DA" else value.replace(":", "") if vr == "TM" else value
    start, separator, end = key.partition("-")
    if not separator:
        return value.startswith(key) or key.startswith(value)
    is_late_enough = not start or value >= start or start.startswith(value)
    is_early_enough = not end or value <= end or value.startswith(end)
    return is_late_enough and is_early_enough
