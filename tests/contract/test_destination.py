"""What every destination does: take what fits, unchanged, tell of each instance, and know what it has."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adit_core.dicom.part10 import FileInstance, read_file_instance
from adit_core.dicom.ports import Delivery, IncomingInstance, InstanceHeader
from adit_core.dicom.references import InstanceReference
from adit_core.errors import AditError, ConnectionFailed
from deployments.demo.studies import Form, SeriesSpec, StudySpec, write_study
from tests import factories
from tests.contract.conftest import UNWELCOME_UID, DestinationUnderTest, ManyInstances


class BrokenInstance:
    """An instance whose source fails half-way."""

    def __init__(self, whole: FileInstance) -> None:
        self.reference: InstanceReference = whole.reference
        self.header: InstanceHeader = whole.header
        self._whole = whole

    def fragments(self) -> Iterator[bytes]:
        yield b"".join(self._whole.fragments())[:-100]
        raise ConnectionFailed("the source broke")


def incoming(spec: StudySpec, folder: Path) -> list[FileInstance]:
    return [read_file_instance(path) for path in write_study(spec, folder)]


def deliver(receiver: DestinationUnderTest, instances: Iterable[IncomingInstance]) -> list[Delivery]:
    with receiver.destination() as destination:
        return list(destination.deliver(instances))


def held(receiver: DestinationUnderTest, spec: StudySpec) -> frozenset[str]:
    with receiver.destination() as destination:
        answer = destination.held(factories.study_reference(spec), factories.series_references(spec))
    assert answer is not None
    return answer


def assert_all_arrive(receiver: DestinationUnderTest, spec: StudySpec, folder: Path) -> None:
    instances = incoming(spec, folder)
    deliveries = deliver(receiver, instances)
    assert deliveries == [Delivery(instance.header.sop_instance_uid) for instance in instances]
    assert receiver.contents() == receiver.expected(folder)
    assert held(receiver, spec) == spec.sop_instance_uids()


def test_one_instance_arrives_unchanged(receiver: DestinationUnderTest, tmp_path: Path):
    assert_all_arrive(receiver, factories.ct_study(), tmp_path / "in")


def test_each_of_2000_instances_arrives_in_order(
    receiver: DestinationUnderTest, many_instances: ManyInstances
):
    many = many_instances.first(receiver.most_instances)
    deliveries = deliver(receiver, map(read_file_instance, many.files))
    assert deliveries == [Delivery(path.stem) for path in many.files]
    assert receiver.contents() == receiver.as_kept(many.hashes)
    assert held(receiver, many.spec) == many.hashes.keys()


def test_large_instance_arrives(receiver: DestinationUnderTest, tmp_path: Path):
    assert_all_arrive(receiver, factories.large_study(60), tmp_path / "in")


def test_study_of_all_forms_and_transfer_syntaxes_arrives(receiver: DestinationUnderTest, tmp_path: Path):
    spec = factories.mixed_study()
    if receiver.is_converting:
        spec = replace(spec, series=tuple(one for one in spec.series if one.form is not Form.REPORT))
    assert_all_arrive(receiver, spec, tmp_path / "in")


def test_private_elements_arrive(receiver: DestinationUnderTest, tmp_path: Path):
    spec = factories.study(SeriesSpec(Form.CT, 2, "", 32, 32, private=True), key="private")
    assert_all_arrive(receiver, spec, tmp_path / "in")


@pytest.mark.parametrize(("character_set", "name"), factories.PATIENTS)
def test_texts_arrive_in_their_character_set(
    receiver: DestinationUnderTest, tmp_path: Path, character_set: str, name: str
):
    spec = factories.ct_study(key=character_set, patient_name=name, character_set=character_set)
    assert_all_arrive(receiver, spec, tmp_path / "in")


def test_texts_that_do_not_fit_their_character_set_arrive(receiver: DestinationUnderTest, tmp_path: Path):
    spec = factories.ct_study(key="misdeclared", patient_name="Müller^Jörg", character_set="ISO_IR 100")
    files = write_study(spec, tmp_path / "in")
    factories.misdeclare_character_set(files[0])
    assert deliver(receiver, map(read_file_instance, files)) == [Delivery(files[0].stem)]
    assert receiver.contents() == receiver.expected(tmp_path / "in")


def test_nothing_is_yielded_if_nothing_comes(receiver: DestinationUnderTest):
    assert deliver(receiver, []) == []
    assert receiver.contents() == {}


def test_nothing_is_held_of_an_unknown_study(receiver: DestinationUnderTest):
    assert held(receiver, factories.ct_study(key="unknown")) == frozenset()


def test_only_asked_series_are_held(receiver: DestinationUnderTest, tmp_path: Path):
    spec = factories.study(
        SeriesSpec(Form.CT, 2, "", 32, 32), SeriesSpec(Form.MR, 3, "", 32, 32), key="two series"
    )
    deliver(receiver, incoming(spec, tmp_path / "in"))
    with receiver.destination() as destination:
        answer = destination.held(factories.study_reference(spec), [factories.series_reference(spec, 1)])
    assert answer == {spec.sop_instance_uid(1, index) for index in range(3)}


def test_instance_that_comes_twice_is_there_once(receiver: DestinationUnderTest, tmp_path: Path):
    instance = incoming(factories.ct_study(key="twice"), tmp_path / "in")[0]
    uid = instance.header.sop_instance_uid
    assert deliver(receiver, [instance, instance]) == [Delivery(uid), Delivery(uid)]
    assert receiver.contents() == receiver.expected(tmp_path / "in")


def test_instance_that_is_there_may_come_again(receiver: DestinationUnderTest, tmp_path: Path):
    instances = incoming(factories.ct_study(3, key="again"), tmp_path / "in")
    deliver(receiver, instances)
    assert [delivery.failure for delivery in deliver(receiver, instances)] == ["", "", ""]
    assert receiver.contents() == receiver.expected(tmp_path / "in")


def test_refused_instance_does_not_stop_the_others(receiver: DestinationUnderTest, tmp_path: Path):
    if not receiver.refuses_unknown_classes:
        pytest.skip("it takes everything")
    spec = factories.ct_study(5, key="one is refused")
    instances = incoming(spec, tmp_path / "in")
    header = replace(instances[2].header, sop_class_uid="1.2.3.4.5", sop_instance_uid=UNWELCOME_UID)
    expected = factories.instances_in(tmp_path / "in")
    del expected[instances[2].header.sop_instance_uid]
    instances[2] = replace(instances[2], header=header)
    deliveries = deliver(receiver, instances)
    assert [bool(delivery.failure) for delivery in deliveries] == [False, False, True, False, False]
    assert deliveries[2].sop_instance_uid == UNWELCOME_UID
    assert not deliveries[2].retryable
    assert receiver.contents() == expected


def test_source_that_fails_in_an_instance_leaves_nothing_of_it(
    receiver: DestinationUnderTest, tmp_path: Path
):
    spec = factories.ct_study(5, rows=256, key="source fails")
    instances = incoming(spec, tmp_path / "in")
    yielded: list[Delivery] = []
    with receiver.destination() as destination, pytest.raises(ConnectionFailed, match="the source broke"):
        yielded.extend(destination.deliver([*instances[:3], BrokenInstance(instances[3]), instances[4]]))
    whole = {instance.header.sop_instance_uid for instance in instances[:3]}
    assert {delivery.sop_instance_uid for delivery in yielded} == whole
    assert set(receiver.contents()) == whole
    assert held(receiver, spec) == whole


def test_destination_can_be_used_again_after_the_source_failed(
    receiver: DestinationUnderTest, tmp_path: Path
):
    spec = factories.ct_study(3, key="source failed")
    instances = incoming(spec, tmp_path / "in")
    with receiver.destination() as destination:
        with pytest.raises(ConnectionFailed):
            list(destination.deliver([BrokenInstance(instances[0])]))
        assert len(list(destination.deliver(instances))) == 3
    assert receiver.contents() == receiver.expected(tmp_path / "in")


def test_failure_between_instances_keeps_what_had_come(receiver: DestinationUnderTest, tmp_path: Path):
    spec = factories.ct_study(3, key="iterator fails")
    instances = incoming(spec, tmp_path / "in")

    def failing() -> Iterator[FileInstance]:
        yield from instances[:2]
        raise ConnectionFailed("no more")

    yielded: list[Delivery] = []
    with receiver.destination() as destination, pytest.raises(ConnectionFailed):
        yielded.extend(destination.deliver(failing()))
    assert len(yielded) == 2
    assert set(receiver.contents()) == {delivery.sop_instance_uid for delivery in yielded}


def test_destination_that_goes_away_half_way_has_what_it_said_and_nothing_broken(
    receiver: DestinationUnderTest, tmp_path: Path
):
    instances = incoming(factories.ct_study(20, rows=128, key="destination leaves"), tmp_path / "in")
    expected = receiver.expected(tmp_path / "in")

    def until_it_leaves(leave: Callable[[], None]) -> Iterator[FileInstance]:
        yield from instances[:10]
        leave()
        yield from instances[10:]

    yielded: list[Delivery] = []
    with receiver.leaving() as (destination, leave), pytest.raises(AditError):
        yielded.extend(destination.deliver(until_it_leaves(leave)))
    arrived = receiver.contents()
    assert {delivery.sop_instance_uid for delivery in yielded if not delivery.failure} <= arrived.keys()
    assert arrived.items() <= expected.items()
    assert [delivery.failure for delivery in deliver(receiver, instances)] == [""] * 20
    assert receiver.contents() == expected


def test_caller_that_stops_early_has_what_was_yielded_to_it(receiver: DestinationUnderTest, tmp_path: Path):
    spec = factories.ct_study(50, key="caller stops")
    with receiver.destination() as destination:
        deliveries = destination.deliver(incoming(spec, tmp_path / "in"))
        first = next(iter(deliveries))
        del deliveries
    arrived = receiver.contents()
    assert first.sop_instance_uid in arrived
    expected = receiver.expected(tmp_path / "in")
    assert arrived.items() <= expected.items()


def test_closing_twice_does_no_harm(receiver: DestinationUnderTest, tmp_path: Path):
    destination = receiver.destination()
    list(destination.deliver(incoming(factories.ct_study(key="closing"), tmp_path / "in")))
    destination.close()
    destination.close()
