"""What the web process works with, put together once by its entry point.

FastAPI is handed it. Streamlit runs its pages as scripts, which can be handed nothing, so they ask
here.
"""

from dataclasses import dataclass, field

from starlette.requests import Request

from adit_core.db.engine import Database
from adit_core.services.launching import Launcher
from adit_core.services.oidc_provider import OpenIdProvider
from adit_core.services.pending_sign_ins import PendingSignIns
from adit_core.services.sign_in_throttle import SignInThrottle
from adit_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Wiring:
    """The collaborators of this process."""

    settings: Settings
    database: Database
    launcher: Launcher
    throttle: SignInThrottle = field(default_factory=SignInThrottle)
    provider: OpenIdProvider | None = None
    """By which users sign in; None if they do with passwords only."""
    pending: PendingSignIns = field(default_factory=PendingSignIns)


def wiring_of(request: Request) -> Wiring:
    """Return what the application that serves `request` works with."""
    return request.app.state.wiring


_wiring: Wiring | None = None


def connect(wiring: Wiring) -> None:
    """Make `wiring` what the pages of this process work with."""
    global _wiring  # noqa: PLW0603 - see the module's docstring
    _wiring = wiring


def connected() -> Wiring:
    """Return what the pages work with.

    Raises:
        RuntimeError: The page was started by something other than the web process.
    """
    if _wiring is None:
        raise RuntimeError("The pages work only inside the web process: uvicorn adit_core.api.asgi:app")
    return _wiring
