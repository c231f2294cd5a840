"""Where each instance of what was announced belongs on the disk."""

from pathlib import PurePosixPath

from adit_core.dicom.layout import Names
from adit_core.dicom.ports import ExpectedStudy
from adit_core.dicom.query import InstanceResult, SeriesResult, StudyResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference


class Placement:
    """Turns references into names, with all that is known of what they refer to.

    Of what was not announced only the reference is known.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self._studies: dict[str, StudyResult] = {}
        self._series: dict[str, SeriesResult] = {}
        self._instances: dict[str, InstanceResult] = {}
        self._uids_of_series: dict[str, tuple[str, ...]] = {}

    def expect(self, expected: ExpectedStudy) -> None:
        """Learn about the study that comes next, and forget the one before it."""
        self._studies = {expected.study.reference.study_instance_uid: expected.study}
        self._series, self._instances, self._uids_of_series = {}, {}, {}
        for entry in expected.series:
            uids = tuple(instance.reference.sop_instance_uid for instance in entry.instances)
            self._series[entry.series.reference.series_instance_uid] = entry.series
            self._instances |= dict(zip(uids, entry.instances, strict=True))
            self._uids_of_series[entry.series.reference.series_instance_uid] = uids

    def expected_in(self, series: SeriesReference) -> tuple[str, ...]:
        """Return the SOP Instance UIDs that were announced of a series."""
        return self._uids_of_series.get(series.series_instance_uid, ())

    def study(self, study: StudyReference) -> StudyResult:
        """Return what is known of a study."""
        return self._studies.get(study.study_instance_uid) or StudyResult(study)

    def series_folder(self, series: SeriesReference) -> PurePosixPath:
        """Return the folder of a series, relative to the root."""
        return self.names.series_folder(self.study(series.study), self.series(series))

    def file_name(self, series: SeriesReference, sop_instance_uid: str) -> str:
        """Return the name of an instance's file in the folder of its series."""
        instance = self._instances.get(sop_instance_uid) or InstanceResult(
            InstanceReference(series, sop_instance_uid)
        )
        return self.names.file_name(self.study(series.study), self.series(series), instance)

    def series(self, series: SeriesReference) -> SeriesResult:
        """Return what is known of a series."""
        return self._series.get(series.series_instance_uid) or SeriesResult(series)
