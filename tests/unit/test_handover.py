"""Who is handed what, once, and when it is deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adit_core.dicom.handover import HandOver, StudySubscription
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.spool import Spool, SpoolLimits
from tests.fakes.ports import CT, EXPLICIT
from tests.fakes.sender import LIMITS, data_set


class Receiving:
    """A spool with its hand-over, and instances that arrive."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.hand_over = HandOver(spool)
        self.wakes = 0

    def arrive(self, *uids: str, study: str = "1.2.3") -> None:
        for uid in uids:
            with self.spool.receive(InstanceHeader(CT, uid, EXPLICIT)) as writing:
                writing.write(data_set(uid, study))
                self.hand_over.arrived(writing.keep())

    def subscribe(self, study: str = "1.2.3") -> StudySubscription:
        return self.hand_over.subscribe(study, self._wake)

    def spooled(self) -> list[str]:
        return sorted(instance.header.sop_instance_uid for instance in self.spool.scan())

    def _wake(self) -> None:
        self.wakes += 1


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[Receiving]:
    with Spool(tmp_path, LIMITS) as spool:
        yield Receiving(spool)


def take(subscription: StudySubscription) -> list[str]:
    """Take everything that is offered now."""
    taken = []
    while (opened := subscription.open_next()) is not None:
        instance, file = opened
        with file:
            file.seek(instance.data_set_offset)
            assert file.read() == data_set(instance.header.sop_instance_uid, instance.study_instance_uid)
        taken.append(instance.header.sop_instance_uid)
    return taken


def test_an_arrival_is_handed_over_once_and_deleted_when_acknowledged(receiving: Receiving) -> None:
    subscription = receiving.subscribe()
    receiving.arrive("1", "2")
    assert take(subscription) == ["1", "2"]
    assert take(subscription) == []
    assert receiving.spooled() == ["1", "2"]
    subscription.acknowledge(["1"])
    assert receiving.spooled() == ["2"]


def test_who_subscribes_late_gets_what_waits(receiving: Receiving) -> None:
    receiving.arrive("1", "2")
    receiving.arrive("9", study="1.2.9")
    assert take(receiving.subscribe()) == ["1", "2"]


def test_who_comes_back_gets_what_was_not_acknowledged(receiving: Receiving) -> None:
    receiving.arrive("1", "2", "3")
    subscription = receiving.subscribe()
    take(subscription)
    subscription.acknowledge(["2"])
    subscription.end()
    assert take(receiving.subscribe()) == ["1", "3"]


def test_after_a_restart_everything_that_was_not_acknowledged_waits(receiving: Receiving) -> None:
    receiving.arrive("1", "2")
    subscription = receiving.subscribe()
    take(subscription)
    subscription.acknowledge(["1"])
    again = HandOver(receiving.spool)
    assert take(again.subscribe("1.2.3", lambda: None)) == ["2"]


def test_two_who_want_the_same_study_both_get_all_of_it(receiving: Receiving) -> None:
    first = receiving.subscribe()
    receiving.arrive("1")
    second = receiving.subscribe()
    receiving.arrive("2")
    assert take(first) == take(second) == ["1", "2"]
    first.acknowledge(["1", "2"])
    assert receiving.spooled() == ["1", "2"]
    second.acknowledge(["1", "2"])
    assert receiving.spooled() == []


def test_a_copy_of_what_waits_is_dropped(receiving: Receiving) -> None:
    subscription = receiving.subscribe()
    receiving.arrive("1", "1")
    assert take(subscription) == ["1"]
    assert receiving.spooled() == ["1"]


def test_a_copy_of_what_everybody_has_acknowledged_is_dropped(receiving: Receiving) -> None:
    subscription = receiving.subscribe()
    receiving.arrive("1")
    take(subscription)
    subscription.acknowledge(["1"])
    receiving.arrive("1")
    assert take(subscription) == []
    assert receiving.spooled() == []


def test_a_copy_goes_to_who_came_after_the_first_was_deleted(receiving: Receiving) -> None:
    first = receiving.subscribe()
    receiving.arrive("1")
    take(first)
    first.acknowledge(["1"])
    second = receiving.subscribe()
    receiving.arrive("1")
    assert (take(first), take(second)) == ([], ["1"])
    second.acknowledge(["1"])
    assert receiving.spooled() == []


def test_nobody_can_acknowledge_what_was_not_offered(receiving: Receiving) -> None:
    receiving.arrive("1")
    receiving.subscribe("1.2.9").acknowledge(["1"])
    assert receiving.spooled() == ["1"]


def test_what_was_removed_by_hand_is_not_handed_over(receiving: Receiving) -> None:
    receiving.arrive("1", "2")
    next(receiving.spool.scan()).path.unlink()
    assert take(receiving.subscribe()) == ["2"]


def test_a_subscriber_is_woken_for_its_study_only(receiving: Receiving) -> None:
    receiving.subscribe()
    before = receiving.wakes
    receiving.arrive("9", study="1.2.9")
    assert receiving.wakes == before
    receiving.arrive("1")
    assert receiving.wakes == before + 1


def test_what_nobody_claims_moves_to_quarantine(tmp_path: Path) -> None:
    with Spool(tmp_path, SpoolLimits(0, claim_age=-1)) as spool:
        receiving = Receiving(spool)
        receiving.arrive("1", "2")
        receiving.arrive("9", study="1.2.9")
        subscription = receiving.subscribe("1.2.9")
        assert receiving.hand_over.sweep() == 2
        counts = receiving.hand_over.counts()
        assert (counts.waiting, counts.subscriptions, counts.quarantined) == (1, 1, 2)
        assert take(subscription) == ["9"]
        assert take(receiving.subscribe()) == []


def test_what_is_young_stays(receiving: Receiving) -> None:
    receiving.arrive("1")
    assert receiving.hand_over.sweep() == 0
    assert take(receiving.subscribe()) == ["1"]
