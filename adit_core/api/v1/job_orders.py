"""What is sent to have a job done, by its kind."""

import hashlib
from typing import Annotated

from fastapi import Form, UploadFile
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from adit_core.api.authentication import Caller
from adit_core.api.v1.values import Given, JobName, Mark, NodeName, ProjectName, Text, Uid
from adit_core.db import MassTransferOptions, TransferOptions
from adit_core.services.batch_file import BatchFile, batch_of_sheet, read_batch_file
from adit_core.services.once import OnceKey
from adit_core.services.query_file import QueryFile, query_of_sheet, read_query_file
from adit_core.services.spreadsheet import MAX_BYTES, sheet_of_records
from adit_core.services.submit_selective import PickedStudy
from adit_core.services.transfer_request import TransferRequest

_MOST_ROWS = 100_000
"""More than a spreadsheet may have, which is told in other words."""

Modality = Annotated[str, StringConstraints(strip_whitespace=True, pattern="^[A-Za-z0-9_ ]{1,16}$")]
Rows = Annotated[list[dict[Text, Text]], Field(min_length=1, max_length=_MOST_ROWS)]
"""Text by the names of columns. Problems name rows as a spreadsheet would count them: the first is row 2."""


class JobOrder(Given):
    """What every kind of job is told."""

    name: JobName = ""
    """What to call the job."""
    urgent: bool = False
    """Go before other jobs; needs the permission to process urgently."""


class DeliveryOrder(JobOrder):
    """What every kind of transfer is told."""

    destination: NodeName = Field(examples=["Research"])
    """The node that is to have the studies."""
    project: ProjectName = ""
    """The project that the studies are pseudonymized for; without one, they leave as they are."""
    excluded_modalities: list[Modality] = Field(default=[], max_length=100, examples=[["SR"]])
    """Series of these are left out."""
    as_nifti: bool = False
    """Have a folder keep NIfTI volumes instead of DICOM files."""
    archive_password: Annotated[str, StringConstraints(max_length=200)] = Field(default="", repr=False)
    """Have all studies put into one encrypted 7z archive in a folder, with this password; keep it, nobody can
    be asked for it."""
    trial_protocol_id: Mark = ""
    """Written into the data sets instead of the project's trial protocol."""
    trial_protocol_name: Mark = ""
    """Of the trial protocol with that ID."""

    def request(self, caller: Caller, once: OnceKey | None = None) -> TransferRequest:
        """Return the request of `caller` for it."""
        return self._request(caller, None, once, direct_move=False)

    def _request(
        self, caller: Caller, source: str | None, once: OnceKey | None, *, direct_move: bool
    ) -> TransferRequest:
        options = TransferOptions(
            excluded_modalities=tuple(self.excluded_modalities),
            direct_move=direct_move,
            as_nifti=self.as_nifti,
            trial_protocol_id=self.trial_protocol_id,
            trial_protocol_name=self.trial_protocol_name,
        )
        return TransferRequest(
            owner_id=caller.user.id,
            source=source,
            destination=self.destination,
            project=self.project,
            name=self.name,
            urgent=self.urgent,
            options=options,
            archive_password=self.archive_password,
            address=caller.address,
            once=once,
        )


class TransferOrder(DeliveryOrder):
    """A transfer from one node to another."""

    source: NodeName
    """The node that has the studies."""
    direct_move: bool = True
    """Whether the source may send straight to the destination, where both nodes allow it."""

    def request(self, caller: Caller, once: OnceKey | None = None) -> TransferRequest:
        """Return the request of `caller` for it."""
        return self._request(caller, self.source, once, direct_move=self.direct_move)


class Picked(Given):
    """A study, and which of its series are wanted."""

    patient_id: Text = Field(examples=["1234567"])
    study_instance_uid: Uid
    series_instance_uids: list[Uid] = Field(default=[], max_length=1000, examples=[[]])
    """Empty for all."""
    pseudonym: Text = Field(default="", examples=[""])
    """What is to stand for the patient in the project; empty for what the project says."""


class SelectiveOrder(TransferOrder):
    """Studies or series that were picked."""

    studies: list[Picked] = Field(min_length=1)

    def picks(self) -> list[PickedStudy]:
        """Return the studies."""
        return [
            PickedStudy(
                each.patient_id, each.study_instance_uid, tuple(each.series_instance_uids), each.pseudonym
            )
            for each in self.studies
        ]


class BatchOrder(TransferOrder):
    """Studies or series that rows name, by PatientID, StudyInstanceUID and, if wanted, SeriesInstanceUID."""

    rows: Rows = Field(
        examples=[[{"PatientID": "1234567", "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1"}]]
    )

    def batch(self) -> BatchFile:
        """Return the studies; raises InvalidInput with all that is wrong."""
        return batch_of_sheet(sheet_of_records(self.rows))


class _Sheet(BaseModel):
    """A spreadsheet in a form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile
    """CSV or .xlsx."""

    def content(self) -> bytes:
        """Return what is in the file; of one that is too large, enough to see that."""
        return self.file.file.read(MAX_BYTES + 1)

    @property
    def filename(self) -> str:
        """What messages call it: without a path, which some browsers send."""
        name = (self.file.filename or "The file").replace("\\", "/").rsplit("/", 1)[-1]
        return "".join(char for char in name if char.isprintable())[:100]


class BatchSheet(_Sheet, TransferOrder):
    """Studies or series that a spreadsheet lists; its columns are those of the rows of a batch transfer."""

    def batch(self) -> BatchFile:
        """Return the studies; raises InvalidInput with all that is wrong."""
        return read_batch_file(self.content(), self.filename)


class MassOrder(TransferOrder):
    """Whatever a range of days and filters choose."""

    search: MassTransferOptions = Field(
        examples=[
            {
                "first_day": "2024-01-01",
                "last_day": "2024-01-31",
                "include": {"modalities": ["CT"], "study_descriptions": ["*thorax*"]},
            }
        ]
    )


class UploadOrder(DeliveryOrder):
    """What was uploaded before."""

    upload: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        examples=["6f1ed002ab5595859014ebf0951522d9"]
    )
    """The id of the upload."""


class QueryOrder(JobOrder):
    """Questions to an archive, one in each row, by any columns that a batch query knows."""

    source: NodeName
    """The node to ask."""
    rows: Rows = Field(examples=[[{"PatientName": "Doe^J*", "From": "2024-01-01", "Until": "2024-12-31"}]])

    def query(self) -> QueryFile:
        """Return the questions; raises InvalidInput with all that is wrong."""
        return query_of_sheet(sheet_of_records(self.rows))


class QuerySheet(_Sheet, JobOrder):
    """Questions that a spreadsheet lists; its columns are those of the rows of a batch query."""

    source: NodeName
    """The node to ask."""

    def query(self) -> QueryFile:
        """Return the questions; raises InvalidInput with all that is wrong."""
        return read_query_file(self.content(), self.filename)


BatchForm = Annotated[BatchSheet, Form(media_type="multipart/form-data")]
QueryForm = Annotated[QuerySheet, Form(media_type="multipart/form-data")]


def once_key(path: str, key: str | None, order: BaseModel) -> OnceKey | None:
    """Return under which key a job is submitted, and what is asked for.

    The hash knows whether there is a password, but not which: nobody shall find it out by trying.
    """
    if key is None:
        return None
    digest = hashlib.sha256(path.encode())
    if isinstance(order, DeliveryOrder):
        digest.update(b"in an archive" if order.archive_password else b"")
    digest.update(order.model_dump_json(exclude={"file", "archive_password"}).encode())
    if isinstance(order, _Sheet):
        digest.update(order.content())
        order.file.file.seek(0)
    return OnceKey(key, digest.hexdigest())
