"""Nodes that are reached by DICOMweb, as rows and as what a transfer works with."""

import re
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from adit_core.db import DicomNode, NodeKind
from adit_core.dicom.node import ConnectionProfile, DicomWebNode, WebService
from adit_core.errors import InputProblem
from adit_core.services.web_urls import is_http_url

_LONGEST_URL = 1024
_PREFIX = re.compile(r"[A-Za-z0-9._~/-]{0,255}")


def web_row(
    name: str,
    *,
    base_url: str,
    prefixes: dict[WebService, str],
    services: Collection[WebService],
    max_associations: int,
) -> DicomNode:
    """Return the row of a node."""
    row = DicomNode(
        kind=NodeKind.WEB,
        name=name,
        max_associations=max_associations,
        base_url=base_url,
        qido_prefix=prefixes.get(WebService.QIDO, ""),
        wado_prefix=prefixes.get(WebService.WADO, ""),
        stow_prefix=prefixes.get(WebService.STOW, ""),
    )
    set_web_services(row, services)
    return row


def set_web_services(row: DicomNode, services: Collection[WebService]) -> None:
    """Say what the server supports."""
    row.supports_qido = WebService.QIDO in services
    row.supports_wado = WebService.WADO in services
    row.supports_stow = WebService.STOW in services


def web_services_of(row: DicomNode) -> frozenset[WebService]:
    """Return what the server supports, as far as it was said."""
    supported = {
        WebService.QIDO: row.supports_qido,
        WebService.WADO: row.supports_wado,
        WebService.STOW: row.supports_stow,
    }
    return frozenset(service for service, yes in supported.items() if yes)


def prefixes_of(row: DicomNode) -> dict[WebService, str]:
    """Return what follows the base URL for each service where that is so."""
    prefixes = {
        WebService.QIDO: row.qido_prefix,
        WebService.WADO: row.wado_prefix,
        WebService.STOW: row.stow_prefix,
    }
    return {service: prefix for service, prefix in prefixes.items() if prefix}


def web_value(row: DicomNode, profile: ConnectionProfile) -> DicomWebNode:
    """Return a row as what a transfer works with."""
    return DicomWebNode(
        name=row.name,
        base_url=row.base_url,
        qido_prefix=row.qido_prefix,
        wado_prefix=row.wado_prefix,
        stow_prefix=row.stow_prefix,
        services=web_services_of(row),
        profile=profile,
    )


def url_problems(base_url: str, prefixes: dict[WebService, str]) -> Iterator[InputProblem]:
    """Yield what is wrong with the address of a node."""
    if not _is_base_url(base_url):
        rule = "one that begins with https:// or http://, without user, password, question mark and #"
        yield InputProblem(f"Give the URL of the DICOMweb services, {rule}.", field="base_url")
    for service, prefix in prefixes.items():
        if not _PREFIX.fullmatch(prefix):
            yield InputProblem(
                f"This cannot be the path of {service.value}.", field=f"{service.name.lower()}_prefix"
            )


def _is_base_url(url: str) -> bool:
    return is_http_url(url, longest=_LONGEST_URL) and "?" not in url and "@" not in urlsplit(url).netloc
