"""A Celery task of the site's own, which broadcasts like any other code."""

from __future__ import annotations

from celery import shared_task

from tests.liveapp import events


@shared_task(name="liveapp.announce", ignore_result=True)
def announce(channel: str) -> None:
    events.announce(channel)
