"""All routes of version 1."""

from fastapi import APIRouter

from adit_core.api.v1 import (
    admin_nodes,
    admin_profiles,
    admin_users,
    announcements,
    audit,
    held,
    jobs,
    me,
    nodes,
    progress,
    projects,
    search,
    submit,
    tasks,
    uploads,
)

_MODULES = (
    *(me, nodes, search, submit, jobs, progress, tasks, uploads),
    *(projects, held, audit, admin_users, admin_nodes, admin_profiles, announcements),
)

router = APIRouter(prefix="/v1")
for module in _MODULES:
    router.include_router(module.router)
