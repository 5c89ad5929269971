"""Rooms and what was said in them. Who is in a room is nobody's table: the server knows."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from broadcasting import BroadcastsEvents, PresenceChannel

SHOWN = 50


class Room(BroadcastsEvents, models.Model):
    """A place to talk. Rows tell of themselves: a new topic, set in the admin, is seen at once."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    topic = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ("pk",)

    class BroadcastMeta:
        fields = ("name", "topic")
        events = ("updated",)
        only_if_changed = True

    def __str__(self) -> str:
        return self.name

    def broadcast_on(self, event: str) -> PresenceChannel:
        return PresenceChannel(f"chat.{self.slug}")

    def latest(self) -> list[Message]:
        """Return the newest messages, oldest first."""
        newest = self.messages.select_related("author").order_by("-pk")[:SHOWN]
        return list(reversed(newest))


class Message(models.Model):
    """One thing somebody said."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="messages")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    text = models.CharField(max_length=500)
    sent = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.text
