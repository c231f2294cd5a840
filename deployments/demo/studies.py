"""Synthetic studies: what the demo's archive is filled with, and the batch file that names them."""

import csv
import io
from pathlib import Path

from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from deployments.demo.objects import build_instance
from deployments.demo.specs import Form, SeriesSpec, StudySpec

__all__ = ["BATCH_FILE", "Form", "SeriesSpec", "StudySpec", "batch_csv", "demo_studies", "write_study"]

BATCH_FILE = Path(__file__).with_name("batch.csv")
"""The batch file of the demo; `python -m deployments.demo.studies` writes it anew."""


def demo_studies() -> tuple[StudySpec, ...]:
    """Return the studies of the demo: mixed modalities, character sets and transfer syntaxes."""
    return (
        _ct_thorax("DEMO0001", "Sample^Anna", "20240102", "A0001"),
        _ct_thorax("DEMO0001", "Sample^Anna", "20240601", "A0002"),
        StudySpec(
            patient_id="0004711",
            patient_name="Müller-Lüdenscheid^Jörg",
            patient_birth_date="19550224",
            patient_sex="M",
            study_date="20240115",
            study_time="101500",
            accession_number="A0003",
            description="MR Schädel",
            character_set="ISO_IR 100",
            series=tuple(
                SeriesSpec(
                    Form.MR,
                    40,
                    description,
                    rows=256,
                    columns=256,
                    transfer_syntax_uid=ImplicitVRLittleEndian,
                    private=True,
                )
                for description in ("T1 axial", "T2 axial", "FLAIR axial")
            ),
        ),
        StudySpec(
            patient_id="DEMO0003",
            patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
            patient_birth_date="19810730",
            patient_sex="M",
            study_date="20240220",
            study_time="083000",
            accession_number="A0004",
            description="胸部 X-ray",
            character_set="ISO_IR 192",
            series=(
                SeriesSpec(Form.CR, 1, "PA", rows=1760, columns=1760),
                SeriesSpec(Form.CR, 1, "Lateral", rows=1760, columns=1760),
            ),
        ),
        StudySpec(
            patient_id="DEMO0004",
            patient_name="Иванова^Мария",
            patient_birth_date="19690310",
            patient_sex="F",
            study_date="20240221",
            study_time="140500",
            accession_number="A0005",
            description="УЗИ сердца",
            character_set="ISO_IR 144",
            series=(
                SeriesSpec(Form.US_CINE, 3, "Four chambers", rows=240, columns=320, frames=40),
                SeriesSpec(Form.SECONDARY_CAPTURE, 2, "Measurements", rows=480, columns=640),
            ),
        ),
        StudySpec(
            patient_id="DEMO0005",
            patient_name="Example^Otto",
            patient_birth_date="19470919",
            patient_sex="M",
            study_date="20240305",
            study_time="093000",
            accession_number="A0006",
            description="CT abdomen",
            series=(
                SeriesSpec(Form.CT, 60, "Venous", rows=256, columns=256, transfer_syntax_uid=RLELossless),
                SeriesSpec(Form.SECONDARY_CAPTURE, 1, "Dose report", rows=480, columns=640),
                SeriesSpec(Form.REPORT, 1, "Report"),
            ),
        ),
        StudySpec(
            patient_id="DEMO0006",
            patient_name="Specimen^Eva",
            patient_birth_date="19900505",
            patient_sex="F",
            study_date="20240402",
            study_time="160000",
            accession_number="A0007",
            description="CT coronary",
            series=(SeriesSpec(Form.ENHANCED_CT, 2, "Reformatted", rows=256, columns=256, frames=40),),
        ),
        StudySpec(
            patient_id="DEMO0007",
            patient_name="Test^Paul",
            patient_birth_date="20100101",
            patient_sex="M",
            study_date="20240403",
            study_time="113000",
            accession_number="A0008",
            description="MR knee",
            series=(SeriesSpec(Form.MR, 60, "PD sagittal", rows=256, columns=256),),
        ),
    )


def _ct_thorax(patient_id: str, name: str, day: str, accession_number: str) -> StudySpec:
    return StudySpec(
        patient_id=patient_id,
        patient_name=name,
        patient_birth_date="19620817",
        patient_sex="F",
        study_date=day,
        study_time="120000",
        accession_number=accession_number,
        description="CT thorax",
        series=(
            SeriesSpec(Form.CT, 72, "Soft tissue", private=True),
            SeriesSpec(Form.CT, 24, "Lung", rows=256, columns=256),
            SeriesSpec(Form.REPORT, 1, "Report"),
        ),
    )


def write_study(spec: StudySpec, folder: Path) -> list[Path]:
    """Write all instances of a study as Part 10 files into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write_instance(spec, series, instance, folder)
        for series in range(len(spec.series))
        for instance in range(spec.series[series].instances)
    ]


def _write_instance(spec: StudySpec, series: int, instance: int, folder: Path) -> Path:
    dataset = build_instance(spec, series, instance)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def batch_csv(studies: tuple[StudySpec, ...]) -> str:
    """Return the batch file that asks for `studies`, under the patients' own ids.

    Of studies with several series only the first is asked for by every second row, to show both.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Pseudonym"])
    for index, study in enumerate(studies):
        series = study.series_instance_uid(0) if index % 2 and len(study.series) > 1 else ""
        writer.writerow([study.patient_id, study.study_instance_uid, series, ""])
    return text.getvalue()


if __name__ == "__main__":
    BATCH_FILE.write_text(batch_csv(demo_studies()), encoding="utf-8")
