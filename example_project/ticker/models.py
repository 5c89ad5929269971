"""What the shop lets everybody know."""

from __future__ import annotations

from django.db import models


class Activity(models.Model):
    """One line of the ticker."""

    text = models.CharField(max_length=200)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "activities"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def latest(cls) -> models.QuerySet[Activity]:
        """Return what the front page shows, newest first."""
        return cls.objects.all()[:6]
