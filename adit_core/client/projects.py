"""Projects that studies are pseudonymized for, what they make of a study, and who was who."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Unpack
from urllib.parse import quote

from adit_core.client.connection import Connected
from adit_core.client.keys import ProjectSettings
from adit_core.client.project_values import LinkedPatient, Project, SeriesDryRun
from adit_core.client.reading import Table, made, made_all
from adit_core.client.values import Study


class Projects(Connected):
    """Uses projects by their names; to change them is for staff only."""

    def projects(self) -> Table[Project]:
        """Return the projects that one may pseudonymize for."""
        return made_all(Project, self._connection.json("GET", "/projects"))

    def add_project(self, name: str, **settings: Unpack[ProjectSettings]) -> Project:
        """Add a project, with a secret of its own; for staff only."""
        return made(Project, self._connection.create("/projects", json={"name": name, **settings}))

    def change_project(self, name: str, **settings: Unpack[ProjectSettings]) -> Project:
        """Change what is given of a project; for staff only. Jobs that wait go by what it says then."""
        return made(Project, self._connection.json("PATCH", _path(name), json=settings))

    def remove_project(self, name: str) -> None:
        """Remove a project that has no jobs and no links; for staff only."""
        self._connection.json("DELETE", _path(name))

    def allow_project(self, name: str, group: str) -> None:
        """Let the members of a group pseudonymize for a project; for staff only."""
        self._connection.json("PUT", f"{_path(name)}/groups/{quote(group, safe='')}")

    def forbid_project(self, name: str, group: str) -> None:
        """Take that back; for staff only."""
        self._connection.json("DELETE", f"{_path(name)}/groups/{quote(group, safe='')}")

    def dry_run(self, project: str, study: Study, *, source: str) -> Table[SeriesDryRun]:
        """Tell what a project would make of a study: each attribute before and after, and the rule."""
        wanted = {
            "source": source,
            "patient_id": study.patient_id,
            "study_instance_uid": study.study_instance_uid,
        }
        return made_all(SeriesDryRun, self._connection.ask(f"{_path(project)}/dry-run", json=wanted))

    def find_links(self, project: str, term: str) -> Table[LinkedPatient]:
        """Return who a patient of a project is, or was; the audit trail tells that one asked.

        Args:
            project: The name of the project.
            term: A Patient ID, a pseudonym, or a Study Instance UID that a study left under.
        """
        told = self._connection.json("POST", f"{_path(project)}/links/search", json={"term": term})
        return made_all(LinkedPatient, told)

    def export_links(self, project: str, path: Path | str) -> Path:
        """Write all links of a project to a file, as CSV, and return its path."""
        answer = self._connection.send("GET", f"{_path(project)}/links/export")
        target = Path(path)
        target.write_bytes(answer.content)
        return target

    def delete_links(self, project: str, pseudonyms: Iterable[str]) -> int:
        """Delete links for good: nobody can tell any more who these were. Return how many patients it was."""
        return self._forget(project, list(pseudonyms))

    def delete_all_links(self, project: str) -> int:
        """Delete all links of a project for good, and return how many patients it was."""
        return self._forget(project, None)

    def _forget(self, project: str, pseudonyms: list[str] | None) -> int:
        wanted: dict[str, Any] = {"pseudonyms": pseudonyms}
        return self._connection.json("POST", f"{_path(project)}/links/delete", json=wanted)["patients"]


def _path(project: str) -> str:
    return f"/projects/{quote(project, safe='')}"
