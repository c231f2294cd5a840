"""What can be told a retrieval, and what it brings besides data sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, TypedDict

from pydicom import Dataset

PictureFormat: TypeAlias = Literal["png", "jpeg", "gif", "jp2"]
"""How pictures are encoded; jp2 is JPEG 2000."""


class View(TypedDict, total=False):
    """How images are rendered (PS3.18 8.3.5)."""

    window: str
    """Center, width and function, with commas between: ``40,400,linear``."""
    viewport: str
    """Width and height, and if wanted the region, with commas between: ``512,512``."""
    quality: int
    """From 1 to 100, of formats that lose something."""


@dataclass(frozen=True, slots=True)
class Disguise:
    """How instances are changed on their way: with a pseudonym, they are de-identified."""

    pseudonym: str = ""
    trial_protocol_id: str = ""
    trial_protocol_name: str = ""

    def parameters(self) -> dict[str, str]:
        """Return it as the proxy takes it."""
        names = ("pseudonym", "trial_protocol_id", "trial_protocol_name")
        return {name: value for name in names if (value := getattr(self, name))}


AS_IT_IS = Disguise()


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it is stored."""

    content: bytes
    media_type: str
    """``application/octet-stream`` if it is not compressed."""
    transfer_syntax_uid: str


class Metadata(Dataset):
    """What an instance says. Values that are too long for it are empty, and can be had by their URIs."""

    bulk_data_uris: dict[str, str]
    """By the path of the attribute, its tag or ``sequence.number.tag``; `Archive.bulk_data` takes them."""

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        """Return what the server tells in the DICOM JSON Model (PS3.18 F.2)."""
        uris: dict[str, str] = {}

        def remember(uri: str) -> bytes:
            uris[uri.rpartition("/")[2]] = uri
            return b""

        made = cls()
        made.update(Dataset.from_json(told, remember))
        made.bulk_data_uris = uris
        return made


def accept_files(transfer_syntax: str | Sequence[str]) -> str:
    """Return what is accepted to get Part 10 files in one of some transfer syntaxes."""
    syntaxes = (transfer_syntax,) if isinstance(transfer_syntax, str) else transfer_syntax
    ranges = (f'multipart/related; type="application/dicom"; transfer-syntax={each}' for each in syntaxes)
    return ", ".join(ranges)
