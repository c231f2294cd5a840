"""What a mass transfer looks for is checked field by field."""

from pathlib import Path
from typing import Any

import pytest

from adit_core.db.mass import MassTransferOptions
from adit_core.errors import InvalidInput
from adit_core.services.submit_mass import mass_options, read_mass_file

DAYS = {"first_day": "2024-01-01", "last_day": "2024-01-31"}


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, ["first_day", "last_day"]),
        ({"first_day": "2024-01-02", "last_day": "2024-01-01"}, ["last_day"]),
        ({"first_day": "1900-01-01", "last_day": "2024-01-01"}, ["last_day"]),
        ({**DAYS, "time_zone": "Europe/Bärlin"}, ["time_zone"]),
        ({**DAYS, "time_zone": "../etc/passwd"}, ["time_zone"]),
        ({**DAYS, "partition": "hourly"}, ["partition"]),
        ({**DAYS, "modality": "CT"}, ["modality"]),
        ({**DAYS, "include": {"study_descriptions": ["/(/"]}}, ["include.study_descriptions.0"]),
        ({**DAYS, "exclude": {"institutions": [" "]}}, ["exclude.institutions.0"]),
        ({**DAYS, "min_age": 18, "max_age": 17}, ["max_age"]),
        ({**DAYS, "min_age": -1, "max_images": "many"}, ["min_age", "max_images"]),
        ({**DAYS, "find_limit": 0}, ["find_limit"]),
    ],
)
def test_every_problem_names_its_field(values: dict[str, Any], fields: list[str]):
    with pytest.raises(InvalidInput) as refused:
        mass_options(values)
    assert [problem.field for problem in refused.value.problems] == fields


def test_options_survive_the_database_as_they_are():
    options = mass_options(
        {**DAYS, "partition": "weekly", "include": {"modalities": ["ct"], "series_descriptions": ["/t1/"]}}
    )
    assert options.include.modalities == ("CT",)
    assert MassTransferOptions.model_validate(options.model_dump(mode="json")) == options


def test_a_file_tells_the_options(tmp_path: Path):
    path = tmp_path / "mass.yaml"
    path.write_text(
        "first_day: 2024-01-01\nlast_day: 2024-01-31\ninclude:\n  modalities: [CT, MR]\nmin_age: 18\n"
    )
    options = mass_options(read_mass_file(path))
    assert (options.include.modalities, options.min_age) == (("CT", "MR"), 18)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("- CT\n", "names and values"),
        ("a: b: c", "is no YAML"),
        ("", "names and values"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_tells_nothing_is_refused(tmp_path: Path, content: str | None, words: str):
    path = tmp_path / "mass.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidInput, match=words):
        read_mass_file(path)
