"""Models that broadcast what happens to their rows, in every shape that Django knows."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from safedelete.models import SafeDeleteModel

from broadcasting import BroadcastsEvents


class Post(BroadcastsEvents, models.Model):
    title = models.CharField(max_length=50)
    secret = models.CharField(max_length=50, default="hush")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)

    class BroadcastMeta:
        fields: ClassVar[list[str]] = ["id", "title"]

    def __str__(self) -> str:
        return self.title


class Essay(Post):
    """Multi-table inheritance: rows in two tables."""

    pages = models.IntegerField(default=1)

    class BroadcastMeta:
        fields: ClassVar[list[str]] = ["id", "title", "pages"]


class Draft(Post):
    class Meta:
        proxy = True


class Note(BroadcastsEvents, models.Model):
    """Quiet unless something changed, and deleted softly."""

    text = models.CharField(max_length=50)
    extra = models.JSONField(default=dict)
    hidden = models.IntegerField(default=0)
    attachment = models.FileField(blank=True)
    touched = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True)

    class BroadcastMeta:
        fields: ClassVar[list[str]] = ["id", "text"]
        only_if_changed = True
        include_changes = True
        soft_deletes = "deleted_at"
        to_others = True
        queue = "notes"

    def __str__(self) -> str:
        return self.text


class Counter(BroadcastsEvents, models.Model):
    """Counted up in the database."""

    count = models.IntegerField(default=0)

    class BroadcastMeta:
        fields: ClassVar[list[str]] = ["id", "count"]
        only_if_changed = True
        include_changes = True

    def __str__(self) -> str:
        return f"{self.pk}"


class Comment(BroadcastsEvents, models.Model):
    """Has its own say about everything, and is silent about updates."""

    post = models.ForeignKey(Post, on_delete=models.CASCADE)
    text = models.CharField(max_length=50)

    class BroadcastMeta:
        events: ClassVar[list[str]] = ["created", "deleted"]

    def __str__(self) -> str:
        return self.text

    def broadcast_on(self, event: str) -> Any:
        return [self.post, f"comments.{event}"]

    def broadcast_as(self, event: str) -> str:
        return f"comment.{event}"

    def broadcast_with(self, event: str) -> dict[str, Any]:
        return {"id": self.pk, "siblings": Comment.objects.filter(post=self.post).count()}


class Page(BroadcastsEvents, SafeDeleteModel):
    """Deleted softly by django-safedelete."""

    title = models.CharField(max_length=50)

    class BroadcastMeta:
        fields: ClassVar[list[str]] = ["id", "title"]

    def __str__(self) -> str:
        return self.title


class Report(BroadcastsEvents, models.Model):
    """Shown by a worker, where that is possible."""

    title = models.CharField(max_length=50)
    secret = models.CharField(max_length=50, default="hush")

    class BroadcastMeta:
        fields: ClassVar[list[str]] = ["id", "title"]
        include_changes = True
        render = "worker"

    def __str__(self) -> str:
        return self.title


class Tag(models.Model):
    """Broadcasts nothing."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name
