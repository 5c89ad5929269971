"""Webhook deliveries and the outbox in Django's admin: to look at, and to send again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from broadcasting.exceptions import PublishError
from broadcasting.models import OutboxEntry, WebhookDelivery
from broadcasting.queues.outbox import rows
from broadcasting.webhooks.bodies import masked
from broadcasting.webhooks.replays import is_under_way, replay_later

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[WebhookDelivery]
    _OutboxAdmin = admin.ModelAdmin[OutboxEntry]
else:
    _ModelAdmin = _OutboxAdmin = admin.ModelAdmin  # no generic at run time


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(_ModelAdmin):
    """Read-only: what was sent was sent, and old rows go by themselves."""

    list_display = (
        "created_at",
        "status",
        "last_status",
        "app_id",
        "names",
        "shown_url",
        "attempts",
        "last_error",
    )
    list_filter = ("status", "app_id", "created_at")
    # Not the URL: who may search for a piece of a secret finds all of it.
    search_fields = ("=uuid", "names", "body")
    date_hierarchy = "created_at"
    # Counting all of a large log for each page is slow.
    show_full_result_count = False
    actions = ("replay",)
    fields = (
        "uuid",
        "app_id",
        "shown_url",
        "names",
        "status",
        "attempts",
        "last_status",
        "last_error",
        "created_at",
        "updated_at",
        "retry_until",
        "pretty_body",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        # A page lists a hundred of them, and shows no body.
        return super().get_queryset(request).defer("body")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse to filter by what is masked."""
        return _field(lookup) != "url" and super().lookup_allowed(lookup, value, request)

    @admin.display(description=_("URL"), ordering="url")
    def shown_url(self, row: WebhookDelivery) -> str:
        """Return as much of the URL as a column bears, and as everybody here may know."""
        url = masked(row.url)
        return url if len(url) <= 60 else f"{url[:59]}…"

    @admin.display(description=_("body"))
    def pretty_body(self, row: WebhookDelivery) -> SafeString:
        """Return the body with a line for each value."""
        try:
            text = json.dumps(json.loads(row.body), indent=2, ensure_ascii=False)
        except ValueError:
            text = row.body
        return format_html('<pre style="margin:0;white-space:pre-wrap">{}</pre>', text)

    @admin.action(description=_("Replay"), permissions=["replay"])
    def replay(self, request: HttpRequest, rows: QuerySet[WebhookDelivery]) -> None:
        """Send the chosen deliveries again, oldest first."""
        total = under_way = refused = 0
        try:
            for row in rows.order_by("number"):
                if is_under_way(row):
                    under_way += 1
                elif replay_later(row):
                    total += 1
                else:
                    refused += 1
        except PublishError as error:
            self.message_user(request, str(error), messages.ERROR)
        if under_way:
            said = ngettext(
                "%d delivery is still on its way, and left alone.",
                "%d deliveries are still on their way, and left alone.",
                under_way,
            )
            self.message_user(request, said % under_way, messages.WARNING)
        if refused:
            said = ngettext(
                "%d delivery is not sent again: too many wait already.",
                "%d deliveries are not sent again: too many wait already.",
                refused,
            )
            self.message_user(request, said % refused, messages.ERROR)
        said = ngettext("%d delivery is sent again.", "%d deliveries are sent again.", total)
        self.message_user(request, said % total)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whoever might change deliveries, if that were possible."""
        return request.user.has_perm("broadcasting.change_webhookdelivery")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: WebhookDelivery | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: WebhookDelivery | None = None
    ) -> bool:
        return False


@admin.register(OutboxEntry)
class OutboxEntryAdmin(_OutboxAdmin):
    """What is on its way, and what was given up. It shows no payload."""

    list_display = ("number", "label", "lines", "due_at", "attempts", "parked_at", "last_error")
    list_filter = (("parked_at", admin.EmptyFieldListFilter), "created_at")
    search_fields = ("label", "lines", "last_error")
    show_full_result_count = False
    actions = ("relay_again",)
    fields = (
        "number",
        "job",
        "label",
        "lines",
        "due_at",
        "expires_at",
        "attempts",
        "last_error",
        "parked_at",
        "created_at",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxEntry]:
        return super().get_queryset(request).defer("body")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse to filter by what is not shown."""
        return _field(lookup) != "body" and super().lookup_allowed(lookup, value, request)

    @admin.action(description=_("Relay again"), permissions=["relay"])
    def relay_again(self, request: HttpRequest, chosen: QuerySet[OutboxEntry]) -> None:
        """Let the chosen ones that were given up be tried once more."""
        total = rows.again(chosen)
        said = ngettext("%d event is relayed again.", "%d events are relayed again.", total)
        self.message_user(request, said % total)

    def has_relay_permission(self, request: HttpRequest) -> bool:
        """Whoever might change entries, if that were possible."""
        return request.user.has_perm("broadcasting.change_outboxentry")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: OutboxEntry | None = None) -> bool:
        return False


def _field(lookup: str) -> str:
    return lookup.partition("__")[0]
