"""``manage.py webhook_replay``: deliveries are sent again."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime, parse_duration

from broadcasting.exceptions import PublishError
from broadcasting.models import WebhookDelivery
from broadcasting.webhooks.replays import is_under_way, replay


class Command(BaseCommand):
    help = "Send webhook deliveries again: those with these ids, or all that match the options."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=UUID, metavar="ID", help="ids of deliveries")
        parser.add_argument("--failed", action="store_true", help="all that were given up")
        parser.add_argument("--app", metavar="ID", help="only those of this application")
        parser.add_argument(
            "--since",
            type=_moment,
            metavar="WHEN",
            help="only newer ones: a time as 2030-01-31T12:00, or an age as 01:30:00 or '2 days'",
        )

    def handle(
        self,
        *args: Any,
        ids: list[UUID],
        failed: bool,
        app: str | None,
        since: datetime | None,
        **options: Any,
    ) -> None:
        if not ids and not failed:
            raise CommandError("Say which: ids, or --failed.")
        rows = self.rows(ids, failed=failed, app=app, since=since)
        missing = set(ids) - set(rows.values_list("uuid", flat=True))
        if missing:
            raise CommandError(f"No such delivery: {', '.join(sorted(map(str, missing)))}")
        total = failed_again = 0
        for row in rows.order_by("number").iterator():
            if is_under_way(row):
                self.stdout.write(f"{row.uuid} is still on its way, and left alone")
                continue
            try:
                after = replay(row)
            except PublishError as error:
                raise CommandError(f"{total} were sent again, then: {error}") from error
            total += 1
            failed_again += after.status == WebhookDelivery.Status.FAILED
            self.stdout.write(f"{after.uuid} {after.status} {after.last_error}".rstrip())
        self.stdout.write(f"{total} sent again.")
        if failed_again:
            raise CommandError(f"{failed_again} of {total} did not arrive.")

    def rows(
        self, ids: list[UUID], *, failed: bool, app: str | None, since: datetime | None
    ) -> QuerySet[WebhookDelivery]:
        """Return what is asked for."""
        rows = WebhookDelivery.objects.all()
        if ids:
            rows = rows.filter(uuid__in=ids)
        if failed:
            rows = rows.filter(status=WebhookDelivery.Status.FAILED)
        if app is not None:
            rows = rows.filter(app_id=app)
        if since is not None:
            rows = rows.filter(created_at__gte=since)
        return rows


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None:
        age = parse_duration(text)
        if age is None or age < timedelta():
            raise ValueError(text)
        return timezone.now() - age
    # Of this project's kind, see USE_TZ.
    if timezone.is_aware(timezone.now()) == timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment) if timezone.is_naive(moment) else timezone.make_naive(moment)
