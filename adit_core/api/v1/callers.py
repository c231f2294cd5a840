"""Who calls a route, by the scope that it needs."""

from typing import Annotated

from fastapi import Depends

from adit_core.api.authentication import Caller, any_caller, signed_in
from adit_core.api.wiring import Wiring, wiring_of
from adit_core.db import TokenScope
from adit_core.services.rights import require_staff


def _administrator(caller: Annotated[Caller, Depends(signed_in(TokenScope.ADMIN))]) -> Caller:
    require_staff(caller.user)
    return caller


Wired = Annotated[Wiring, Depends(wiring_of)]
Anybody = Annotated[Caller, Depends(any_caller)]
"""Whoever is signed in, with whatever scopes."""
Reader = Annotated[Caller, Depends(signed_in(TokenScope.READ))]
Submitter = Annotated[Caller, Depends(signed_in(TokenScope.JOBS))]
Uploader = Annotated[Caller, Depends(signed_in(TokenScope.UPLOAD))]
Administrator = Annotated[Caller, Depends(_administrator)]
"""A member of staff."""
