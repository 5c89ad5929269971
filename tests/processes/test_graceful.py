"""What ends in good order loses and doubles nothing: sites, workers and other nodes."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import pytest

from tests import live
from tests.conformance.peer import join
from tests.processes.conftest import Env
from tests.processes.sites import dispatch

pytestmark = pytest.mark.full


async def test_events_outlive_the_sites_and_workers_that_hand_them_on(
    crossing: Env, on_uvicorn: live.Server, channel: str
) -> None:
    apart = crossing | {"CELERY_BROKER_URL": f"{crossing['CELERY_BROKER_URL']}?virtual_host=6"}
    site = live.Server("gunicorn", live.free_port(), apart)
    options = ("--pool", "prefork", "--concurrency", "1")
    async with join(on_uvicorn) as peer:
        await peer.subscribe(channel)
        with ExitStack() as first, ExitStack() as second:
            first.enter_context(live.working(apart, *options))
            site.start()
            second.callback(site.stop)
            ending: list[asyncio.Task[None]] = []
            for number in range(60):
                if number == 20:
                    second.enter_context(live.working(apart, *options))
                    # It finishes what it has taken, beside those that still come.
                    ending.append(asyncio.create_task(asyncio.to_thread(first.close)))
                if number == 40:
                    await asyncio.to_thread(site.restart)
                await dispatch(site, channel, number)
            had = [json.loads(await peer.expect("Happened", channel)) for _ in range(60)]
            await asyncio.gather(*ending)
        assert sorted(event["number"] for event in had) == list(range(60))
        await peer.silence()
