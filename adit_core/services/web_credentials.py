"""Credentials of DICOMweb servers as text, which is a secret as a whole: it is stored sealed only."""

from pydantic import TypeAdapter, ValidationError

from adit_core.dicom.credentials import Credentials
from adit_core.errors import InputProblem, InvalidInput

_KINDS: TypeAdapter[Credentials] = TypeAdapter(Credentials)


def encode_credentials(credentials: Credentials) -> str:
    """Return credentials of any kind as JSON."""
    return _KINDS.dump_json(credentials).decode()


def decode_credentials(text: str) -> Credentials:
    """Return what `encode_credentials` made a text of.

    Raises:
        InvalidInput: It is something else; the message does not quote it.
    """
    try:
        return _KINDS.validate_json(text)
    except ValidationError:
        problem = InputProblem("These are no credentials of a DICOMweb server.", field="credentials")
        raise InvalidInput(problem) from None
