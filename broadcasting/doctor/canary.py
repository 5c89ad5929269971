"""The event that the doctor sends the way a project's own events go."""

from __future__ import annotations

from broadcasting import Channel, ShouldBroadcast

EVENT = "broadcasting.canary"


class Canary(ShouldBroadcast):
    """Sings once; ``number`` tells which one it was."""

    cage: str
    number: str

    class Meta:
        # A failure has to be heard of here, whatever RESCUE says.
        rescue = False

    def broadcast_on(self) -> Channel:
        return Channel(self.cage)

    def broadcast_as(self) -> str:
        return EVENT

    def broadcast_with(self) -> dict[str, str]:
        return {"number": self.number}
