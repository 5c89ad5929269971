"""What is kept in the database: webhook deliveries, and what the outbox has yet to hand on."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class WebhookDelivery(models.Model):
    """One request to one endpoint. It holds no secret and no custom header."""

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")

    number = models.BigAutoField(_("number"), primary_key=True)
    """The order in which requests to one endpoint are sent."""

    uuid = models.UUIDField(_("id"), unique=True, default=uuid.uuid4, editable=False)
    """What the receiver knows it by, the same for every attempt and replay."""

    app_id = models.CharField(_("application"), max_length=100)
    url = models.TextField(_("URL"))
    lane = models.CharField(max_length=64, editable=False)
    """Which endpoint of which application it waits for; see ``webhooks.bodies.lane_of``."""

    names = models.CharField(_("events"), max_length=200)
    """What is told in it, for people."""

    body = models.TextField(_("body"))
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    last_status = models.PositiveSmallIntegerField(_("last answer"), null=True, blank=True)
    last_error = models.TextField(_("last error"), blank=True)
    due_at = models.DateTimeField(null=True, blank=True, editable=False)
    """When a worker may take it: after the wait for the next attempt, or after the lease of a
    worker that has it and may have died. None: a server process sends it itself."""

    retry_until = models.DateTimeField(editable=False)
    """When it is given up."""

    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ("-number",)
        indexes = (
            models.Index(fields=["lane", "status", "number"], name="broadcasting_wd_lane"),
            models.Index(fields=["status", "due_at"], name="broadcasting_wd_due"),
            models.Index(fields=["created_at"], name="broadcasting_wd_created"),
        )

    def __str__(self) -> str:
        return f"{self.names} ({self.uuid})"


class OutboxEntry(models.Model):
    """One job that was recorded with the data it tells of, and is not handed on yet.

    It is deleted once it is; one that was given up is parked, and stays.
    """

    number = models.BigAutoField(_("number"), primary_key=True)
    """The order in which entries that share a line leave. Gaps mean nothing."""

    job = models.CharField(_("job"), max_length=100)
    label = models.CharField(_("label"), max_length=300, blank=True)
    """What people know it by: the event class, usually."""

    lines = models.TextField(_("lines"), blank=True)
    """What it stands in line for, such as channels, a line each; see ``JobOptions.order``."""

    body = models.TextField(_("body"))
    """Payload and options, as versioned JSON."""

    due_at = models.DateTimeField(_("due"), editable=False)
    """Before then no relay takes it: a delay, or the wait for another attempt."""

    expires_at = models.DateTimeField(_("expires"), editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    """Those that failed."""

    last_error = models.TextField(_("last error"), blank=True)
    claimed_by = models.CharField(max_length=32, blank=True, editable=False)
    """Which relay has it, a name that it made up."""

    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    """When another relay may take it, since that one must have died."""

    parked_at = models.DateTimeField(_("parked"), null=True, blank=True, db_index=True)
    """When it was given up; None: it is still on its way."""

    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox entries")
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"{self.number} {self.label or self.job}"


class OutboxTurn(models.Model):
    """The one row that a relay locks while it looks for entries: one relay looks at a time."""

    turns = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.turns)
