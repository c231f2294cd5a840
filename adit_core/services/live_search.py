"""A search whose results can be looked at while it runs, in a thread of its own."""

import logging
from dataclasses import dataclass, field
from threading import Event, Thread
from uuid import uuid4

from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.dicom.query import StudyQuery, StudyResult
from adit_core.errors import AditError, kind_and_place
from adit_core.services.search import find_studies

MOST_FOUND = 500
"""Studies after which a search ends by default: nobody picks from more by hand."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LiveSearch:
    """A search of an archive for studies. What was found can be read at any time, from any thread."""

    node_name: str
    query: StudyQuery
    limit: int = MOST_FOUND
    key: str = field(default_factory=lambda: uuid4().hex)
    """Tells it from all other searches."""
    error: str = ""
    """Why it ended before its time; empty if it did not."""
    _found: dict[str, StudyResult] = field(default_factory=dict)
    _stopping: Event = field(default_factory=Event)
    _ended: Event = field(default_factory=Event)

    def start(self, db: Database, user: User, *, address: str = "") -> None:
        """Begin to search for `user`; what goes wrong is said in `error`."""
        Thread(target=self._run, args=(db, user, address), name="search", daemon=True).start()

    def stop(self) -> None:
        """End the search with the next result; what was found stays."""
        self._stopping.set()

    def wait(self, seconds: float) -> None:
        """Return when the search has ended, or after so many seconds."""
        self._ended.wait(seconds)

    @property
    def is_running(self) -> bool:
        """Whether more results may come."""
        return not self._ended.is_set()

    @property
    def was_stopped(self) -> bool:
        """Whether somebody ended it, so that there may be more than was found."""
        return self._stopping.is_set()

    @property
    def studies(self) -> tuple[StudyResult, ...]:
        """What was found so far, each study once, in the order of the archive."""
        return tuple(self._found.copy().values())

    @property
    def may_have_more(self) -> bool:
        """Whether the search ended because it found as much as it may."""
        return len(self._found) >= self.limit

    def _run(self, db: Database, user: User, address: str) -> None:
        try:
            find_studies(
                db,
                user,
                self.node_name,
                self.query,
                limit=self.limit,
                address=address,
                on_found=self._note,
            )
        except AditError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - the edge of a thread: nobody else would ever hear of it
            _logger.error("A search of %s failed: %s", self.node_name, kind_and_place(error))  # noqa: TRY400
            self.error = (
                "The search failed for a reason that ADIT does not know; the log of the server has it."
            )
        finally:
            self._ended.set()

    def _note(self, study: StudyResult) -> bool:
        self._found.setdefault(study.reference.study_instance_uid, study)
        return not self._stopping.is_set()
