"""Whether the process is alive, and whether it is ready for requests; for those who watch over it."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from adit_core.api.wiring import wiring_of
from adit_core.db.engine import Database
from adit_core.errors import DatabaseUnavailable

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """How the process is; `reason` says in a sentence why it is not ready."""

    status: str
    reason: str | None = None


@router.get("/live")
def live() -> Health:
    """Answer, which is all that being alive takes."""
    return Health(status="alive")


@router.get("/ready", responses={503: {"model": Health}})
def ready(request: Request, response: Response) -> Health:
    """Tell whether the database answers and has the tables of this version."""
    reason = _not_ready_because(wiring_of(request).database)
    if reason is None:
        return Health(status="ready")
    response.status_code = 503
    return Health(status="not ready", reason=reason)


def _not_ready_because(database: Database) -> str | None:
    try:
        current = database.is_current()
    except DatabaseUnavailable as error:
        return str(error)
    return None if current else "The tables are not those of this version: run `adit db upgrade`."
