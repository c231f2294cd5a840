"""Who is handed which of the received instances, and when they are deleted.

A worker subscribes to a study before it asks an archive to send it. Several subscriptions to one study
are possible, since several tasks may move it at the same time, and an arrival does not say for whom it
is. Hence the rule:

- A subscription is owed each SOP instance of its study that lies in the spool when it begins or that
  arrives while it lasts, each of them once.
- An acknowledgement deletes the instance, unless another subscription that lasts is owed it: then the
  last acknowledgement does.
- The end of a subscription deletes nothing. What it did not acknowledge stays for the next one, or until
  another one acknowledges it.
- A copy of an instance that lies in the spool adds nothing and is deleted at once. So is a copy of what
  every subscription that lasts has acknowledged already.
- What lies there for longer than the claim age, without a subscription to its study, is set aside.

Who died and comes back makes a new subscription, and gets what it had not acknowledged. Debts are in
memory only: after a restart of the receiver every file in the spool waits again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import RLock
from typing import BinaryIO

from adit_core.dicom.spare_files import open_for_reading
from adit_core.dicom.spool import Spool, SpooledInstance


@dataclass(frozen=True, slots=True)
class HandOverCounts:
    """How much waits, who waits, and whether more can be taken in."""

    waiting: int
    subscriptions: int
    quarantined: int
    has_room: bool


class HandOver:
    """Hands instances of a spool to subscriptions. Methods may be called by several threads."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = RLock()
        self._waiting: dict[str, dict[str, SpooledInstance]] = {}
        """By Study and SOP Instance UID."""
        self._subscriptions: dict[str, list[StudySubscription]] = {}
        for instance in spool.scan():
            self.arrived(instance)

    def arrived(self, instance: SpooledInstance) -> None:
        """Enter an instance that is safe in the spool, and wake those who are owed it."""
        uid = instance.header.sop_instance_uid
        with self._lock:
            waiting = self._waiting.setdefault(instance.study_instance_uid, {})
            subscriptions = self._subscriptions.get(instance.study_instance_uid, [])
            owing = [each for each in subscriptions if uid not in each.offered]
            if uid in waiting or (subscriptions and not owing):
                self._spool.remove(instance)
                return
            waiting[uid] = instance
            for each in owing:
                each.offer([uid])

    def subscribe(self, study_instance_uid: str, on_offer: Callable[[], None]) -> "StudySubscription":
        """Begin a subscription; `on_offer` is called, by any thread, when there is something to take."""
        with self._lock:
            subscription = StudySubscription(self, study_instance_uid, on_offer)
            self._subscriptions.setdefault(study_instance_uid, []).append(subscription)
            subscription.offer(self._waiting.get(study_instance_uid, ()))
            return subscription

    def counts(self) -> HandOverCounts:
        """Return how much waits, for those who watch over the receiver."""
        quarantined = len(self._spool.quarantined())
        with self._lock:
            return HandOverCounts(
                waiting=sum(map(len, self._waiting.values())),
                subscriptions=sum(map(len, self._subscriptions.values())),
                quarantined=quarantined,
                has_room=self._spool.has_room(),
            )

    def sweep(self) -> int:
        """Set aside what nobody has claimed in time, prune the quarantine, and return what was set aside."""
        oldest = time.time() - self._spool.limits.claim_age
        with self._lock:
            unclaimed = [
                instance
                for study, waiting in self._waiting.items()
                if not self._subscriptions.get(study)
                for instance in waiting.values()
                if instance.arrived_at < oldest
            ]
            for instance in unclaimed:
                self._forget(instance)
                self._spool.set_aside(instance)
        self._spool.prune_quarantine()
        self._spool.drop_spare_files()
        return len(unclaimed)

    def open_next(self, subscription: "StudySubscription") -> tuple[SpooledInstance, BinaryIO] | None:
        """Return the next instance for a subscription with its file, which the caller closes."""
        with self._lock:
            waiting = self._waiting.get(subscription.study_instance_uid, {})
            while subscription.queue:
                instance = waiting.get(subscription.queue.popleft())
                if instance is None:
                    continue
                try:
                    # Under the lock: afterwards others may have it deleted, and written over.
                    return instance, open_for_reading(instance.path)
                except FileNotFoundError:  # removed by hand
                    self._forget(instance)
            return None

    def acknowledge(self, subscription: "StudySubscription", sop_instance_uids: Iterable[str]) -> None:
        """Delete what nobody else is owed; what was not offered to the subscription is left alone."""
        with self._lock:
            for uid in subscription.offered.intersection(sop_instance_uids) - subscription.acknowledged:
                subscription.acknowledged.add(uid)
                self._delete_unless_owed(subscription.study_instance_uid, uid)

    def end(self, subscription: "StudySubscription") -> None:
        """End a subscription; may be called again."""
        study = subscription.study_instance_uid
        with self._lock:
            subscriptions = self._subscriptions.get(study, [])
            if subscription not in subscriptions:
                return
            subscriptions.remove(subscription)
            if not subscriptions:
                del self._subscriptions[study]

    def _delete_unless_owed(self, study: str, uid: str) -> None:
        instance = self._waiting.get(study, {}).get(uid)
        if instance is None or any(each.is_owed(uid) for each in self._subscriptions.get(study, [])):
            return
        self._forget(instance)
        self._spool.remove(instance)

    def _forget(self, instance: SpooledInstance) -> None:
        waiting = self._waiting[instance.study_instance_uid]
        del waiting[instance.header.sop_instance_uid]
        if not waiting:
            del self._waiting[instance.study_instance_uid]


class StudySubscription:
    """One worker's subscription to one study. Everything in it is guarded by the hand-over's lock."""

    def __init__(self, hand_over: HandOver, study_instance_uid: str, on_offer: Callable[[], None]) -> None:
        self.study_instance_uid = study_instance_uid
        self.queue: deque[str] = deque()
        """SOP Instance UIDs that are to be handed over."""
        self.offered: set[str] = set()
        self.acknowledged: set[str] = set()
        self._hand_over = hand_over
        self._on_offer = on_offer

    def offer(self, sop_instance_uids: Iterable[str]) -> None:
        """Put instances into the queue."""
        self.queue.extend(sop_instance_uids)
        self.offered.update(sop_instance_uids)
        self._on_offer()

    def is_owed(self, sop_instance_uid: str) -> bool:
        """Tell whether an instance was offered and is not acknowledged yet."""
        return sop_instance_uid in self.offered and sop_instance_uid not in self.acknowledged

    def open_next(self) -> tuple[SpooledInstance, BinaryIO] | None:
        """Return the next instance with its file, which the caller closes; None if there is none now."""
        return self._hand_over.open_next(self)

    def acknowledge(self, sop_instance_uids: Iterable[str]) -> None:
        """Say that these are not needed any more."""
        self._hand_over.acknowledge(self, sop_instance_uids)

    def end(self) -> None:
        """End the subscription; may be called again."""
        self._hand_over.end(self)
