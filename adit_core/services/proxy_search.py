"""Searching an archive at any level, as QIDO-RS does, whatever the archive itself can (PS3.18 10.6).

Archives that speak DIMSE answer about the series of one study, and the instances of one series. So what
is asked above that is found by walking down: studies first, then the series of each, then their
instances. Attributes of studies and series are asked for at their own level on the way.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from adit_core.dicom.dicom_json import uids_of, values_of
from adit_core.dicom.interruption import Interruption
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.key_matching import fulfils
from adit_core.dicom.node import Node, QueryRoot, ServerNode
from adit_core.dicom.ports import FuzzySearcher, Searcher
from adit_core.dicom.query import AttributeQuery, Keys, Level
from adit_core.dicom.references import StudyReference
from adit_core.errors import AditError, TaskStopped
from adit_core.services.node_places import places_at
from adit_core.services.node_visits import VisitingSearcher
from adit_core.services.nodes import node_value
from adit_core.services.proxy_access import ProxyAccess
from adit_core.services.routes import fuzzy_searcher_of, searcher_of

MOST_RESULTS = 5000
"""A search ends after so many results; the answer says that there are more."""

STUDY_ATTRIBUTES = frozenset(
    """
    StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber IssuerOfAccessionNumberSequence
    StudyDescription ReferringPhysicianName ModalitiesInStudy SOPClassesInStudy
    AnatomicRegionsInStudyCodeSequence NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
    NameOfPhysiciansReadingStudy PhysiciansOfRecord AdmittingDiagnosesDescription ProcedureCodeSequence
    PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientNames
    OtherPatientIDsSequence EthnicGroup PatientComments PatientAge PatientSize PatientWeight Occupation
    AdditionalPatientHistory NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries
    NumberOfPatientRelatedInstances
    """.split()  # noqa: SIM905 - shorter
)
"""What belongs to the study, or to its patient."""
SERIES_ATTRIBUTES = frozenset(
    """
    SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined
    Laterality ProtocolName PerformedProcedureStepStartDate PerformedProcedureStepStartTime
    PerformedProcedureStepID PerformedProcedureStepDescription RequestAttributesSequence
    NumberOfSeriesRelatedInstances OperatorsName PerformingPhysicianName Manufacturer
    ManufacturerModelName StationName InstitutionName InstitutionalDepartmentName
    """.split()  # noqa: SIM905 - shorter
)
"""What belongs to the series, unless it is asked of studies."""
_DEFAULTS: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: (
        *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "StudyID"),
        *("ModalitiesInStudy", "ReferringPhysicianName", "NumberOfStudyRelatedSeries"),
        *("NumberOfStudyRelatedInstances", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    ),
    Level.SERIES: (
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription"),
        *("NumberOfSeriesRelatedInstances", "PerformedProcedureStepStartDate"),
        *("PerformedProcedureStepStartTime", "RequestAttributesSequence"),
    ),
    Level.INSTANCE: (
        *("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated"),
        "NumberOfFrames",
    ),
}
"""What is told without being asked for (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""
_ALL: Mapping[Level, frozenset[str]] = {
    Level.STUDY: STUDY_ATTRIBUTES | {"TimezoneOffsetFromUTC", "InstanceAvailability", "InstitutionName"},
    Level.SERIES: SERIES_ATTRIBUTES,
    Level.INSTANCE: frozenset(
        """
        InstanceAvailability ContentDate ContentTime AcquisitionDate AcquisitionTime AcquisitionNumber
        ImageType ImagePositionPatient ImageOrientationPatient FrameOfReferenceUID SliceLocation
        SliceThickness PixelSpacing PhotometricInterpretation SamplesPerPixel BitsStored
        """.split()  # noqa: SIM905 - shorter
    ),
}
_LEVELS = (Level.STUDY, Level.SERIES, Level.INSTANCE)
_QUERY_RETRIEVE_LEVEL = "00080052"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked; UIDs that are given stand in the path, and results are only of these."""

    level: Level
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    keys: Keys = field(default_factory=dict)
    included: frozenset[str] = frozenset()
    """Further attributes to be told, by keyword."""
    includes_all: bool = False
    """Whether everything is to be told that can be asked for."""
    limit: int = MOST_RESULTS
    offset: int = 0
    is_fuzzy: bool = False


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The results, and what has to be said about them."""

    results: list[JsonDataSet]
    is_cut: bool
    """Whether there are more."""
    is_literal: bool
    """Whether names were matched literally although similar ones were asked for."""


class Search:
    """One search. `cancel` may be called from another thread."""

    def __init__(self, access: ProxyAccess, request: SearchRequest) -> None:
        self._access = access
        self._request = request
        self._interruption = Interruption()

    def cancel(self) -> None:
        """Break it off."""
        self._interruption.interrupt()

    def run(self) -> SearchAnswer:
        """Ask the archive, and return what it answers.

        Raises:
            TaskStopped: It was cancelled.
            NodeClosed: It did not get its turn.
            AditError: The archive did not answer as it should.
        """
        try:
            answer = self._run()
        except AditError as error:
            self._access.record(succeeded=False, level=self._request.level)
            if self._interruption.is_interrupted:
                raise TaskStopped("It was cancelled.") from error
            raise
        self._access.record(succeeded=True, level=self._request.level, results=len(answer.results))
        return answer

    def _run(self) -> SearchAnswer:
        request, db, node = self._request, self._access.db, self._access.node
        value = node_value(db, node)
        fuzzy = fuzzy_searcher_of(value) if request.is_fuzzy else None
        of_archive = searcher_of(value) if fuzzy is None else fuzzy
        with (
            places_at(db, [node], "proxy", self._interruption),
            self._interruption.applying(),
            VisitingSearcher(of_archive, self._access.visit()) as searcher,
        ):
            walk = _Walk(searcher, request, value, fuzzy)
            wanted = min(request.limit, MOST_RESULTS)
            # Dropping the iterator before its end cancels the query.
            found = list(islice(walk.results(), request.offset, request.offset + wanted + 1))
        is_literal = request.is_fuzzy and (fuzzy is None or fuzzy.has_matched_literally)
        return SearchAnswer(found[:wanted], is_cut=len(found) > wanted, is_literal=is_literal)


class _Walk:
    """Finds results by going down from studies to what is asked for.

    `fuzzy` is what the searcher asks if similar names are wanted. As long as it matches them, only the
    archive can judge which ones are similar.
    """

    def __init__(
        self,
        searcher: Searcher,
        request: SearchRequest,
        node: Node,
        fuzzy: FuzzySearcher | None,
    ) -> None:
        self._searcher = searcher
        self._request = request
        self._fuzzy = fuzzy
        self._needs_patient = isinstance(node, ServerNode) and node.query_root is QueryRoot.PATIENT
        self._own_keys = {level: dict(_at(level, request)) for level in _LEVELS}

    def results(self) -> Iterator[JsonDataSet]:
        """Yield what is found at the level that is asked for."""
        for data_set in self._studies():
            yield {tag: data_set[tag] for tag in sorted(data_set) if tag != _QUERY_RETRIEVE_LEVEL}

    def _studies(self) -> Iterator[JsonDataSet]:
        request = self._request
        uid = request.study_instance_uid
        if request.level is not Level.STUDY and uid and not self._asks_of(Level.STUDY):
            yield from self._series_of(StudyReference(uid), {})
            return
        own = {"StudyInstanceUID": uid} if uid else {}
        for study in self._with_modalities(self._found(Level.STUDY, StudyReference(uid), "", own)):
            if request.level is Level.STUDY:
                yield study
            else:
                patient_id = "".join(map(str, values_of(study, "PatientID")[:1]))
                yield from self._series_of(StudyReference(uids_of(study)[0], patient_id), study)

    def _with_modalities(self, studies: Iterator[JsonDataSet]) -> Iterator[JsonDataSet]:
        """Yield those of the wanted modalities, which are asked of the series where studies do not tell."""
        wanted = self._own_keys[Level.STUDY].get("ModalitiesInStudy", "")
        if not wanted:
            yield from studies
            return
        for study in studies:
            told = study if values_of(study, "ModalitiesInStudy") else {**study, **self._modalities(study)}
            if fulfils(told, {"ModalitiesInStudy": wanted}):
                yield told

    def _modalities(self, study: JsonDataSet) -> JsonDataSet:
        reference = StudyReference(uids_of(study)[0], "".join(map(str, values_of(study, "PatientID")[:1])))
        keys = {"SeriesInstanceUID": "", "Modality": ""}
        series = self._searcher.find_data_sets(AttributeQuery(Level.SERIES, keys, reference))
        found = sorted({str(value) for each in series for value in values_of(each, "Modality")})
        return {"00080061": {"vr": "CS", "Value": found}}

    def _series_of(self, study: StudyReference, of_study: JsonDataSet) -> Iterator[JsonDataSet]:
        request = self._request
        uid = request.series_instance_uid
        known = {**of_study, **_uid_element("0020000D", study.study_instance_uid)}
        if request.level is Level.INSTANCE and uid and not self._asks_of(Level.SERIES):
            yield from self._instances_of(study, uid, known)
            return
        own = {"SeriesInstanceUID": uid} if uid else {}
        for series in self._found(Level.SERIES, study, "", own):
            whole = {**known, **series}
            if request.level is Level.SERIES:
                yield whole
            elif series_uid := uids_of(series)[1]:
                yield from self._instances_of(study, series_uid, whole)

    def _instances_of(self, study: StudyReference, uid: str, known: JsonDataSet) -> Iterator[JsonDataSet]:
        for instance in self._found(Level.INSTANCE, study, uid, {}):
            yield {**known, **_uid_element("0020000E", uid), **instance}

    def _asks_of(self, level: Level) -> bool:
        """Tell whether something of that level is asked for, or has to be known."""
        return bool(self._own_keys[level]) or (level is Level.STUDY and self._needs_patient)

    def _found(
        self, level: Level, study: StudyReference, series_uid: str, own: Mapping[str, str]
    ) -> Iterator[JsonDataSet]:
        """Ask at one level, and yield what fulfils its keys."""
        asked = {**dict.fromkeys(self._defaults(level), ""), **self._own_keys[level], **own}
        query = AttributeQuery(level, asked, study, series_uid, self._fuzzy is not None)
        for data_set in self._searcher.find_data_sets(query):
            is_fuzzy = self._fuzzy is not None and not self._fuzzy.has_matched_literally
            if uids_of(data_set)[_LEVELS.index(level)] and fulfils(data_set, asked, is_fuzzy=is_fuzzy):
                yield data_set

    def _defaults(self, level: Level) -> Iterable[str]:
        """Return what is told unasked; of levels above, only if results are not of one study or series."""
        request = self._request
        is_given = level is Level.STUDY and request.study_instance_uid
        is_given = is_given or (level is Level.SERIES and request.series_instance_uid)
        if level is not request.level and is_given:
            return ("StudyInstanceUID", "PatientID") if level is Level.STUDY else ("SeriesInstanceUID",)
        return _DEFAULTS[level]


def _at(level: Level, request: SearchRequest) -> Iterator[tuple[str, str | Keys]]:
    """Yield the keys of the request that are asked at a level."""
    included = set(request.included)
    if request.includes_all:
        is_below = _LEVELS.index(level) <= _LEVELS.index(request.level)
        included |= _ALL[level] if is_below else frozenset()
    for keyword, key in {**dict.fromkeys(sorted(included), ""), **request.keys}.items():
        if level_of(keyword, request.level) is level:
            yield keyword, key


def level_of(keyword: str, lowest: Level) -> Level:
    """Return at which level an attribute is asked for, when results are of the level `lowest`."""
    if keyword in STUDY_ATTRIBUTES or lowest is Level.STUDY:
        return Level.STUDY
    return Level.SERIES if keyword in SERIES_ATTRIBUTES else lowest


def _uid_element(tag: str, uid: str) -> JsonDataSet:
    return {tag: {"vr": "UI", "Value": [uid]}}
