"""What the DICOMweb proxy changes in instances on their way out: pseudonyms, and marks of a trial.

===========================  ======================================================================
asked for                    instances
===========================  ======================================================================
a pseudonym                  are de-identified by the research profile, with the pseudonym as Patient
                             ID and Patient's Name, and with the marks of the trial if they are given.
                             What may show burned-in text, and series that the profile excludes, are
                             held back; what cannot be de-identified completely ends the retrieval
marks of a trial only        get these attributes (PS3.3 C.7.1.3) and stay what they are otherwise
nothing                      pass as they are
===========================  ======================================================================

UIDs and dates are derived with a secret of this server and of the trial: the same study gets the same
UIDs in every retrieval, and no two trials can be linked by them.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

from adit_core.db.secrets import Keyring
from adit_core.deid.encoding import Encoding
from adit_core.deid.engine import Deidentifier
from adit_core.deid.header import Intake, bulk_element, header_size
from adit_core.deid.pixels.stream_policy import burned_in_policy
from adit_core.deid.profile import builtin_profiles
from adit_core.deid.stream import HEADER_LIMIT, Held, StreamDeidentifier
from adit_core.deid.subject import Project, Subject
from adit_core.dicom.changing import Withheld
from adit_core.dicom.ports import IncomingInstance
from adit_core.errors import DeidentificationFailed
from adit_core.services.deidentify import ChangedInstance, encoded, header_of

_PROFILE = "research"


@dataclass(frozen=True, slots=True)
class DisguiseWish:
    """What was asked for; empty for nothing."""

    pseudonym: str = ""
    trial_protocol_id: str = ""
    trial_protocol_name: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed."""
        return not (self.pseudonym or self.trial_protocol_id or self.trial_protocol_name)


class Disguise(Protocol):
    """Changes the instances of one study."""

    excluded_modalities: frozenset[str]
    """Series of these modalities are held back."""

    def changed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
        """Return an instance as it is to leave.

        Raises:
            DeidentificationFailed: It cannot be changed completely, so it must not leave.
        """
        ...


def disguise_for(wish: DisguiseWish, patient_id: str, keyring: Keyring) -> Disguise:
    """Return what makes of the instances of a patient what was asked for.

    Raises:
        InvalidInput: The pseudonym, or a mark of the trial, is not fit for DICOM.
        SecretUnreadable: There is no key to derive UIDs with.
    """
    if wish.is_empty:
        return _NoDisguise()
    if not wish.pseudonym:
        return _TrialMarks(wish)
    profile = builtin_profiles()[_PROFILE]
    secret = _secret(keyring, wish.trial_protocol_id)
    project = Project(secret, profile, wish.trial_protocol_id, wish.trial_protocol_name)
    return _Pseudonyms(Deidentifier(project, Subject(patient_id, wish.pseudonym)))


def check_wish(wish: DisguiseWish) -> None:
    """Raise InvalidInput if the pseudonym, or a mark of the trial, is not fit for DICOM."""
    Project(bytes(32), builtin_profiles()[_PROFILE], wish.trial_protocol_id, wish.trial_protocol_name)
    if wish.pseudonym:
        Subject("", wish.pseudonym)


class _NoDisguise:
    excluded_modalities: frozenset[str] = frozenset()

    def changed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
        return instance


class _Pseudonyms:
    def __init__(self, deidentifier: Deidentifier) -> None:
        profile = deidentifier.project.profile
        self.excluded_modalities = profile.excluded_modalities
        self._stream = StreamDeidentifier(deidentifier, burned_in_policy(profile.burned_in_text))

    def changed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
        made = self._stream.transform(encoded(instance))
        if isinstance(made, Held):
            return Withheld(made.reason)
        return ChangedInstance(instance.reference, header_of(made), made.fragments)


class _TrialMarks:
    excluded_modalities: frozenset[str] = frozenset()

    def __init__(self, wish: DisguiseWish) -> None:
        self._marks = Dataset()
        if wish.trial_protocol_id:
            self._marks.ClinicalTrialProtocolID = wish.trial_protocol_id
        if wish.trial_protocol_name:
            self._marks.ClinicalTrialProtocolName = wish.trial_protocol_name

    def changed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
        content = self._content(instance, Encoding(instance.header.transfer_syntax_uid))
        return ChangedInstance(instance.reference, instance.header, content)

    def _content(self, instance: IncomingInstance, encoding: Encoding) -> Iterator[bytes]:
        return encoding.compressed(self._marked(instance, encoding))

    def _marked(self, instance: IncomingInstance, encoding: Encoding) -> Iterator[bytes]:
        intake = Intake(encoding.inflated(instance.fragments()), HEADER_LIMIT)
        header = read_header(instance.header.sop_instance_uid, intake, encoding)
        header.update(self._marks)
        yield encoding.written(header)
        if intake.has(1):
            yield from bulk_element(intake, encoding)
            yield intake.rest()


def read_header(sop_instance_uid: str, intake: Intake, encoding: Encoding) -> Dataset:
    """Return what precedes the pixel data of an instance, whatever they are.

    Raises:
        DeidentificationFailed: It cannot be read.
    """
    try:
        return encoding.read(intake.take(header_size(intake, encoding)))
    except DeidentificationFailed as error:
        raise DeidentificationFailed(f"Instance {sop_instance_uid}: {error}") from error
    except Exception as error:  # noqa: BLE001 - pydicom raises anything on damaged data, and quotes it
        kind = type(error).__name__
        raise DeidentificationFailed(f"Instance {sop_instance_uid}: {kind} while it was read") from None


def _secret(keyring: Keyring, trial_protocol_id: str) -> bytes:
    key = keyring.derived(b"DICOMweb pseudonyms")
    return hmac.digest(key, trial_protocol_id.encode("utf-8"), "sha256")
