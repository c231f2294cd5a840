"""The client itself."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Self

from adit_core.client.accounts import Accounts
from adit_core.client.announcing import Announcing
from adit_core.client.connection import Connection, Repeat, token_for_password
from adit_core.client.connection_profiles import ConnectionProfiles
from adit_core.client.dicomweb import Archive
from adit_core.client.following import Following
from adit_core.client.node_administration import NodeAdministration
from adit_core.client.projects import Projects
from adit_core.client.reading import Table, made, made_all
from adit_core.client.reviewing import Reviewing
from adit_core.client.searching import Searching
from adit_core.client.submitting import Submitting
from adit_core.client.values import (
    AuditEvent,
    Health,
    Me,
    NewToken,
    Node,
    NodeCheck,
    Token,
)

_NOT_READY = 503
_USUAL_PAGE = 100


class AditClient(
    Searching,
    Submitting,
    Following,
    Projects,
    Reviewing,
    Announcing,
    Accounts,
    NodeAdministration,
    ConnectionProfiles,
):
    """Uses an ADIT server in the name of the user of a token. Use it as a context manager, or close it.

    Every method raises `adit_core.client.AditError` if it cannot do what it is for.

    Args:
        url: Of the server, such as ``https://adit.example.org``.
        token: What `adit tokens create` or the API has made.
        verify: As httpx takes it: an SSL context to trust other certificates than the usual ones.

    Raises:
        ValueError: The token is empty.
    """

    def __init__(self, url: str, token: str, *, verify: Any = True) -> None:
        self.url = url
        super().__init__(Connection(url, token, verify=verify))

    @classmethod
    def from_environment(cls) -> Self:
        """Return a client for the server and the token in ``ADIT_URL`` and ``ADIT_TOKEN``.

        Raises:
            KeyError: One of them is not set.
        """
        return cls(os.environ["ADIT_URL"], os.environ["ADIT_TOKEN"])

    @classmethod
    def sign_in(cls, url: str, username: str, password: str, *, verify: Any = True) -> Self:
        """Return a client for whom a password proves, for as long as a session lasts; as `AditClient`.

        Raises:
            NotSignedIn: The user name or the password is wrong.
        """
        return cls(url, token_for_password(url, username, password, verify=verify), verify=verify)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def request(self, method: str, path: str, **request: Any) -> Any:
        """Send any request to a path below ``/api/v1`` and return the JSON of the answer.

        For what a newer server can do besides; see its ``/api/openapi.json``.
        """
        return self._connection.json(method, path, **request)

    def archive(self, name: str) -> Archive:
        """Return an archive, by its AE title or the name of its node, to be used by DICOMweb."""
        return Archive(self._connection, name)

    def health(self) -> Health:
        """Return whether the server is ready for requests, and if it is not, why."""
        answer = self._connection.send_to("GET", "/api/health/ready", also=(_NOT_READY,), repeat=Repeat.NEVER)
        return made(Health, answer.json())

    def me(self) -> Me:
        """Return who is signed in, and what that person and the token may do."""
        return made(Me, self._connection.json("GET", "/me"))

    def choose_group(self, name: str | None) -> Me:
        """Work for one of one's groups from now on, so that only its rights count; for all of them by None.

        It counts for all one's tokens, and in the dashboard.
        """
        return made(Me, self._connection.json("PATCH", "/me", json={"active_group": name}))

    def nodes(self) -> Table[Node]:
        """Return the nodes that may be used, and as what."""
        return made_all(Node, self._connection.json("GET", "/nodes"))

    def check_node(self, node: str, *, move_destination: str = "", web_url: str = "") -> NodeCheck:
        """Ask a node what it really supports, and return that with what differs from its configuration.

        Args:
            node: Its name.
            move_destination: The AE title that a C-MOVE is to go to; for staff only.
            web_url: The base URL of an archive's DICOMweb services, to ask for them as well; for staff only.
        """
        wish = {"node": node, "move_destination": move_destination, "web_url": web_url}
        return made(NodeCheck, self._connection.ask("/nodes/check", json=wish))

    def tokens(self, *, all_users: bool = False) -> Table[Token]:
        """Return one's tokens, or for staff everybody's, the newest first."""
        parameters = {"all_users": True} if all_users else {}
        return made_all(Token, self._connection.json("GET", "/tokens", params=parameters))

    def create_token(self, name: str, scopes: Sequence[str], *, days: int | None = None) -> NewToken:
        """Make a token that can do no more than that of this client.

        Raises:
            NotPossible: It was made, but the answer was lost; the message has its id, to revoke it.
        """
        wish = {"name": name, "scopes": list(scopes), "days": days}
        return made(NewToken, self._connection.create("/tokens", json=wish))

    def revoke_token(self, token_id: int) -> None:
        """End a token for good."""
        self._connection.json("DELETE", f"/tokens/{token_id}")

    def audit(
        self,
        *,
        actor: str = "",
        action: str | Sequence[str] = (),
        object_kind: str = "",
        object_id: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditEvent]:
        """Yield what was done, the latest first; for staff only.

        Args:
            actor: Only what this one did.
            action: Only these.
            object_kind: Only what was done to such: job, node, user.
            object_id: Only what was done to this one.
            since: Only from this moment on; with a time zone.
            until: Only before this moment; with a time zone.
            limit: How many at most; None for all.
        """
        pages = self._connection.pages(
            "/audit",
            actor=actor or None,
            action=action or None,
            object_kind=object_kind or None,
            object_id=object_id or None,
            since=since and since.isoformat(),
            until=until and until.isoformat(),
            limit=min(limit or _USUAL_PAGE, _USUAL_PAGE),
        )
        for told in islice(pages, limit):
            yield made(AuditEvent, told)
