"""The entry point of the web process: ``uvicorn adit_core.api.asgi:app``, with one worker."""

from adit_core.api.app import create_app
from adit_core.api.dashboard import load_dashboard
from adit_core.api.paths import PROVIDER_CALLBACK_PATH
from adit_core.api.wiring import Wiring, connect
from adit_core.services.database import configured_database
from adit_core.services.launcher import PrefectLauncher
from adit_core.services.oidc_provider import configured_provider
from adit_core.settings import get_settings

_settings = get_settings()
_wiring = Wiring(
    _settings,
    configured_database(_settings),
    PrefectLauncher(),
    provider=configured_provider(_settings, PROVIDER_CALLBACK_PATH),
)
connect(_wiring)
app = create_app(_wiring, load_dashboard())
