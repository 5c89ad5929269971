"""A Celery task of the site's own, which broadcasts like any other code."""

from __future__ import annotations

import json
import time
from pathlib import Path

from celery import shared_task

from tests.liveapp import contexts, events


@shared_task(name="liveapp.announce", ignore_result=True)
def announce(channel: str) -> None:
    events.announce(channel)


@shared_task(name="liveapp.outcomes", ignore_result=True)
def outcomes(channel: str, rescue: bool, folder: str) -> None:
    """Play every outcome, once ``go`` is in the folder, and leave the report as ``said``."""
    place = Path(folder)
    (place / "here").touch()
    while not (place / "go").exists():
        time.sleep(0.02)  # the broker, which could tell, may be dead by then
    said = contexts.sync_view(contexts.Visit(channel, rescue))
    (place / "writing").write_text(json.dumps(said))
    (place / "writing").rename(place / "said")
