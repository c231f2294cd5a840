"""All routes of version 1."""

from fastapi import APIRouter

from adit_core.api.v1 import jobs, me, submit, tasks

router = APIRouter(prefix="/v1")
for module in (me, submit, jobs, tasks):
    router.include_router(module.router)
