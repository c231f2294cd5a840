"""Values that stand for what must not stay where something has to be (action D of PS3.15 table E.1-1a)."""

_TEXT = ("REMOVED", "REMOVED 2")
DUMMY_TEXTS: dict[str, tuple[str, str]] = {
    "AE": _TEXT,
    "AS": ("000D", "001D"),
    "CS": _TEXT,
    "DA": ("19000101", "19000102"),
    "DS": ("0", "1"),
    "DT": ("19000101000000", "19000102000000"),
    "IS": ("0", "1"),
    "LO": _TEXT,
    "LT": _TEXT,
    "PN": _TEXT,
    "SH": _TEXT,
    "ST": _TEXT,
    "TM": ("000000", "000001"),
    "UC": _TEXT,
    "UR": ("urn:removed", "urn:removed:2"),
    "UT": _TEXT,
}
"""The dummy of each VR that is text (PS3.5 6.2), and another one for what is equal to the first."""
_WIDTHS = {
    "AT": 4, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2,
    "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8,
}  # fmt: skip
_BYTES = 2


def dummy(vr: str, original: bytes) -> bytes:
    """Return the dummy value of a VR, of even length; it differs from `original`."""
    if vr in DUMMY_TEXTS:
        choices = [padded(text.encode("ascii")) for text in DUMMY_TEXTS[vr]]
    else:
        width = _WIDTHS.get(vr, _BYTES)
        choices = [bytes(width), b"\x01" + bytes(width - 1)]
    return choices[0] if choices[0] != original else choices[1]


def padded(value: bytes) -> bytes:
    """Return a text value with a space behind it if its length is odd (PS3.5 6.2)."""
    return value + b" " * (len(value) % 2)
