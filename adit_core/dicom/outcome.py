"""What became of a study: the account of every instance of its manifest.

For every series: ``planned = delivered + filtered + failed``. An instance is delivered when the
destination, asked afterwards, has it (or, where it cannot be asked, when it said so).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from adit_core.dicom.manifest import Manifest, SeriesManifest
from adit_core.dicom.ports import Delivery
from adit_core.dicom.references import InstanceReference
from adit_core.errors import AditError, TransientError

_NOT_RECEIVED = "not received from the source"
_NOT_CONFIRMED = "sent, but not found at the destination"
_OF_OTHERS = (
    "{count} instances name another patient than {than}; the source itself has them in this study. "
    "Look at them before they are used."
)


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """The account of one series. ``message`` says in words why instances were filtered or failed."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    planned: int
    delivered: int
    filtered: int
    failed: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class WithheldInstance:
    """An instance that was left out on purpose although its series was not, with the reason in words."""

    reference: InstanceReference
    reason: str


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """The account of one study, after its transfer or while it goes on."""

    series: tuple[SeriesOutcome, ...]
    sent: int = 0
    """Instances that were sent this time; the destination already held the other delivered ones."""
    bytes_sent: int = 0
    of_others: int = 0
    """Instances that were sent this time and name another patient; ``warnings`` tell of them."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What is worth telling, but no reason to look at the study again."""
    withheld: tuple[WithheldInstance, ...] = ()
    direct_failure: str = ""
    """Why the source could move nothing directly, although it was asked to, in words."""
    is_retryable: bool = False
    """True if instances failed, and at least one of them may succeed when tried again."""
    error: str = ""
    """What ended the transfer early, in words."""

    @property
    def planned(self) -> int:
        """Instances of the manifest."""
        return sum(series.planned for series in self.series)

    @property
    def delivered(self) -> int:
        """Instances that are at the destination."""
        return sum(series.delivered for series in self.series)

    @property
    def filtered(self) -> int:
        """Instances that were left out on purpose."""
        return sum(series.filtered for series in self.series)

    @property
    def failed(self) -> int:
        """Instances that should be at the destination and are not."""
        return sum(series.failed for series in self.series)

    @property
    def is_complete(self) -> bool:
        """True if no instance failed."""
        return self.failed == 0

    def message(self) -> str:
        """Return the outcome in words: what is missing, by series, and why."""
        if self.is_complete:
            return " ".join((*self.warnings, *self.notes))
        missing = "; ".join(
            f"series {series.series_instance_uid}: {series.failed} of {series.planned} ({series.message})"
            for series in self.series
            if series.failed
        )
        text = f"{self.failed} of {self.planned} instances were not delivered. {missing}."
        return " ".join(part for part in (self.error, text, *self.warnings, *self.notes) if part)


@dataclass(slots=True)
class Ledger:
    """Keeps account while a study moves.

    ``held`` are the wanted instances that the destination held before; ``deliveries`` what it
    answered for those that were sent; ``named`` how many of those that it took name which patient.
    """

    manifest: Manifest
    held: frozenset[str]
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    named: Counter[str] = field(default_factory=Counter[str])
    bytes_sent: int = 0
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    direct_failure: str = ""
    error: AditError | None = None

    def enter(self, delivery: Delivery, size: int, patient_id: str = "") -> None:
        """Enter what became of an instance of `size` bytes that names this patient, if it is known to."""
        self.deliveries[delivery.sop_instance_uid] = delivery
        if _is_accepted(delivery):
            self.bytes_sent += size
            if patient_id:
                self.named[patient_id] += 1

    def accepted(self) -> frozenset[str]:
        """Return the instances that the destination said it took."""
        return frozenset(uid for uid, delivery in self.deliveries.items() if _is_accepted(delivery))

    def so_far(self) -> StudyOutcome:
        """Return the account while the transfer goes on; nothing has failed yet for want of time."""
        taken = self.held | self.accepted()
        refused = {uid: delivery.failure for uid, delivery in self.deliveries.items() if delivery.failure}
        return self._outcome(taken, refused)

    def close(self, confirmed: frozenset[str]) -> StudyOutcome:
        """Return the final account, in which what is not `confirmed` has failed."""
        settled = confirmed | self._withheld().keys()
        reasons = {uid: self._reason(uid) for uid in self.manifest.wanted() if uid not in settled}
        return self._outcome(confirmed, reasons)

    def _outcome(self, delivered: frozenset[str], failures: dict[str, str]) -> StudyOutcome:
        withheld = self._withheld()
        return StudyOutcome(
            series=tuple(
                _series_outcome(entry, delivered, failures, withheld) for entry in self.manifest.series
            ),
            sent=len(self.accepted()),
            bytes_sent=self.bytes_sent,
            of_others=self._of_others(),
            warnings=(*self.warnings, *self._identity_warnings(), *self._delivery_warnings(withheld)),
            notes=tuple(self.notes),
            withheld=tuple(self._withheld_instances(withheld)),
            direct_failure=self.direct_failure,
            is_retryable=self._is_retryable(failures),
            error=str(self.error) if self.error and failures else "",
        )

    def _withheld(self) -> dict[str, str]:
        return {uid: delivery.withheld for uid, delivery in self.deliveries.items() if delivery.withheld}

    def _withheld_instances(self, withheld: Mapping[str, str]) -> Iterator[WithheldInstance]:
        if withheld:
            for uid, instance in self.manifest.wanted().items():
                if uid in withheld:
                    yield WithheldInstance(instance.reference, withheld[uid])

    def _reason(self, uid: str) -> str:
        delivery = self.deliveries.get(uid)
        if delivery is None:
            return _NOT_RECEIVED
        return delivery.failure or _NOT_CONFIRMED

    def _of_others(self) -> int:
        """Return how many instances name another patient than the source, or than most of them do."""
        meant = self.manifest.patient_id
        same = self.named[meant] if meant else max(self.named.values(), default=0)
        return self.named.total() - same

    def _identity_warnings(self) -> list[str]:
        count = self._of_others()
        than = "the source's answer did" if self.manifest.patient_id else "the others do"
        return [_OF_OTHERS.format(count=count, than=than)] if count else []

    def _delivery_warnings(self, withheld: Mapping[str, str]) -> list[str]:
        counts = Counter(delivery.warning for delivery in self.deliveries.values() if delivery.warning)
        left_out = Counter(withheld.values())
        return [
            *(
                f"The destination took {count} instances with a warning: {text}."
                for text, count in counts.items()
            ),
            *(f"{count} instances were held back: {reason}." for reason, count in left_out.items()),
        ]

    def _is_retryable(self, failures: dict[str, str]) -> bool:
        """Decide whether trying again may help.

        ====================================== =========
        what happened                          retryable
        ====================================== =========
        nothing failed                         no
        ended early by a transient error       yes
        ended early by a permanent error       no
        an instance never came, or vanished    yes
        refused instances only                 if one of the refusals is passing
        ====================================== =========
        """
        if not failures:
            return False
        if self.error is not None:
            return isinstance(self.error, TransientError)
        deliveries = [self.deliveries.get(uid) for uid in failures]
        return any(delivery is None or not delivery.failure or delivery.retryable for delivery in deliveries)


def _is_accepted(delivery: Delivery) -> bool:
    return not delivery.failure and not delivery.withheld


def _series_outcome(
    entry: SeriesManifest, delivered: frozenset[str], failures: dict[str, str], withheld: dict[str, str]
) -> SeriesOutcome:
    uids = [instance.reference.sop_instance_uid for instance in entry.instances]
    failed = Counter(failures[uid] for uid in uids if uid in failures)
    left_out = Counter(withheld[uid] for uid in uids if uid in withheld)
    return SeriesOutcome(
        series_instance_uid=entry.series.reference.series_instance_uid,
        modality=entry.series.modality,
        series_number=entry.series.series_number,
        planned=len(uids),
        delivered=0 if entry.filtered else sum(uid in delivered for uid in uids),
        filtered=len(uids) if entry.filtered else left_out.total(),
        failed=failed.total(),
        message=entry.filtered
        or ", ".join(f"{count} {reason}" for reason, count in (failed + left_out).items()),
    )
