"""The reference of the REST API, from its OpenAPI document and from what its routes ask of a caller."""

from collections.abc import Iterator, Mapping
from functools import cache
from inspect import getclosurevars
from typing import Any, get_args

from fastapi.routing import iter_route_contexts

from adit_core.api.authentication import any_caller, signed_in
from adit_core.api.rest import create_api
from adit_core.api.v1.callers import Administrator
from adit_core.api.wiring import Wiring
from adit_core.db.engine import Database
from adit_core.services.launching import Launcher
from adit_core.settings import Settings
from deployments.documentation.markdown import code, code_path, sentence, table

Document = Mapping[str, Any]
Needs = Mapping[tuple[str, str], str]
"""What a route asks of its caller, by method and path."""

_METHODS = ("get", "post", "put", "patch", "delete")
_PROXY_ROOT = "/dicom-web/{ae_title}"
_NO_SCOPE = "—"
_ANY_SCOPE = "any"


def rest_api() -> str:
    """Return a table for each tag of the API: what there is, what it needs, and what it takes."""
    document, needs = described_api()
    tags: dict[str, list[tuple[str, ...]]] = {}
    for path, method, operation in _operations(document):
        row = (
            code(method.upper()),
            code_path(path),
            _summary(operation),
            needs.get((method, path), _NO_SCOPE),
            _parameters(operation, document),
        )
        tags.setdefault(operation.get("tags", ["other"])[0], []).append(row)
    head = ("method", "path", "what it does", "scope", "parameters")
    return "\n\n".join(f"## {_titled(tag)}\n\n{table(head, rows)}" for tag, rows in tags.items())


def dicomweb_resources() -> str:
    """Return the resources of the DICOMweb proxy, below its root."""
    document, _ = described_api()
    rows = (
        (code(method.upper()), code_path(path.removeprefix(_PROXY_ROOT)), _summary(operation))
        for path, method, operation in _operations(document)
        if path.startswith(_PROXY_ROOT)
    )
    return table(("method", "resource", "what it does"), rows)


@cache
def described_api() -> tuple[Document, Needs]:
    """Return the OpenAPI document and what each operation needs, without a database or a scheduler.

    Both are asked for by requests only, and none is made.
    """
    absent: Any = object()
    database: Database = absent
    launcher: Launcher = absent
    api = create_api(Wiring(Settings.model_construct(), database, launcher))
    needs = {
        (method.lower(), str(route.path_format)): need
        for route in iter_route_contexts(api.routes)
        if hasattr(route, "dependant")
        for method in route.methods or ()
        for need in [_need(route.dependant)]
    }
    return api.openapi(), needs


def _operations(document: Document) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                yield path, method, operations[method]


def _need(dependant: Any) -> str:
    """Return the scope that a route's dependencies ask for, and whether they ask for staff."""
    calls = set(_calls(dependant))
    scopes = [
        _scope(call)
        for call in calls
        if getattr(call, "__qualname__", "").startswith(f"{signed_in.__name__}.")
    ]
    if not scopes:
        return _ANY_SCOPE if any_caller in calls else _NO_SCOPE
    names = ", ".join(code(scope) for scope in scopes)
    return f"{names}, staff" if _administrator() in calls else names


def _calls(dependant: Any) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)


def _scope(call: Any) -> str:
    return str(getclosurevars(call).nonlocals["scope"])


def _administrator() -> Any:
    return get_args(Administrator)[1].dependency


def _summary(operation: Mapping[str, Any]) -> str:
    """Return what the code says of the route, which tells more than FastAPI's title of it."""
    return sentence(operation.get("description")) or f"{operation['summary']}."


def _parameters(operation: Mapping[str, Any], document: Document) -> str:
    """Name what goes into the path, the query, the headers and the body."""
    given = [
        f"{code(each['name'])}{'' if each.get('required') else '?'}"
        for each in operation.get("parameters", ())
        if each["in"] != "path"
    ]
    body = operation.get("requestBody")
    return ", ".join([*given, *(_body(body, document) if body else ())])


def _body(body: Mapping[str, Any], document: Document) -> Iterator[str]:
    for media_type, content in body["content"].items():
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        schema = document["components"]["schemas"].get(name, {})
        required = schema.get("required", ())
        fields = (
            f"{code(field)}{'' if field in required else '?'}" for field in schema.get("properties", ())
        )
        yield f"body: {', '.join(fields) or media_type}"


def _titled(tag: str) -> str:
    return tag[:1].upper() + tag[1:]
