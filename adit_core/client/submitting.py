"""Having jobs done, or being told whether they could be, and what would become of them.

What validates raises InvalidRequest with all that is wrong, as submitting would. What previews asks the
nodes, for at most `most` studies if it is given, and transfers nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Unpack

from adit_core.client.connection import Connected, given
from adit_core.client.files import Form, Uploadable
from adit_core.client.job_values import Preview, QueryPreview, Upload
from adit_core.client.jobs import Job
from adit_core.client.keys import JobOptions, MassOptions, TransferOptions, UploadOptions
from adit_core.client.plain import form_value, plain
from adit_core.client.reading import made
from adit_core.client.rows import Picked, Rows, picked_studies, query_rows, transfer_rows
from adit_core.client.values import Study


class Submitting(Connected):
    """Submits jobs of all kinds, validates and previews them."""

    def transfer(
        self, rows: Rows | Path | str, *, source: str, destination: str, **options: Unpack[TransferOptions]
    ) -> Job:
        """Have studies or series transferred, and return the job.

        Args:
            rows: What `find_studies` found, a data frame or records with PatientID and StudyInstanceUID
                and, if wanted, SeriesInstanceUID; or the path of a spreadsheet of these columns.
            source: The node that has them.
            destination: The node that is to have them.
            options: See `TransferOptions`.
        """
        order = {"source": source, "destination": destination, **options}
        path, request = _rows_order("batch", transfer_rows, rows, order)
        return self._submit(path, **request)

    def validate_transfer(
        self, rows: Rows | Path | str, *, source: str, destination: str, **options: Unpack[TransferOptions]
    ) -> int:
        """Return how many studies a transfer would have, if all is right with it; arguments as `transfer`."""
        order = {"source": source, "destination": destination, **options}
        path, request = _rows_order("batch", transfer_rows, rows, order)
        return self._connection.ask(f"{path}/validate", **request)["studies"]

    def preview_transfer(
        self,
        rows: Rows | Path | str,
        *,
        source: str,
        destination: str,
        most: int | None = None,
        **options: Unpack[TransferOptions],
    ) -> Preview:
        """Tell what would become of a transfer; arguments as `transfer`. Nothing is transferred."""
        order = {"source": source, "destination": destination, **options}
        path, request = _rows_order("batch", transfer_rows, rows, order)
        return self._preview(path, given(most=most), **request)

    def selective_transfer(
        self,
        studies: Rows | Iterable[Picked | Study],
        *,
        source: str,
        destination: str,
        **options: Unpack[TransferOptions],
    ) -> Job:
        """Have studies, or some of their series, transferred as one picks them, and return the job.

        Args:
            studies: `Picked`, what `find_studies` found, or a data frame or records of the same names.
            source: The node that has them.
            destination: The node that is to have them.
            options: See `TransferOptions`.
        """
        order = {"source": source, "destination": destination, **options}
        return self._submit("/jobs/selective", json={**order, "studies": picked_studies(studies)})

    def validate_selective_transfer(
        self,
        studies: Rows | Iterable[Picked | Study],
        *,
        source: str,
        destination: str,
        **options: Unpack[TransferOptions],
    ) -> int:
        """Return how many studies a selective transfer would have; arguments as `selective_transfer`."""
        order = {"source": source, "destination": destination, **options, "studies": picked_studies(studies)}
        return self._connection.ask("/jobs/selective/validate", json=order)["studies"]

    def preview_selective_transfer(
        self,
        studies: Rows | Iterable[Picked | Study],
        *,
        source: str,
        destination: str,
        most: int | None = None,
        **options: Unpack[TransferOptions],
    ) -> Preview:
        """Tell what would become of a selective transfer; arguments as `selective_transfer`."""
        order = {"source": source, "destination": destination, **options, "studies": picked_studies(studies)}
        return self._preview("/jobs/selective", given(most=most), json=order)

    def mass_transfer(
        self, search: Mapping[str, Any], *, source: str, destination: str, **options: Unpack[MassOptions]
    ) -> Job:
        """Have whatever a range of days and filters choose transferred, and return the job.

        Args:
            search: ``first_day``, ``last_day``, ``include``, ``exclude`` and others, as the API takes them.
            source: The node that has the studies.
            destination: The node that is to have them.
            options: See `MassOptions`.
        """
        order = {"source": source, "destination": destination, **options, "search": plain(search)}
        return self._submit("/jobs/mass", json=order)

    def validate_mass_transfer(
        self, search: Mapping[str, Any], *, source: str, destination: str, **options: Unpack[MassOptions]
    ) -> int:
        """Return how many days or weeks a mass transfer would search; arguments as `mass_transfer`."""
        order = {"source": source, "destination": destination, **options, "search": plain(search)}
        return self._connection.ask("/jobs/mass/validate", json=order)["periods"]

    def preview_mass_transfer(
        self,
        search: Mapping[str, Any],
        *,
        source: str,
        destination: str,
        day: date | str | None = None,
        most: int | None = None,
        **options: Unpack[MassOptions],
    ) -> Preview:
        """Tell what would become of one day of a mass transfer; arguments as `mass_transfer`.

        By default that is the first day which is no weekend.
        """
        order = {"source": source, "destination": destination, **options, "search": plain(search)}
        return self._preview("/jobs/mass", plain(given(day=day, most=most)), json=order)

    def upload(self, *sources: Uploadable) -> Upload:
        """Send DICOM files, folders of them, or data sets to the server, and return what was recognised."""
        form = Form(sources)
        headers = {"Content-Type": form.media_type}
        return made(Upload, self._connection.create("/uploads", content=form, headers=headers))

    def discard_upload(self, upload: Upload) -> None:
        """Remove an upload that is not to be transferred."""
        self._connection.json("DELETE", f"/uploads/{upload.id}")

    def transfer_upload(self, upload: Upload, *, destination: str, **options: Unpack[UploadOptions]) -> Job:
        """Have an upload transferred, and return the job."""
        return self._submit("/jobs/upload", json={"upload": upload.id, "destination": destination, **options})

    def validate_upload(self, upload: Upload, *, destination: str, **options: Unpack[UploadOptions]) -> int:
        """Return how many studies the transfer of an upload would have."""
        order = {"upload": upload.id, "destination": destination, **options}
        return self._connection.ask("/jobs/upload/validate", json=order)["studies"]

    def preview_upload(
        self, upload: Upload, *, destination: str, most: int | None = None, **options: Unpack[UploadOptions]
    ) -> Preview:
        """Tell what would become of the transfer of an upload."""
        order = {"upload": upload.id, "destination": destination, **options}
        return self._preview("/jobs/upload", given(most=most), json=order)

    def query(self, rows: Rows | Path | str, *, source: str, **options: Unpack[JobOptions]) -> Job:
        """Have an archive asked about each of some rows, and return the job; `Job.results` has the answers.

        Args:
            rows: A data frame or records with any columns of a batch query, or the path of a spreadsheet.
            source: The node to ask.
            options: See `JobOptions`.
        """
        path, request = _rows_order("query", query_rows, rows, {"source": source, **options})
        return self._submit(path, **request)

    def validate_query(self, rows: Rows | Path | str, *, source: str, **options: Unpack[JobOptions]) -> int:
        """Return how many rows a query would have, if all is right with it; arguments as `query`."""
        path, request = _rows_order("query", query_rows, rows, {"source": source, **options})
        return self._connection.ask(f"{path}/validate", **request)["rows"]

    def preview_query(
        self, rows: Rows | Path | str, *, source: str, most: int | None = None, **options: Unpack[JobOptions]
    ) -> QueryPreview:
        """Tell what a query would ask, of `most` rows each; arguments as `query`. Nothing is asked."""
        path, request = _rows_order("query", query_rows, rows, {"source": source, **options})
        return made(QueryPreview, self._connection.ask(f"{path}/preview", params=given(most=most), **request))

    def _submit(self, path: str, **request: Any) -> Job:
        return Job(self._connection, self._connection.create(path, **request))

    def _preview(self, path: str, parameters: Mapping[str, Any], **request: Any) -> Preview:
        return made(Preview, self._connection.ask(f"{path}/preview", params=parameters, **request))


def _rows_order(
    kind: str, encode: Callable[[Any], Any], rows: Any, order: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of an order by rows, or by a spreadsheet of them."""
    if not isinstance(rows, Path | str):
        return f"/jobs/{kind}", {"json": {**order, "rows": encode(rows)}}
    path = Path(rows)
    fields = {name: form_value(value) for name, value in order.items()}
    return f"/jobs/{kind}/spreadsheet", {"data": fields, "files": {"file": (path.name, path.read_bytes())}}
