"""The OpenAPI document: what FastAPI finds out, with problems as the answer to whatever goes wrong."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from adit_core.api.problems import MEDIA_TYPE, Problem

_SCHEMAS = "#/components/schemas/"
_PROBLEM = {
    "description": "A problem (RFC 9457).",
    "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}}},
}
_REPLACED = ("HTTPValidationError", "ValidationError")
"""How FastAPI would tell of wrong input."""


def document(api: FastAPI) -> dict[str, Any]:
    """Return the document of an application, which is made once."""
    if api.openapi_schema is None:
        made = get_openapi(
            title=api.title,
            version=api.version,
            description=api.description,
            routes=api.routes,
            servers=[{"url": "/api"}],
        )
        _tell_of_problems(made)
        api.openapi_schema = made
    return api.openapi_schema


def _tell_of_problems(made: dict[str, Any]) -> None:
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
    schemas = made["components"]["schemas"]
    for name in _REPLACED:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    schemas |= {**problem.pop("$defs", {}), "Problem": problem}
