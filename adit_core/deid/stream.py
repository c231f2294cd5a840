"""De-identification of instances on their way: the header is changed, the pixel data pass through.

Only the header is read and held, however long the instance is; what follows the pixel data is treated
like it. Instances whose pixels are to be blanked are the exception: they are held whole.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from adit_core.deid.checker import residual_identifiers
from adit_core.deid.encoding import Encoding
from adit_core.deid.engine import Deidentifier, sop_instance_uid
from adit_core.deid.header import Intake, bulk_element, header_size
from adit_core.errors import DeidentificationFailed

HEADER_LIMIT = 64 << 20
"""Bytes of a header that are held at most; an instance with a longer one fails."""
_FRAGMENT = 1 << 18


@dataclass(frozen=True, slots=True)
class EncodedInstance:
    """An instance as it travels. ``fragments`` yields its encoded data set, once."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    fragments: Iterator[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class Held:
    """The instance does not leave, because of what its pixels may show; ``reason`` names no patient."""

    reason: str


Blanking = Callable[[Dataset], Dataset]
"""Makes of a de-identified data set with its pixel data one whose burned-in text is blanked."""

BurnedInPolicy = Callable[[Dataset], "Held | Blanking | None"]
"""Decides by the header of the original what becomes of the pixels; None lets them pass as they are."""


def trusting_pixels(_: Dataset) -> None:
    """Let all pixels pass: for those who know that there is no text in them."""


class StreamDeidentifier:
    """De-identifies the encoded instances of one patient, one after the other."""

    def __init__(
        self,
        deidentifier: Deidentifier,
        burned_in: BurnedInPolicy,
        *,
        header_limit: int = HEADER_LIMIT,
    ) -> None:
        self._deidentifier = deidentifier
        self._burned_in = burned_in
        self._header_limit = header_limit

    def transform(self, instance: EncodedInstance) -> EncodedInstance | Held:
        """Return the de-identified instance, which reads on in `instance` as it is read.

        Raises:
            DeidentificationFailed: It cannot be de-identified completely. What follows the pixel data is
                only seen at the end: then the fragments raise it, and the instance is not complete.
        """
        encoding = Encoding(instance.transfer_syntax_uid)
        intake = Intake(encoding.inflated(instance.fragments), self._header_limit)
        try:
            header = _read(intake.take(header_size(intake, encoding)), encoding)
        except DeidentificationFailed as error:
            raise DeidentificationFailed(f"Instance {instance.sop_instance_uid}: {error}") from error
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = UID(instance.transfer_syntax_uid)
        burned_in = self._burned_in(header)
        if isinstance(burned_in, Held):
            return burned_in
        if burned_in is not None:
            return self._blanked(instance, header, intake, encoding, burned_in)
        made = self._checked(header, self._deidentifier.deidentify(header))
        fragments = self._fragments(encoding.written(made), header, intake, encoding)
        return EncodedInstance(
            instance.sop_class_uid,
            sop_instance_uid(made),
            instance.transfer_syntax_uid,
            _named(sop_instance_uid(header), encoding.compressed(fragments)),
        )

    def _fragments(
        self, header: bytes, original: Dataset, intake: Intake, encoding: Encoding
    ) -> Iterator[bytes]:
        yield header
        if not intake.has(1):
            return
        yield from bulk_element(intake, encoding)
        if rest := self._treated_rest(intake.rest(), original, encoding):
            yield rest

    def _treated_rest(self, rest: bytes, original: Dataset, encoding: Encoding) -> bytes:
        """Return what follows the pixel data, de-identified."""
        if not rest:
            return b""
        following = _read(rest, encoding)
        made = self._deidentifier.deidentify_rest(following, original)
        return encoding.written(self._checked(original, made))

    def _checked(self, original: Dataset, made: Dataset) -> Dataset:
        residues = residual_identifiers(original, made, self._deidentifier.project.profile)
        if residues:
            found = ", ".join(sorted({f"{residue.of} in {residue.path}" for residue in residues}))
            raise DeidentificationFailed(f"Instance {sop_instance_uid(original)}: the checker found {found}")
        return made

    def _blanked(
        self, instance: EncodedInstance, header: Dataset, intake: Intake, encoding: Encoding, blank: Blanking
    ) -> EncodedInstance:
        """Return the instance with blanked pixels, in the transfer syntax that this takes."""
        pixels = _read(b"".join(_whole(bulk_element(intake, encoding), intake)), encoding)
        made = self._checked(header, self._deidentifier.deidentify(header))
        rest = self._deidentifier.deidentify_rest(pixels, header)
        made.update(self._checked(header, rest))
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = UID(instance.transfer_syntax_uid)
        blanked = blank(made)
        syntax = str(blanked.file_meta.TransferSyntaxUID)
        target = Encoding(syntax)
        encoded = target.written(blanked)
        return EncodedInstance(
            instance.sop_class_uid,
            sop_instance_uid(made),
            syntax,
            target.compressed(_pieces(encoded)),
        )


def _named(sop_instance_uid: str, fragments: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from fragments
    except DeidentificationFailed as error:
        raise DeidentificationFailed(f"Instance {sop_instance_uid}: {error}") from error


def _whole(bulk: Iterable[bytes], intake: Intake) -> Iterator[bytes]:
    yield from bulk
    yield intake.rest()


def _pieces(encoded: bytes) -> Iterator[bytes]:
    for start in range(0, len(encoded), _FRAGMENT):
        yield encoded[start : start + _FRAGMENT]


def _read(encoded: bytes, encoding: Encoding) -> Dataset:
    try:
        return encoding.read(encoded)
    except Exception as error:  # noqa: BLE001 - pydicom raises anything on damaged data, and quotes it
        raise DeidentificationFailed(f"{type(error).__name__} while it was read") from None
