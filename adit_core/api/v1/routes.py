"""All routes of version 1."""

from fastapi import APIRouter

from adit_core.api.v1 import me

router = APIRouter(prefix="/v1")
router.include_router(me.router)
