"""The client itself."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack
from urllib.parse import quote
from uuid import uuid4

from adit_core.client.connection import Connection, Repeat
from adit_core.client.dicomweb import Archive
from adit_core.client.files import Uploadable, form_of
from adit_core.client.jobs import Job
from adit_core.client.keys import (
    JobOptions,
    MassOptions,
    PatientKeys,
    SeriesKeys,
    StudyKeys,
    TransferOptions,
    UploadOptions,
)
from adit_core.client.rows import Rows, query_rows, transfer_rows
from adit_core.client.values import (
    HeldInstance,
    Instance,
    LinkedPatient,
    Me,
    NewToken,
    Node,
    Patient,
    Preview,
    Project,
    Series,
    Study,
    Table,
    Token,
    Upload,
    made,
    made_all,
)


class AditClient:
    """Uses an ADIT server in the name of the user of a token. Use it as a context manager, or close it.

    Every method raises `adit_core.client.AditError` if it cannot do what it is for.

    Args:
        url: Of the server, such as ``https://adit.example.org``.
        token: What `adit tokens create` or the API has made.
        verify: As httpx takes it: an SSL context to trust other certificates than the usual ones.

    Raises:
        ValueError: The token is empty.
    """

    def __init__(self, url: str, token: str, *, verify: Any = True) -> None:
        self._connection = Connection(url, token, verify=verify)

    @classmethod
    def from_environment(cls) -> Self:
        """Return a client for the server and the token in ``ADIT_URL`` and ``ADIT_TOKEN``.

        Raises:
            KeyError: One of them is not set.
        """
        return cls(os.environ["ADIT_URL"], os.environ["ADIT_TOKEN"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def request(self, method: str, path: str, **request: Any) -> Any:
        """Send any request to a path below ``/api/v1`` and return the JSON of the answer.

        For what has no method here, such as administration; see the server's ``/api/openapi.json``.
        """
        return self._connection.json(method, path, **request)

    def archive(self, name: str) -> Archive:
        """Return an archive, by its AE title or the name of its node, to be used by DICOMweb."""
        return Archive(self._connection, name)

    def me(self) -> Me:
        """Return who is signed in, and what that person and the token may do."""
        return made(Me, self._connection.json("GET", "/me"))

    def nodes(self) -> Table[Node]:
        """Return the nodes that may be used, and as what."""
        return made_all(Node, self._connection.json("GET", "/nodes"))

    def check_node(self, node: str) -> dict[str, Any]:
        """Ask a node what it really supports, and return that with what differs from its configuration."""
        return self._connection.json("POST", "/nodes/check", json={"node": node})

    def find_patients(self, node: str, **keys: Unpack[PatientKeys]) -> Table[Patient]:
        """Ask an archive for patients."""
        return made_all(Patient, self._search("patients", node, keys))

    def find_studies(self, node: str, **keys: Unpack[StudyKeys]) -> Table[Study]:
        """Ask an archive for studies, or with `max_age` only for what it told before."""
        return made_all(Study, self._search("studies", node, keys))

    def find_series(self, node: str, study: Study | str, **keys: Unpack[SeriesKeys]) -> Table[Series]:
        """Ask an archive for the series of a study, or with `max_age` only for what it told before."""
        return made_all(Series, self._search("series", node, {**keys, **_study_keys(study)}))

    def find_instances(self, node: str, series: Series, *, limit: int = 10_000) -> Table[Instance]:
        """Ask an archive for the instances of a series."""
        keys = {
            "limit": limit,
            "study_instance_uid": series.study_instance_uid,
            "series_instance_uid": series.series_instance_uid,
        }
        return made_all(Instance, self._search("instances", node, keys))

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
        return self._submit_rows("batch", transfer_rows, rows, order)

    def preview_transfer(
        self, rows: Rows, *, source: str, destination: str, **options: Unpack[TransferOptions]
    ) -> Preview:
        """Tell what would become of a transfer; arguments as `transfer`. Nothing is transferred."""
        order = {"source": source, "destination": destination, **options, "rows": transfer_rows(rows)}
        return made(Preview, self._connection.json("POST", "/jobs/batch/preview", json=order))

    def validate_transfer(
        self, rows: Rows, *, source: str, destination: str, **options: Unpack[TransferOptions]
    ) -> int:
        """Return how many studies a transfer would have, if all is right with it; arguments as `transfer`."""
        order = {"source": source, "destination": destination, **options, "rows": transfer_rows(rows)}
        return self._connection.json("POST", "/jobs/batch/validate", json=order)["studies"]

    def query(self, rows: Rows | Path | str, *, source: str, **options: Unpack[JobOptions]) -> Job:
        """Have an archive asked about each of some rows, and return the job; `Job.results` has the answers.

        Args:
            rows: A data frame or records with any columns of a batch query, or the path of a spreadsheet.
            source: The node to ask.
            options: See `JobOptions`.
        """
        return self._submit_rows("query", query_rows, rows, {"source": source, **options})

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
        order = {"source": source, "destination": destination, **options, "search": _plain(search)}
        return self._submit("/jobs/mass", json=order)

    def upload(self, *sources: Uploadable) -> Upload:
        """Send DICOM files, folders of them, or data sets to the server, and return what was recognised."""
        media_type, body = form_of(sources)
        headers = {"Content-Type": media_type}
        return made(
            Upload,
            self._connection.json("POST", "/uploads", content=body, headers=headers, repeat=Repeat.NEVER),
        )

    def discard_upload(self, upload: Upload) -> None:
        """Remove an upload that is not to be transferred."""
        self._connection.json("DELETE", f"/uploads/{upload.id}")

    def transfer_upload(self, upload: Upload, *, destination: str, **options: Unpack[UploadOptions]) -> Job:
        """Have an upload transferred, and return the job."""
        return self._submit("/jobs/upload", json={"upload": upload.id, "destination": destination, **options})

    def projects(self) -> Table[Project]:
        """Return the projects that one may pseudonymize for."""
        return made_all(Project, self._connection.json("GET", "/projects"))

    def find_links(self, project: str, term: str) -> Table[LinkedPatient]:
        """Return who a patient of a project is, or was; the audit trail tells that one asked.

        Args:
            project: The name of the project.
            term: A Patient ID, a pseudonym, or a Study Instance UID that a study left under.
        """
        path = f"/projects/{quote(project, safe='')}/links/search"
        return made_all(LinkedPatient, self._connection.json("POST", path, json={"term": term}))

    def held(self, *, job_id: int | None = None) -> Table[HeldInstance]:
        """Return the instances that wait for a reviewer."""
        return made_all(HeldInstance, list(self._connection.pages("/held", job=job_id)))

    def picture_of_held(self, held: HeldInstance, *, frame: int = 1) -> bytes:
        """Return a frame of a held instance as PNG."""
        path = f"/held/{held.id}/picture"
        return self._connection.send("GET", path, params={"frame": frame}).content

    def release_held(self, *held: HeldInstance, blank: Sequence[tuple[int, int, int, int]] = ()) -> None:
        """Let instances leave, with these regions (left, top, width, height) blanked in all frames."""
        names = ("left", "top", "width", "height")
        regions = [dict(zip(names, region, strict=True)) for region in blank]
        self._connection.json(
            "POST", "/held/release", json={"ids": [each.id for each in held], "blank": regions}
        )

    def reject_held(self, *held: HeldInstance) -> None:
        """Decide that instances never leave."""
        self._connection.json("POST", "/held/reject", json={"ids": [each.id for each in held]})

    def job(self, job_id: int) -> Job:
        """Return a job."""
        return Job(self._connection, self._connection.json("GET", f"/jobs/{job_id}"))

    def jobs(
        self,
        *,
        status: Sequence[str] = (),
        kind: Sequence[str] = (),
        all_users: bool = False,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Yield jobs, the newest first; at most `limit`, if it is given."""
        pages = self._connection.pages(
            "/jobs",
            status=list(status) or None,
            kind=list(kind) or None,
            all_users=all_users or None,
            limit=min(limit or 100, 100),
        )
        for number, told in enumerate(pages, 1):
            yield Job(self._connection, told)
            if number == limit:
                return

    def tokens(self) -> Table[Token]:
        """Return one's tokens, the newest first."""
        return made_all(Token, self._connection.json("GET", "/tokens"))

    def create_token(self, name: str, scopes: Sequence[str], *, days: int | None = None) -> NewToken:
        """Make a token that can do no more than that of this client."""
        wish = {"name": name, "scopes": list(scopes), "days": days}
        return made(NewToken, self._connection.json("POST", "/tokens", json=wish))

    def revoke_token(self, token_id: int) -> None:
        """End a token for good."""
        self._connection.json("DELETE", f"/tokens/{token_id}")

    def _search(self, level: str, node: str, keys: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        path = f"/search/remembered/{level}" if "max_age" in keys else f"/search/{level}"
        wanted = {"node": node, **_plain(keys)}
        return self._connection.json("POST", path, json=wanted, repeat=Repeat.ALWAYS)

    def _submit_rows(self, kind: str, encode: Any, rows: Any, order: Mapping[str, Any]) -> Job:
        if not isinstance(rows, Path | str):
            return self._submit(f"/jobs/{kind}", json={**order, "rows": encode(rows)})
        path = Path(rows)
        fields = {name: _form_value(value) for name, value in order.items()}
        return self._submit(
            f"/jobs/{kind}/spreadsheet", data=fields, files={"file": (path.name, path.read_bytes())}
        )

    def _submit(self, path: str, **request: Any) -> Job:
        """Submit a job once, even if the answer to the first attempt is lost."""
        headers = {"Idempotency-Key": uuid4().hex}
        told = self._connection.json("POST", path, headers=headers, repeat=Repeat.ALWAYS, **request)
        return Job(self._connection, told)


def _study_keys(study: Study | str) -> dict[str, str]:
    if isinstance(study, str):
        return {"study_instance_uid": study}
    return {"study_instance_uid": study.study_instance_uid, "patient_id": study.patient_id}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(values), default=_text))


def _text(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be sent.")


def _form_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
