"""What MkDocs calls while it builds the site: fills in generated parts, and looks at each built page.

A page says ``<!-- generated: settings -->`` where a part belongs. So the tables of the reference and of the
conformance statement cannot age: they are made from the code whenever the site is built.

Files of the repository outside of the documentation can be linked: on a forge that leads to them, here the
link becomes their name. What is missing, and a page that would make a browser ask another host, are warnings,
which end a strict build.
"""

import logging
import posixpath
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from deployments.documentation import command_line, dicom_tables, rest_api, settings
from deployments.documentation.markdown import code
from deployments.documentation.outside import outside_requests

log = logging.getLogger("mkdocs.hooks.adit")

_REPOSITORY = Path(__file__).parents[2]
_DOCS = "docs"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)\s]+)\)")
_PLACE = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)

PARTS: Mapping[str, Callable[[], str]] = {
    "rest-api": rest_api.rest_api,
    "dicomweb-resources": rest_api.dicomweb_resources,
    "command-line": command_line.command_line,
    "settings": settings.settings_table,
    "storage-sop-classes": dicom_tables.storage_sop_classes,
    "storage-transfer-syntaxes": dicom_tables.storage_transfer_syntaxes,
    "message-transfer-syntaxes": dicom_tables.message_transfer_syntaxes,
    "query-sop-classes": dicom_tables.query_sop_classes,
    "query-keys": dicom_tables.query_keys,
    "find-statuses": partial(dicom_tables.statuses, dicom_tables.Service.FIND),
    "get-statuses": partial(dicom_tables.statuses, dicom_tables.Service.GET),
    "move-statuses": partial(dicom_tables.statuses, dicom_tables.Service.MOVE),
    "store-statuses": partial(dicom_tables.statuses, dicom_tables.Service.STORE),
    "store-failures": dicom_tables.store_failures,
    "http-statuses": dicom_tables.http_statuses,
    "rejections": dicom_tables.rejections,
    "implementation": dicom_tables.implementation,
    "connection-parameters": dicom_tables.connection_parameters,
    "receiver-settings": partial(settings.settings_table, "receiver_"),
}
"""What makes each part, as Markdown."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put generated parts into the places of a page, and names into those of links out of the site."""
    source = str(page.file.src_uri)
    return filled(without_ways_out(markdown, source), source)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn of a page that would make a browser ask another host, and leave it as it is."""
    for request in outside_requests(output):
        log.warning("%s would make browsers ask another host: %s", page.file.src_uri, request)
    return output


def without_ways_out(markdown: str, source: str) -> str:
    """Return a page on which files of the repository are named instead of linked; warns of missing ones."""

    def name(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(_DOCS, posixpath.dirname(source), link[2].partition("#")[0]))
        if path.startswith(f"{_DOCS}/"):
            return link[0]
        if not (_REPOSITORY / path).exists():
            log.warning("%s links to %s, which is not in the repository", source, path)
        return code(path) if link[1].strip("`") in path else f"{link[1]} ({code(path)})"

    return _LINK.sub(name, markdown)


def filled(markdown: str, source: str) -> str:
    """Return a page with its generated parts; warns of those that nothing makes."""

    def part(place: re.Match[str]) -> str:
        make = PARTS.get(place[1])
        if make is None:
            log.warning("%s has a place for %s, which nothing generates", source, place[1])
            return place[0]
        return make()

    return _PLACE.sub(part, markdown)
