"""The chat's event, on the presence channel of its room."""

from __future__ import annotations

from typing import Any

from broadcasting import PresenceChannel, ShouldBroadcast
from example_project.chat.models import Message


class MessagePosted(ShouldBroadcast):
    """Somebody said something."""

    message: Message

    def broadcast_on(self) -> PresenceChannel:
        return PresenceChannel(f"chat.{self.message.room.slug}")

    def broadcast_with(self) -> dict[str, Any]:
        return payload(self.message)


def payload(message: Message) -> dict[str, Any]:
    """Return what a page needs to show ``message``: the same by event and by answer."""
    author = message.author
    return {
        "id": message.pk,
        "text": message.text,
        "sent": message.sent,
        "author": {"id": author.pk, "name": author.get_full_name() or author.get_username()},
    }
