"""What every source does: hand out what was asked for, unchanged."""

from contextlib import suppress
from dataclasses import replace

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from adit_core.dicom.ports import RetrieveRequest
from adit_core.errors import AditError, TransientError
from deployments.demo.studies import Form, SeriesSpec, StudySpec, write_study
from tests import factories
from tests.contract.arrivals import Arrivals, InletFailed
from tests.contract.conftest import Lack, ManyInstances, SourceUnderTest


def retrieve(archive: SourceUnderTest, request: RetrieveRequest) -> Arrivals:
    arrivals = Arrivals()
    with archive.source() as source:
        source.retrieve(request, arrivals)
    return arrivals


def two_series(key: str) -> StudySpec:
    return factories.study(
        SeriesSpec(Form.CT, 5, "first", 32, 32), SeriesSpec(Form.MR, 3, "second", 32, 32), key=key
    )


def test_one_instance_arrives_unchanged(archive: SourceUnderTest):
    spec = factories.ct_study()
    expected = archive.holding(spec)
    assert retrieve(archive, factories.request_for_study(spec)).hashes == expected


def test_whole_study_arrives(archive: SourceUnderTest):
    spec = two_series("whole")
    expected = archive.holding(spec, factories.ct_study(3, key="another study"))
    arrived = retrieve(archive, factories.request_for_study(spec)).hashes
    assert arrived == {uid: expected[uid] for uid in spec.sop_instance_uids()}


def test_chosen_series_arrives(archive: SourceUnderTest):
    spec = two_series("series")
    expected = archive.holding(spec)
    arrived = retrieve(archive, factories.request_for_series(spec, 1)).hashes
    wanted = [spec.sop_instance_uid(1, index) for index in range(3)]
    assert arrived == {uid: expected[uid] for uid in wanted}


@pytest.mark.parametrize("indexes", [(2,), (0, 2, 4)], ids=["one", "three"])
def test_chosen_instances_of_a_series_arrive(archive: SourceUnderTest, indexes: tuple[int, ...]):
    spec = two_series("instances")
    expected = archive.holding(spec)
    arrived = retrieve(archive, factories.request_for_instances(spec, 0, indexes)).hashes
    wanted = [spec.sop_instance_uid(0, index) for index in indexes]
    assert arrived == {uid: expected[uid] for uid in wanted}


def test_each_of_2000_instances_is_found_and_arrives_once(
    archive: SourceUnderTest, many_instances: ManyInstances
):
    many = many_instances.first(archive.most_instances)
    archive.load(many.files)
    with archive.searcher() as searcher:
        instances = list(searcher.find_instances(factories.series_reference(many.spec, 0)))
    assert sorted(one.reference.sop_instance_uid for one in instances) == sorted(many.hashes)
    arrivals = retrieve(archive, factories.request_for_study(many.spec))
    assert arrivals.hashes == many.hashes
    assert arrivals.count == len(many.hashes)


def test_all_but_one_of_200_instances_arrive_when_asked_for_one_by_one(archive: SourceUnderTest):
    spec = factories.ct_study(200, key="all but one")
    expected = archive.holding(spec)
    arrived = retrieve(archive, factories.request_for_instances(spec, 0, range(1, 200))).hashes
    del expected[spec.sop_instance_uid(0, 0)]
    assert arrived == expected


def test_large_instance_arrives(archive: SourceUnderTest):
    spec = factories.large_study(60)
    expected = archive.holding(spec)
    assert retrieve(archive, factories.request_for_study(spec)).hashes == expected


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless]
)
def test_transfer_syntax_stays_what_it_is(archive: SourceUnderTest, syntax: str):
    if syntax == ImplicitVRLittleEndian:
        archive.allow_for(Lack.IMPLICIT)
    if syntax in (JPEG2000Lossless, RLELossless):
        archive.allow_for(Lack.COMPRESSED)
    spec = factories.study(SeriesSpec(Form.CT, 3, "", 32, 32, transfer_syntax_uid=syntax), key=f"in {syntax}")
    expected = archive.holding(spec)
    arrivals = retrieve(archive, factories.request_for_study(spec))
    assert arrivals.hashes == expected
    assert {header.transfer_syntax_uid for header in arrivals.headers.values()} == {syntax}


def test_study_of_all_forms_and_transfer_syntaxes_arrives(archive: SourceUnderTest):
    archive.allow_for(Lack.COMPRESSED)
    spec = factories.mixed_study()
    expected = archive.holding(spec)
    assert retrieve(archive, factories.request_for_study(spec)).hashes == expected


def test_instances_whose_sop_class_is_unknown_arrive(archive: SourceUnderTest):
    spec = two_series("no classes")
    expected = archive.holding(spec)
    request = factories.request_for_study(spec)
    parts = tuple(
        replace(part, instances=tuple(replace(each, sop_class_uid="") for each in part.instances))
        for part in request.parts
    )
    assert retrieve(archive, replace(request, parts=parts)).hashes == expected


def test_private_elements_arrive(archive: SourceUnderTest):
    spec = factories.study(SeriesSpec(Form.CT, 2, "", 32, 32, private=True), key="private")
    expected = archive.holding(spec)
    assert retrieve(archive, factories.request_for_study(spec)).hashes == expected


def test_texts_that_do_not_fit_their_character_set_arrive(archive: SourceUnderTest):
    spec = factories.ct_study(2, key="misdeclared", patient_name="Müller^Jörg", character_set="ISO_IR 100")
    files = write_study(spec, archive.folder)
    for path in files:
        factories.misdeclare_character_set(path)
    archive.load(files)
    arrived = retrieve(archive, factories.request_for_study(spec)).hashes
    assert arrived == factories.instances_in(archive.folder)


def test_nothing_comes_if_nothing_is_asked_for(archive: SourceUnderTest):
    spec = factories.ct_study(key="not asked for")
    archive.holding(spec)
    request = RetrieveRequest(factories.study_reference(spec), parts=(), whole=False)
    assert retrieve(archive, request).hashes == {}


def test_nothing_comes_of_an_unknown_study(archive: SourceUnderTest):
    archive.holding(factories.ct_study(key="known"))
    arrivals = Arrivals()
    # Archives differ: some call it a failure, some a success with nothing in it.
    with archive.source() as source, suppress(AditError):
        source.retrieve(factories.request_for_study(factories.ct_study(key="unknown")), arrivals)
    assert arrivals.hashes == {}


def test_instances_that_are_there_come_although_another_one_is_not(archive: SourceUnderTest):
    spec = factories.ct_study(3, key="incomplete")
    files = write_study(spec, archive.folder)
    missing = next(path for path in files if path.stem == spec.sop_instance_uid(0, 1))
    archive.load([path for path in files if path != missing])
    arrived = retrieve(archive, factories.request_for_instances(spec, 0, range(3))).hashes
    assert set(arrived) == spec.sop_instance_uids() - {missing.stem}


def test_instances_that_the_archive_was_given_twice_arrive_once(archive: SourceUnderTest):
    spec = factories.ct_study(3, key="given twice")
    expected = archive.holding(spec)
    archive.holding(spec)
    arrivals = retrieve(archive, factories.request_for_study(spec))
    assert arrivals.hashes == expected
    assert arrivals.count == 3


def test_peer_that_leaves_half_way_is_a_passing_condition(archive: SourceUnderTest):
    spec = factories.ct_study(20, rows=128, key="peer leaves")
    expected = archive.holding(spec)
    arrivals = Arrivals()
    with archive.leaving_source() as source, pytest.raises(TransientError):
        source.retrieve(factories.request_for_study(spec), arrivals)
    assert arrivals.hashes.items() <= expected.items()
    assert retrieve(archive, factories.request_for_study(spec)).hashes == expected


def test_what_the_inlet_raises_ends_the_retrieval(archive: SourceUnderTest):
    spec = factories.ct_study(20, rows=128, key="inlet fails")
    archive.holding(spec)
    arrivals = Arrivals(fail_in=7)
    with archive.source() as source, pytest.raises(InletFailed):
        source.retrieve(factories.request_for_study(spec), arrivals)
    assert len(arrivals.hashes) == 7


def test_source_can_be_used_again_after_the_inlet_failed(archive: SourceUnderTest):
    spec = factories.ct_study(20, rows=128, key="inlet failed")
    expected = archive.holding(spec)
    again = Arrivals()
    with archive.source() as source:
        with pytest.raises(InletFailed):
            source.retrieve(factories.request_for_study(spec), Arrivals(fail_in=2))
        source.retrieve(factories.request_for_study(spec), again)
    assert again.hashes == expected


def test_closing_twice_does_no_harm(archive: SourceUnderTest):
    source = archive.source()
    source.close()
    source.close()
