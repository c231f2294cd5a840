"""The manifest of a transfer: which instances the source has, and which of them are to be moved.

It is made before anything is moved and is what the result is measured against: success is every SOP
Instance UID of it found at the destination, whatever statuses were answered on the way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from adit_core.dicom.ports import ExpectedSeries, ExpectedStudy, RetrieveRequest, Searcher, SeriesPart
from adit_core.dicom.query import InstanceResult, SeriesQuery, SeriesResult, StudyQuery, StudyResult
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.errors import StudyNotFound


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a study is to be moved."""

    series_instance_uids: frozenset[str] = frozenset()
    """The chosen series; empty for all."""
    excluded_modalities: frozenset[str] = frozenset()
    """Series of these modalities are filtered: they are in the manifest, but not moved."""


@dataclass(frozen=True, slots=True)
class SeriesManifest:
    """One series of a manifest. If ``filtered`` says why, none of its instances is moved."""

    series: SeriesResult
    instances: tuple[InstanceResult, ...]
    filtered: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The instances of one study that a transfer accounts for."""

    study: StudyReference
    series: tuple[SeriesManifest, ...]
    whole: bool
    """True if the source has nothing else of this study."""
    missing_series: tuple[str, ...] = ()
    """Chosen series that the source does not know."""
    patient_id: str = ""
    """Whose study the source says it is; empty if no patient was meant, for then it was not asked."""

    def wanted(self) -> dict[str, InstanceResult]:
        """Return the instances to be moved by their SOP Instance UID."""
        return {
            instance.reference.sop_instance_uid: instance
            for entry in self.series
            if not entry.filtered
            for instance in entry.instances
        }

    def expected(self, description: StudyResult) -> ExpectedStudy:
        """Return what a destination is to expect; the study is what `description` says."""
        series = (
            ExpectedSeries(entry.series, entry.instances) for entry in self.series if not entry.filtered
        )
        return ExpectedStudy(description, tuple(series))

    def filtering(self, reasons: Mapping[str, str]) -> "Manifest":
        """Return the manifest in which these series are filtered as well, each for its reason."""
        return replace(self, series=tuple(_filtered(entry, reasons) for entry in self.series))

    def request(self, without: frozenset[str]) -> RetrieveRequest:
        """Return what to ask the source for, leaving out the SOP Instance UIDs `without`."""
        parts = tuple(
            part for entry in self.series if not entry.filtered if (part := _part(entry, without)).instances
        )
        everything = self.whole and len(parts) == len(self.series) and all(part.whole for part in parts)
        return RetrieveRequest(study=self.study, parts=parts, whole=everything)


def found_in(searcher: Searcher, series: Iterable[SeriesReference]) -> frozenset[str]:
    """Return the SOP Instance UIDs that `searcher` finds in `series`."""
    return frozenset(
        instance.reference.sop_instance_uid
        for reference in series
        for instance in searcher.find_instances(reference, uids_only=True)
    )


def plan(searcher: Searcher, study: StudyReference, selection: Selection) -> Manifest:
    """Ask the source what it has of `study` and return the manifest of what `selection` chooses.

    Raises:
        StudyNotFound: The source does not know the study, or not as one of this patient, or none of
            the chosen series, or it has no instance of them.
    """
    known = list(searcher.find_series(SeriesQuery(study=study)))
    patient_id = _answered_patient_id(searcher, study) if known and study.patient_id else ""
    chosen = [series for series in known if _is_chosen(series, selection)]
    entries = tuple(_series_manifest(searcher, series, selection) for series in chosen)
    if not any(entry.instances for entry in entries):
        what = "none of the chosen series of study" if known else "no study"
        raise StudyNotFound(f"The source has {what} {study.study_instance_uid}.")
    found = {series.reference.series_instance_uid for series in chosen}
    return Manifest(
        study=study,
        series=entries,
        whole=len(chosen) == len(known),
        missing_series=tuple(sorted(selection.series_instance_uids - found)),
        patient_id=patient_id,
    )


def describe(searcher: Searcher, study: StudyReference) -> StudyResult:
    """Ask the source for what it says about `study`; the reference alone if it says nothing."""
    for found in searcher.find_studies(_query(study)):
        return found
    return StudyResult(study)


def _answered_patient_id(searcher: Searcher, study: StudyReference) -> str:
    """Return the Patient ID that the source has for the study; its series are found by its UID alone.

    It may differ from the one that is meant in case or by wildcards. Raises StudyNotFound if the study is
    another patient's.
    """
    answered = [found.reference.patient_id.strip() for found in searcher.find_studies(_query(study))]
    if not answered:
        raise StudyNotFound(f"The source has study {study.study_instance_uid}, but of another patient.")
    return study.patient_id if study.patient_id in answered else answered[0]


def _query(study: StudyReference) -> StudyQuery:
    return StudyQuery(study_instance_uid=study.study_instance_uid, patient_id=study.patient_id)


def _filtered(entry: SeriesManifest, reasons: Mapping[str, str]) -> SeriesManifest:
    reason = reasons.get(entry.series.reference.series_instance_uid, "")
    return replace(entry, filtered=entry.filtered or reason)


def _is_chosen(series: SeriesResult, selection: Selection) -> bool:
    chosen = selection.series_instance_uids
    return not chosen or series.reference.series_instance_uid in chosen


def _series_manifest(searcher: Searcher, series: SeriesResult, selection: Selection) -> SeriesManifest:
    # Archives have been seen to answer with one instance twice; the manifest is a set.
    instances = {
        instance.reference.sop_instance_uid: instance
        for instance in searcher.find_instances(series.reference)
    }
    excluded = series.modality in selection.excluded_modalities
    reason = f"modality {series.modality} is excluded" if excluded else ""
    return SeriesManifest(series=series, instances=tuple(instances.values()), filtered=reason)


def _part(entry: SeriesManifest, without: frozenset[str]) -> SeriesPart:
    instances = tuple(
        instance for instance in entry.instances if instance.reference.sop_instance_uid not in without
    )
    return SeriesPart(
        series=entry.series.reference,
        instances=instances,
        whole=len(instances) == len(entry.instances),
    )
