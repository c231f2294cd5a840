"""What the routes of the proxy have in common: who asks, for which archive, and how errors are told."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.responses import Response

from adit_core.api.authentication import Caller, signed_in
from adit_core.api.dicomweb.described import INSTANCE_UID, SERIES_UID, STUDY_UID, uid_field
from adit_core.api.dicomweb.parameters import wanted
from adit_core.api.dicomweb.streams import bad_request
from adit_core.api.wiring import Wiring, wiring_of
from adit_core.db import TokenScope
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.errors import InvalidInput
from adit_core.services.proxy_access import ProxyAccess, ProxyUse, ProxyVisitor, enter
from adit_core.services.proxy_retrieval import Wanted
from adit_core.services.routes import receiver_address

ArchiveName = Annotated[
    str, Path(description="The AE title of an archive, or the name of its node.", examples=["PACS"])
]
StudyUid = Annotated[str, Path(description="Study Instance UID.", **uid_field(STUDY_UID))]
SeriesUid = Annotated[str, Path(description="Series Instance UID.", **uid_field(SERIES_UID))]
InstanceUid = Annotated[str, Path(description="SOP Instance UID.", **uid_field(INSTANCE_UID))]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ProxyRoute(APIRoute):
    """A route that answers to wrong parameters with 400, as the standard wants it (PS3.18 8.5)."""

    def get_route_handler(self) -> Handler:
        """Return what handles a request."""
        handle = super().get_route_handler()

        async def handle_kindly(request: Request) -> Response:
            try:
                return await handle(request)
            except InvalidInput as error:
                return bad_request(error)

        return handle_kindly


@dataclass(frozen=True, slots=True)
class Call:
    """A request, by whom, and what to serve it with."""

    request: Request
    ae_title: str
    caller: Caller
    wiring: Wiring
    receiver: ReceiverAddress | None

    async def enter(self, use: ProxyUse) -> ProxyAccess:
        """Let the caller use the archive; raises what `adit_core.services.proxy_access.enter` raises."""
        visitor = ProxyVisitor(self.wiring.database, self.caller.user, self.caller.address)
        return await run_in_threadpool(enter, visitor, self.ae_title, use)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """What the URL says after its question mark."""
        return list(self.request.query_params.multi_items())

    def url(self, *parts: str) -> str:
        """Return the URL of a resource of the same archive."""
        base = _origin(self.request, self.wiring) + self.request.scope["root_path"].rstrip("/")
        return "/".join((base, "dicom-web", quote(self.ae_title, safe=""), "wadors", *parts))


def _origin(request: Request, wiring: Wiring) -> str:
    """Return where the client has reached this server; dicomweb-client names the host without its port."""
    url = urlsplit(str(request.base_url))
    configured = urlsplit(wiring.settings.web_url)
    if url.port is None and url.hostname == configured.hostname:
        url = configured
    return f"{url.scheme}://{url.netloc}"


# FastAPI gives dependencies that are no coroutines to threads, which costs each of them some 0.3 ms.
async def _call(
    request: Request,
    ae_title: ArchiveName,
    caller: Annotated[Caller, Depends(signed_in(TokenScope.DICOMWEB))],
) -> Call:
    wiring = wiring_of(request)
    return Call(request, ae_title, caller, wiring, receiver_address(wiring.settings))


async def _study(study: StudyUid) -> Wanted:
    return wanted(study)


async def _series(study: StudyUid, series: SeriesUid) -> Wanted:
    return wanted(study, series)


async def _instance(study: StudyUid, series: SeriesUid, instance: InstanceUid) -> Wanted:
    return wanted(study, series, instance)


Called = Annotated[Call, Depends(_call)]
OfStudy = Annotated[Wanted, Depends(_study)]
OfSeries = Annotated[Wanted, Depends(_series)]
OfInstance = Annotated[Wanted, Depends(_instance)]
