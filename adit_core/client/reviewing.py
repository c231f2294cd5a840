"""Instances that may show who the patient is: looking at them, and deciding whether they leave."""

from collections.abc import Sequence

from adit_core.client.connection import Connected
from adit_core.client.project_values import HeldInstance
from adit_core.client.reading import Table, made


class Reviewing(Connected):
    """Decides about held instances."""

    def held(
        self, *, job_id: int | None = None, status: str | Sequence[str] | None = None
    ) -> Table[HeldInstance]:
        """Return the instances that wait for a reviewer, or those of some other status."""
        pages = self._connection.pages("/held", job=job_id, status=status, limit=1000)
        return Table(made(HeldInstance, told) for told in pages)

    def picture_of_held(self, held: HeldInstance, *, frame: int = 1) -> bytes:
        """Return a frame of a held instance as PNG."""
        path = f"/held/{held.id}/picture"
        return self._connection.send("GET", path, params={"frame": frame}).content

    def release_held(self, *held: HeldInstance, blank: Sequence[tuple[int, int, int, int]] = ()) -> None:
        """Let instances leave, with these regions (left, top, width, height) blanked in all frames."""
        names = ("left", "top", "width", "height")
        regions = [dict(zip(names, region, strict=True)) for region in blank]
        wanted = {"ids": [each.id for each in held], "blank": regions}
        self._connection.json("POST", "/held/release", json=wanted)

    def reject_held(self, *held: HeldInstance) -> None:
        """Decide that instances never leave."""
        self._connection.json("POST", "/held/reject", json={"ids": [each.id for each in held]})
