"""The API for programs: everything below ``/api``, as an application of its own.

So it has its own way with errors, and its own OpenAPI document at ``/api/openapi.json``.
"""

from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from adit_core.api import dicomweb, health, metrics
from adit_core.api.body_limit import BodyLimit
from adit_core.api.document import document
from adit_core.api.problems import answer_with_problems
from adit_core.api.rate import RateLimiter
from adit_core.api.v1 import routes
from adit_core.api.wiring import Wiring

_DESCRIPTION = """
Moves imaging studies between archives, completely and accountably.

Sign in with a token in the header `Authorization: Bearer …`; `adit tokens create` makes one. Errors are
problem details (RFC 9457): `detail` says what is wrong, `errors` names every field. Lists come in pages:
give `next` of one page as the parameter of that name to get the following one.
"""


def create_api(wiring: Wiring) -> FastAPI:
    """Return the application, to be mounted at ``/api``."""
    api = FastAPI(
        title="ADIT",
        version=version("adit"),
        description=_DESCRIPTION,
        # Its documentation pages would load scripts from another host.
        docs_url=None,
        redoc_url=None,
    )
    api.openapi = partial(document, api)
    api.state.wiring = wiring
    api.state.rate_limiter = RateLimiter(wiring.settings.api_calls_per_minute)
    api.add_middleware(BodyLimit)
    answer_with_problems(api)
    api.include_router(health.router)
    api.include_router(metrics.router)
    # A request goes through all routes until one fits; the many of `routes` take 2 ms.
    api.include_router(dicomweb.router)
    api.include_router(routes.router)
    return api
