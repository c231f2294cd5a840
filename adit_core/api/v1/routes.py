"""All routes of version 1."""

from fastapi import APIRouter

from adit_core.api.v1 import jobs, me, nodes, progress, search, submit, tasks, uploads

router = APIRouter(prefix="/v1")
for module in (me, nodes, search, submit, jobs, progress, tasks, uploads):
    router.include_router(module.router)
