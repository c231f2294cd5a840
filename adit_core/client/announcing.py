"""What everybody is told: announcements and maintenance mode. To change either is for staff only."""

from datetime import datetime
from typing import Literal

from adit_core.client.connection import Connected
from adit_core.client.plain import plain
from adit_core.client.reading import Table, made, made_all
from adit_core.client.values import Announcement, Maintenance


class Announcing(Connected):
    """Reads and makes announcements, and switches maintenance mode."""

    def announcements(self) -> Table[Announcement]:
        """Return what everybody is told now, the newest first."""
        return made_all(Announcement, self._connection.json("GET", "/announcements"))

    def all_announcements(self) -> Table[Announcement]:
        """Return all announcements, also those of the past and the future; for staff only."""
        return made_all(Announcement, self._connection.json("GET", "/admin/announcements"))

    def announce(
        self,
        message: str,
        *,
        importance: Literal["news", "warning"] = "news",
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> Announcement:
        """Tell everybody something; for staff only.

        Args:
            message: What is said.
            importance: How it is shown.
            starts_at: With a time zone; None for at once.
            ends_at: With a time zone; None until it is removed.
        """
        wish = {"message": message, "importance": importance, "starts_at": starts_at, "ends_at": ends_at}
        return made(Announcement, self._connection.create("/admin/announcements", json=plain(wish)))

    def remove_announcement(self, announcement_id: int) -> None:
        """Take an announcement back; for staff only."""
        self._connection.json("DELETE", f"/admin/announcements/{announcement_id}")

    def maintenance(self) -> Maintenance:
        """Return whether maintenance mode is on, and why."""
        return made(Maintenance, self._connection.json("GET", "/maintenance"))

    def begin_maintenance(self, message: str) -> Maintenance:
        """Switch maintenance mode on, for staff only: nobody else begins anything, what runs goes on."""
        return made(
            Maintenance, self._connection.json("PUT", "/admin/maintenance", json={"message": message})
        )

    def end_maintenance(self) -> Maintenance:
        """Switch maintenance mode off; for staff only."""
        return made(Maintenance, self._connection.json("DELETE", "/admin/maintenance"))
