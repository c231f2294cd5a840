"""Whatever is written wherever into whatever data set: what identifies is not in the bytes that leave."""

from collections.abc import Iterator
from datetime import date
from io import BytesIO
from itertools import islice
from pathlib import Path
from random import Random

import data_store
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from adit_core.errors import DeidentificationFailed
from tests.bench.deid import texts
from tests.bench.deid.contestants import deidentifier_for, stream_for, transformed
from tests.bench.deid.key import places
from tests.bench.deid.objects import KINDS, build
from tests.bench.deid.part10 import is_in_bytes, searchable, written
from tests.bench.deid.place import Place, items
from tests.factories import dataset

_PLACES = [place for _, place in islice(places(Random(5)), 0, 13 * 12, 12)]
_SEQUENCES = (
    "PerformedProtocolCodeSequence",
    "ContentSequence",
    "RequestAttributesSequence",
    "SharedFunctionalGroupsSequence",
)
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDateTime")
_bounded = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=(HealthCheck.too_slow,)
)
_instances = st.builds(
    lambda kind, place, seed, planted, depth: _planted(kind, place, Random(seed), planted, depth),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(_PLACES),
    st.integers(0, 10**6),
    st.lists(st.sampled_from(texts.PLANTABLE), min_size=1, max_size=12, unique=True),
    st.integers(0, 4),
)


def _planted(
    kind: str, place: Place, random: Random, keywords: list[str], depth: int
) -> tuple[Dataset, Place]:
    """Return an instance with texts planted at a depth of sequences, some of them in private ones."""
    made = build(kind, place)
    target: Dataset = dataset(**{keyword: texts.plant(random, keyword, place) for keyword in keywords})
    for _ in range(depth):
        below = dataset()
        setattr(below, random.choice(_SEQUENCES), items(target))
        if random.random() < 0.3:
            below.private_block(0x0029, "SOME DEVICE", create=True).add_new(0x01, "SQ", [target])
        target = below
    for element in target:
        made[element.tag] = element
    return made, place


def _identifying(place: Place) -> Iterator[str]:
    yield from (token for token in place.person.tokens() if token != place.person.birth)
    yield from (name for colleague in place.staff for name in (colleague.family, colleague.given))
    yield from (place.accession_number, "Niederwurzelbach", place.study_instance_uid, place.sop_instance_uid)


@_bounded
@given(_instances)
def test_no_planted_value_survives_anywhere_in_the_bytes(planted: tuple[Dataset, Place]):
    original, place = planted
    encoded = _leaving(original)
    searched = searchable(dcmread(BytesIO(encoded)), encoded)
    sets = place.person.character_set
    assert [token for token in _identifying(place) if is_in_bytes(token, searched, sets)] == []


@_bounded
@given(_instances)
def test_doing_it_twice_gives_the_same_bytes(planted: tuple[Dataset, Place]):
    original, _ = planted
    assert _leaving(original) == _leaving(original)


@_bounded
@given(_instances)
def test_the_original_is_not_changed(planted: tuple[Dataset, Place]):
    original, place = planted
    before = written(original)
    deidentifier_for(place.person.patient_id).deidentify(original)
    assert written(original) == before


@pytest.mark.parametrize("index", range(len(_PLACES)))
def test_references_stay_consistent_across_series_and_jobs(index: int):
    place = _PLACES[index]
    names = {uid: deidentifier_for(place.person.patient_id).mapped_uid(uid) for uid in _uids(place)}
    elsewhere = deidentifier_for(place.person.patient_id, secret=b"the key of another project")
    assert len(set(names.values())) == len(names)
    assert not {elsewhere.mapped_uid(uid) for uid in names} & set(names.values())
    for kind in ("CT", "KO", "SEG", "RTSTRUCT", "enhanced MR"):
        result = dcmread(BytesIO(_leaving(build(kind, place))))
        found = {str(element.value) for element in result.iterall() if element.VR == "UI" and element.VM == 1}
        assert not found & names.keys()
        assert {names[place.study_instance_uid], names[place.series_instance_uid]} <= found
        assert result.SOPInstanceUID == names[place.sop_instance_uid]
        assert result.file_meta.MediaStorageSOPInstanceUID == result.SOPInstanceUID
    key_objects = dcmread(BytesIO(_leaving(build("KO", place))))
    [evidence] = key_objects.CurrentRequestedProcedureEvidenceSequence
    [series] = evidence.ReferencedSeriesSequence
    referenced = place.referenced[0]
    assert series.SeriesInstanceUID == names[referenced.series_instance_uid]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == names[referenced.sop_instance_uid]


def _uids(place: Place) -> list[str]:
    found = [place.study_instance_uid, place.series_instance_uid, place.sop_instance_uid]
    for referenced in place.referenced:
        found += [referenced.series_instance_uid, referenced.sop_instance_uid]
    return list(dict.fromkeys(found))


def test_intervals_between_the_dates_of_a_patient_stay_exact():
    mine = [place for place in _PLACES if place.person == _PLACES[0].person]
    other = next(place for place in _PLACES if place.person != _PLACES[0].person)
    shifts = set()
    for place in mine:
        original = build("CT", place)
        result = dcmread(BytesIO(_leaving(original)))
        shifts |= {
            _shift(original, result, keyword)
            for keyword in ("StudyDate", "SeriesDate", "AcquisitionDateTime")
        }
        assert result.StudyTime == original.StudyTime
    assert len(shifts) == 1
    unlike = build("CT", other)
    assert _shift(unlike, dcmread(BytesIO(_leaving(unlike))), "StudyDate") not in shifts


def _shift(original: Dataset, result: Dataset, keyword: str) -> int:
    before, after = (date.fromisoformat(str(source[keyword].value)[:8]) for source in (original, result))
    return (after - before).days


_PACKAGES = (Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent)
_REAL_FILES = sorted(path for package in _PACKAGES for path in package.rglob("*.dcm"))


@pytest.mark.parametrize("path", _REAL_FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_a_real_file_leaves_without_what_identifies_or_not_at_all_if_it_is_no_instance(path: Path):
    original = dcmread(path, force=True, stop_before_pixels=True)
    deidentifier = deidentifier_for(str(original.get("PatientID", "")))
    if not {"SOPClassUID", "SOPInstanceUID"} <= {element.keyword for element in original}:
        with pytest.raises(DeidentificationFailed):
            deidentifier.deidentify(original)
        return
    result = deidentifier.deidentify(original)
    told = "\n".join(str(element.value) for element in result.iterall() if element.VR != "UI")
    for keyword in ("PatientID", "PatientName", "AccessionNumber", "ReferringPhysicianName"):
        value = str(original.get(keyword, "") or "").replace("^", " ").strip()
        assert len(value) < 5 or value not in told.replace("^", " ")
    assert result.PatientID == result.PatientName == deidentifier.subject.pseudonym


def _leaving(original: Dataset) -> bytes:
    """Return what leaves, by a de-identifier of its own, as another job would make it."""
    return transformed(stream_for(str(original.PatientID)), written(original))
