"""Rooms and what was said in them. Who is in a room is nobody's table: the server knows."""

from __future__ import annotations

from django.conf import settings
from django.db import models

SHOWN = 50


class Room(models.Model):
    """A place to talk."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    topic = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name

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
