"""Asking archives for what they have."""

from collections.abc import Mapping
from typing import Any, Unpack

from adit_core.client.connection import Connected
from adit_core.client.keys import PatientKeys, SeriesKeys, StudyKeys
from adit_core.client.plain import plain
from adit_core.client.reading import Table, made_all
from adit_core.client.values import Instance, Patient, Series, Study


class Searching(Connected):
    """Finds patients, studies, series and instances."""

    def find_patients(self, node: str, **keys: Unpack[PatientKeys]) -> Table[Patient]:
        """Ask an archive for patients, or with `max_age` only for those of studies that it told of before."""
        return made_all(Patient, self._search("patients", node, keys))

    def find_studies(self, node: str, **keys: Unpack[StudyKeys]) -> Table[Study]:
        """Ask an archive for studies, or with `max_age` only for what it told before."""
        return made_all(Study, self._search("studies", node, keys))

    def find_series(self, node: str, study: Study | str, **keys: Unpack[SeriesKeys]) -> Table[Series]:
        """Ask an archive for the series of a study, or with `max_age` only for what it told before."""
        return made_all(Series, self._search("series", node, {**keys, **_study_keys(study)}))

    def find_instances(
        self, node: str, series: Series, *, patient_id: str = "", limit: int = 10_000
    ) -> Table[Instance]:
        """Ask an archive for the instances of a series; some want to be told the patient as well.

        Instances are not remembered, so the archive is always asked.
        """
        keys = {
            "patient_id": patient_id,
            "limit": limit,
            "study_instance_uid": series.study_instance_uid,
            "series_instance_uid": series.series_instance_uid,
        }
        return made_all(Instance, self._search("instances", node, keys))

    def _search(self, level: str, node: str, keys: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        path = f"/search/remembered/{level}" if "max_age" in keys else f"/search/{level}"
        return self._connection.ask(path, json={"node": node, **plain(keys)})


def _study_keys(study: Study | str) -> dict[str, str]:
    if isinstance(study, str):
        return {"study_instance_uid": study}
    return {"study_instance_uid": study.study_instance_uid, "patient_id": study.patient_id}
