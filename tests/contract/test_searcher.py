"""What every searcher does: find what fulfils the query, and tell enough of it to retrieve it."""

from datetime import date

import pytest

from adit_core.dicom.ports import Searcher
from adit_core.dicom.query import (
    AttributeQuery,
    DateRange,
    InstanceResult,
    Level,
    PatientQuery,
    SeriesQuery,
    StudyQuery,
)
from adit_core.dicom.study_windows import StudyWindow
from adit_core.errors import TransientError
from deployments.demo.studies import Form, SeriesSpec, StudySpec, write_study
from tests import factories
from tests.contract.conftest import Lack, SourceUnderTest

CT = factories.ct_study(
    2, key="searched ct", patient_id="0004711", patient_name="Miller^Susan", study_date="20240110"
)
MR = factories.study(
    SeriesSpec(Form.MR, 3, "T1 axial", 32, 32),
    SeriesSpec(Form.REPORT, 1, "Report"),
    key="searched mr",
    patient_id="DEMO0002",
    patient_name="Milan^Peter",
    accession_number="T0002",
    study_date="20240215",
    description="MR head",
)
OLD = factories.ct_study(
    1, key="searched old", patient_id="0004711", patient_name="Miller^Susan", study_date="20190110"
)


def found(archive: SourceUnderTest, query: StudyQuery) -> set[str]:
    with archive.searcher() as searcher:
        return {study.reference.study_instance_uid for study in searcher.find_studies(query)}


def uids(*specs: StudySpec) -> set[str]:
    return {spec.study_instance_uid for spec in specs}


def test_study_is_found_by_its_uid(archive: SourceUnderTest):
    archive.holding(CT, MR)
    with archive.searcher() as searcher:
        (study,) = searcher.find_studies(StudyQuery(study_instance_uid=MR.study_instance_uid))
    assert study.reference == factories.study_reference(MR)
    assert study.patient_name == "Milan^Peter"
    assert study.accession_number == "T0002"
    assert study.study_date == date(2024, 2, 15)


def test_study_is_described(archive: SourceUnderTest):
    archive.allow_for(Lack.DETAILS)
    archive.holding(MR)
    with archive.searcher() as searcher:
        (study,) = searcher.find_studies(StudyQuery(study_instance_uid=MR.study_instance_uid))
    assert study.study_description == "MR head"
    assert study.patient_sex == "F"
    assert study.patient_birth_date == date(1962, 8, 17)
    assert study.modalities in ({"MR", "SR"}, frozenset())
    assert study.institution_name in ("Demo Hospital", "")
    assert study.number_of_series in (2, None)
    assert study.number_of_instances in (4, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(StudyQuery(), (CT, MR, OLD), id="everything"),
        pytest.param(StudyQuery(patient_id="0004711"), (CT, OLD), id="leading zeros"),
        pytest.param(StudyQuery(patient_id="4711"), (), id="no part of an ID"),
        pytest.param(StudyQuery(patient_id="DEMO*"), (MR,), id="ID with *"),
        pytest.param(StudyQuery(patient_name="Mil*"), (CT, MR, OLD), id="name with *"),
        pytest.param(StudyQuery(patient_name="Mil?n*"), (MR,), id="name with ?"),
        pytest.param(StudyQuery(accession_number="T0002"), (MR,), id="accession number"),
        pytest.param(StudyQuery(study_date=DateRange(date(2024, 1, 10))), (CT, MR), id="from a day on"),
        pytest.param(StudyQuery(study_date=DateRange(None, date(2024, 1, 10))), (CT, OLD), id="to a day"),
        pytest.param(
            StudyQuery(study_date=DateRange(date(2024, 1, 11), date(2024, 2, 15))), (MR,), id="between days"
        ),
        pytest.param(
            StudyQuery(study_date=DateRange(date(2019, 1, 10), date(2019, 1, 10))), (OLD,), id="on a day"
        ),
        pytest.param(
            StudyQuery(patient_id="0004711", study_date=DateRange(date(2020, 1, 1))), (CT,), id="both"
        ),
        pytest.param(StudyQuery(study_instance_uid="1.2.3.4"), (), id="unknown UID"),
    ],
)
def test_studies_are_found_by_keys(
    archive: SourceUnderTest, query: StudyQuery, expected: tuple[StudySpec, ...]
):
    archive.holding(CT, MR, OLD)
    assert found(archive, query) == uids(*expected)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ((8 * 60, 8 * 60 + 15), {"08", "080000", "081459.5"}),
        ((8 * 60 + 15, 8 * 60 + 16), {"0815"}),
        ((0, 8 * 60), {"000000", "075959"}),
        ((12 * 60, 24 * 60), {"200000", "235959.999999"}),
    ],
)
def test_studies_of_a_day_are_found_by_their_time(
    archive: SourceUnderTest, minutes: tuple[int, int], expected: set[str]
):
    times = ("000000", "075959", "08", "080000", "081459.5", "0815", "200000", "235959.999999")
    specs = {at: factories.ct_study(key=f"at {at}", study_date="20240110", study_time=at) for at in times}
    archive.holding(*specs.values())
    window = StudyWindow(date(2024, 1, 10), date(2024, 1, 10), *minutes)
    query = StudyQuery(study_date=window.days, study_time=window.times)
    assert found(archive, query) == uids(*(specs[at] for at in expected))


def test_study_is_found_by_any_of_its_modalities(archive: SourceUnderTest):
    archive.holding(CT, MR)
    with archive.searcher() as searcher:
        studies = list(searcher.find_studies(StudyQuery(modalities=frozenset({"SR", "US"}))))
    assert MR.study_instance_uid in {study.reference.study_instance_uid for study in studies}
    assert all(study.modalities == frozenset() or "SR" in study.modalities for study in studies)


@pytest.mark.parametrize(("character_set", "name"), factories.PATIENTS)
def test_name_is_told_as_it_is_written(archive: SourceUnderTest, character_set: str, name: str):
    if name.startswith(("Yamada", "Иванова")):
        archive.allow_for(Lack.ALPHABETS)
    archive.holding(factories.ct_study(key=character_set, patient_name=name, character_set=character_set))
    with archive.searcher() as searcher:
        (study,) = searcher.find_studies(StudyQuery())
    assert study.patient_name == name


def test_patient_of_several_studies_is_found_once(archive: SourceUnderTest):
    archive.holding(CT, OLD, MR)
    with archive.searcher() as searcher:
        patients = list(searcher.find_patients(PatientQuery(patient_id="0004711")))
    assert [(patient.patient_id, patient.patient_name) for patient in patients] == [
        ("0004711", "Miller^Susan")
    ]


def test_series_of_a_study_are_described(archive: SourceUnderTest):
    archive.holding(CT, MR)
    with archive.searcher() as searcher:
        series = list(searcher.find_series(SeriesQuery(factories.study_reference(MR))))
    told = {(one.reference, one.modality, one.series_number) for one in series}
    assert told == {
        (factories.series_reference(MR, 0), "MR", 1),
        (factories.series_reference(MR, 1), "SR", 2),
    }
    # No archive has to know this one (PS3.4 C.6.1.1.4).
    assert {one.series_description for one in series} in ({"T1 axial", "Report"}, {""})


def test_series_are_found_by_keys(archive: SourceUnderTest):
    archive.holding(CT, MR)
    study = factories.study_reference(MR)
    queries = [
        SeriesQuery(study, modality="SR"),
        SeriesQuery(study, series_number=2),
        SeriesQuery(study, series_instance_uid=MR.series_instance_uid(1)),
    ]
    with archive.searcher() as searcher:
        answers = [[one.reference for one in searcher.find_series(query)] for query in queries]
    assert answers == [[factories.series_reference(MR, 1)]] * 3


def test_further_attributes_are_told_as_far_as_the_archive_knows_them(archive: SourceUnderTest):
    archive.holding(MR)
    study = factories.study_reference(MR)
    of_study = (("StudyTime", ""), ("ReferringPhysicianName", ""))
    of_series = (("BodyPartExamined", ""), ("SeriesDescription", ""))
    with archive.searcher() as searcher:
        (found,) = searcher.find_studies(
            StudyQuery(study_instance_uid=study.study_instance_uid, further=of_study)
        )
        series = list(searcher.find_series(SeriesQuery(study, further=of_series)))
    told = dict(found.further)
    assert told.keys() <= dict(of_study).keys()
    assert told.get("StudyTime", "") in ("120000", "")
    assert {dict(one.further).get("SeriesDescription", "") for one in series} in (
        {"T1 axial", "Report"},
        {""},
    )


def test_unknown_study_has_no_series(archive: SourceUnderTest):
    archive.holding(CT)
    with archive.searcher() as searcher:
        assert list(searcher.find_series(SeriesQuery(factories.study_reference(MR)))) == []


def test_unknown_series_has_no_instances(archive: SourceUnderTest):
    archive.holding(CT)
    with archive.searcher() as searcher:
        assert list(searcher.find_instances(factories.series_reference(MR, 0))) == []


def test_instances_are_told_with_their_class_and_number(archive: SourceUnderTest):
    archive.holding(CT, MR)
    with archive.searcher() as searcher:
        instances = list(searcher.find_instances(factories.series_reference(MR, 0)))
    expected = [factories.instance_result(MR, 0, index) for index in range(3)]
    assert sorted(instances, key=lambda one: one.instance_number or 0) in (
        expected,
        [type(one)(one.reference, "", one.instance_number) for one in expected],
    )


def test_the_uids_of_instances_can_be_asked_for_alone(archive: SourceUnderTest):
    archive.holding(CT, MR)
    with archive.searcher() as searcher:
        instances = searcher.find_instances(factories.series_reference(MR, 0), uids_only=True)
        found = {one.reference for one in instances}
    assert found == {factories.instance_result(MR, 0, index).reference for index in range(3)}


def test_instances_of_all_forms_and_transfer_syntaxes_are_found(archive: SourceUnderTest):
    spec = factories.mixed_study(size=32, key="mixed to be found")
    archive.holding(spec)
    with archive.searcher() as searcher:
        series = {one.reference for one in searcher.find_series(SeriesQuery(factories.study_reference(spec)))}
        instances = [
            one.reference.sop_instance_uid for each in series for one in searcher.find_instances(each)
        ]
    assert series == set(factories.series_references(spec))
    assert sorted(instances) == sorted(spec.sop_instance_uids())


def test_what_the_archive_was_given_twice_is_found_once(archive: SourceUnderTest):
    archive.holding(CT)
    archive.holding(CT)
    with archive.searcher() as searcher:
        (study,) = searcher.find_studies(StudyQuery())
        (series,) = searcher.find_series(SeriesQuery(study.reference))
        assert len(list(searcher.find_instances(series.reference))) == 2


def test_empty_archive_answers_nothing(archive: SourceUnderTest):
    with archive.searcher() as searcher:
        assert list(searcher.find_patients(PatientQuery())) == []
        assert list(searcher.find_studies(StudyQuery())) == []


def test_study_whose_texts_do_not_fit_their_character_set_is_found(archive: SourceUnderTest):
    spec = factories.ct_study(2, key="misdeclared", patient_name="Müller^Jörg", character_set="ISO_IR 100")
    files = write_study(spec, archive.folder)
    for path in files:
        factories.misdeclare_character_set(path)
    archive.load(files)
    with archive.searcher() as searcher:
        (study,) = searcher.find_studies(StudyQuery(accession_number="T0001"))
        instances = list(searcher.find_instances(factories.series_reference(spec, 0)))
    assert study.reference == factories.study_reference(spec)
    assert study.patient_name.startswith("M")
    assert {one.reference.sop_instance_uid for one in instances} == spec.sop_instance_uids()


def test_peer_that_leaves_in_an_answer_is_a_passing_condition(archive: SourceUnderTest):
    archive.allow_for(Lack.PEER)
    spec = factories.ct_study(200, rows=16, key="peer leaves")
    archive.holding(spec)
    series = factories.series_reference(spec, 0)
    found: list[InstanceResult] = []
    with archive.leaving_searcher() as searcher, pytest.raises(TransientError):
        found.extend(searcher.find_instances(series))
    assert len(found) < 200
    with archive.searcher() as searcher:
        assert len(list(searcher.find_instances(series))) == 200


def test_searcher_can_be_used_again_after_a_query_was_given_up(archive: SourceUnderTest):
    spec = factories.ct_study(50, rows=16, key="given up")
    archive.holding(spec)
    series = factories.series_reference(spec, 0)
    with archive.searcher() as searcher:
        assert take_one(searcher, series)
        assert len(list(searcher.find_instances(series))) == 50


def take_one(searcher: Searcher, series: factories.SeriesReference) -> str:
    for instance in searcher.find_instances(series):
        return instance.reference.sop_instance_uid
    return ""


def test_queries_may_be_asked_while_another_one_is_answered(archive: SourceUnderTest):
    archive.holding(CT, MR, OLD)
    series: set[str] = set()
    with archive.searcher() as searcher:
        for study in searcher.find_studies(StudyQuery()):
            series |= {
                one.reference.series_instance_uid
                for one in searcher.find_series(SeriesQuery(study.reference))
            }
    assert series == {
        spec.series_instance_uid(index) for spec in (CT, MR, OLD) for index in range(len(spec.series))
    }


def test_any_attributes_are_told_at_each_level(archive: SourceUnderTest):
    archive.holding(CT, MR)
    study, series = factories.study_reference(MR), factories.series_reference(MR, 0)
    wanted = {
        Level.STUDY: ("0020000D", {CT.study_instance_uid}),
        Level.SERIES: ("0020000E", {MR.series_instance_uid(index) for index in range(len(MR.series))}),
        Level.INSTANCE: (
            "00080018",
            {MR.sop_instance_uid(0, instance) for instance in range(MR.series[0].instances)},
        ),
    }
    with archive.searcher() as searcher:
        for level, (tag, expected) in wanted.items():
            keys = {"StudyInstanceUID": "", "PatientID": "0004711"} if level is Level.STUDY else {}
            uid = {Level.SERIES: "SeriesInstanceUID", Level.INSTANCE: "SOPInstanceUID"}.get(level)
            query = AttributeQuery(level, {uid: ""} if uid else keys, study, series.series_instance_uid)
            told = {answer[tag]["Value"][0] for answer in searcher.find_data_sets(query)}
            assert told >= expected
