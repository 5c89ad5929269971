"""What pusher-js would show of its channels. Whatever it must never see is a fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from broadcasting.protocol.names import ChannelKind, kind_of


@dataclass(slots=True)
class Shown:
    """One channel that is subscribed."""

    members: dict[str, Any] | None = None
    count: int | None = None
    events: list[tuple[str, int]] = field(default_factory=list)
    """Publisher and number."""

    def disorder(self) -> Iterator[str]:
        """Return what came twice, or after a later one of the same publisher."""
        last: dict[str, int] = defaultdict(int)
        for by, number in self.events:
            if number <= last[by]:
                yield f"got {by} {number} after {last[by]}"
            last[by] = number


class View:
    """One client's channels, made of the frames that it got."""

    def __init__(self, name: str, user_id: str, fault: Callable[[str], object]) -> None:
        self.shown: dict[str, Shown] = {}
        self._name = name
        self._user_id = user_id
        self._fault = fault

    def take(self, event: str, channel: str, data: Any) -> None:
        """Take one frame of a channel that is wanted; ``data`` is decoded."""
        if event == "pusher_internal:subscription_succeeded":
            self._succeed(channel, data)
        elif channel in self.shown:
            self._follow(self.shown[channel], channel, event, data)

    def _succeed(self, channel: str, data: Any) -> None:
        shown = self.shown[channel] = Shown()
        if kind_of(channel) is not ChannelKind.PRESENCE:
            return
        shown.members = data["presence"]["hash"]
        ids = data["presence"]["ids"]
        if sorted(ids) != sorted(shown.members) or data["presence"]["count"] != len(ids):
            self._fault(f"{self._name} was told {data} on {channel}")
        if self._user_id not in shown.members:
            self._fault(f"{self._name} is not among the members of {channel}")

    def _follow(self, shown: Shown, channel: str, event: str, data: Any) -> None:
        members = shown.members
        if event == "pusher_internal:member_added" and members is not None:
            if data["user_id"] in members:
                self._fault(f"{self._name} was told twice of {data['user_id']} on {channel}")
            members[data["user_id"]] = data.get("user_info")
        elif event == "pusher_internal:member_removed" and members is not None:
            if data["user_id"] not in members:
                self._fault(f"{self._name} lost {data['user_id']} twice on {channel}")
            members.pop(data["user_id"], None)
        elif event == "pusher_internal:subscription_count":
            shown.count = data["subscription_count"]
        elif event in ("e", "client-e"):
            shown.events.append((data["by"], data["n"]))
