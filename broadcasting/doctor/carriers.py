"""The hops between processes: the queue with its worker, and the backplane."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from channels.layers import InMemoryChannelLayer
from django.db import Error

from broadcasting.applications import default_application
from broadcasting.backplanes import BaseBackplane, Envelope, get_backplane
from broadcasting.backplanes.channel_layer import ChannelLayerBackplane
from broadcasting.conf import get_settings
from broadcasting.doctor.report import Doubtful, Failed, described
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.queues import get_queue
from broadcasting.queues.outbox import OutboxQueue, rows

UNRELAYED = 10.0
"""Seconds that an entry of the outbox may be due before we say that nobody relays it."""

RELAYS = (
    "Run a relay: manage.py broadcasting_relay, or OPTIONS = {'relay': True} for one in"
    " each server process. If one runs, its log says what it cannot hand on."
)
"""What cures an outbox that nobody empties."""


def check_queue(timeout: float) -> str:
    """See that somebody takes what is queued."""
    entry = get_settings().queue
    queue = get_queue()
    if not queue.leaves_process:
        return f"{entry.backend!r}: sent at once, in the process that dispatches"
    if not get_backplane().crosses_processes and not queue.runs_beside_sockets:
        raise Failed(
            f"{entry.backend!r} runs in a worker, which holds no sockets, and the backplane"
            " does not leave its process",
            'BROADCASTING["BACKPLANE"] = {"BACKEND": "redis", "OPTIONS": {"url": ...}}, or'
            ' "channel_layer" with channels_redis in CHANNEL_LAYERS; or {"BACKEND": "sync"}'
            " for QUEUE.",
        )
    if isinstance(queue, OutboxQueue):
        return _outbox(queue)
    match entry.backend:
        case "celery":
            return _celery(timeout)
        case "tasks":
            return _tasks()
        case other:
            return f"{other!r}: your own, so only the canary can tell"


def _celery(timeout: float) -> str:
    from celery import current_app

    name = get_queue().default_name
    start = f"celery -A <your project> worker -Q celery,{name}"
    try:
        workers = _queues_by_worker(current_app, timeout)
    except Exception as error:  # each transport has its own errors
        raise Failed(
            f"Celery's broker cannot be reached: {described(error)}",
            "Start the broker, or correct broker_url (CELERY_BROKER_URL) of your Celery app;"
            " the package of your settings has to import that app.",
        ) from error
    if not workers:
        raise Failed("no Celery worker answers", f"Start one: {start}")
    takers = [worker for worker, names in workers.items() if name in names]
    if not takers:
        raise Failed(
            f"{len(workers)} Celery worker(s) run, none takes the queue {name!r}",
            f"Name the queue when you start them: {start}; or set"
            ' BROADCASTING["QUEUE"]["OPTIONS"]["queue"] to one that they take.',
        )
    return f"{len(takers)} Celery worker(s) take the queue {name!r}"


def _queues_by_worker(app: Any, timeout: float) -> dict[str, set[str]]:
    # A connection of our own: with Celery's defaults a dead broker holds us for ever.
    connection = app.connection_for_write(
        connect_timeout=timeout,
        transport_options={
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "write_timeout": timeout,
        },
    )
    with connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=timeout)
        # The whole time is always waited out: ask shortly first, then for a busy worker.
        short = min(timeout / 2, 1.0)
        for patience in (short, timeout - short):
            inspect = app.control.inspect(timeout=patience, connection=connection)
            if answers := inspect.active_queues() or {}:
                break
    return {worker: {queue["name"] for queue in queues} for worker, queues in answers.items()}


def _tasks() -> str:
    from broadcasting.queues import tasks

    alias = tasks.backend_alias()
    backend = type(tasks.framework.task_backends[alias])
    words = f"{backend.__module__}.{backend.__qualname__}"
    if "dummy" in words.lower():
        raise Doubtful(
            f"TASKS[{alias!r}] is {words}, which keeps tasks and never runs them",
            "Choose a backend with a worker in TASKS, and run that worker.",
        )
    return f"TASKS[{alias!r}] is {words}, whose worker has to run"


def _outbox(queue: OutboxQueue) -> str:
    parked, found = 0, []
    for alias in queue.databases:
        try:
            backlog = rows.backlog(alias)
        except Error as error:
            raise Failed(
                f"the outbox in the database {alias!r} cannot be read: {described(error)}",
                f"manage.py migrate broadcasting --database {alias}",
            ) from error
        if backlog.oldest > UNRELAYED:
            raise Failed(
                f"the oldest of {backlog.waiting} event(s) in the outbox of {alias!r} has waited"
                f" for {backlog.oldest:.0f} s",
                RELAYS,
            )
        parked += backlog.parked
        found.append(f"{backlog.waiting} in {alias!r}")
    said = f"what waits to be relayed: {', '.join(found)}"
    if parked:
        raise Doubtful(
            f"{said}; {parked} event(s) were given up",
            "See the outbox entries in the admin, which can relay them again.",
        )
    return said


def check_backplane(timeout: float) -> str:
    """Send an envelope through the backplane and wait for it, in this process."""
    backplane = get_backplane()
    name = get_settings().backplane.backend
    if not backplane.crosses_processes:
        return (
            f"{name!r}: events reach the sockets of the process that sends them,"
            " so only a process that holds sockets can publish"
        )
    if isinstance(backplane, ChannelLayerBackplane) and isinstance(
        backplane.layer, InMemoryChannelLayer
    ):
        raise Failed(
            "the channel layer is in memory, which no other process sees",
            "Use channels_redis.pubsub.RedisPubSubChannelLayer in CHANNEL_LAYERS, or"
            ' {"BACKEND": "local"} for BACKPLANE.',
        )
    layered = isinstance(backplane, ChannelLayerBackplane)
    place = "CHANNEL_LAYERS" if layered else "OPTIONS of BROADCASTING['BACKPLANE']"
    try:
        asyncio.run(_round_trip(backplane, timeout))
    except TimeoutError as error:
        raise Failed(
            f"{name!r} took an envelope and did not bring it back within {timeout:g} s",
            f"Publisher and subscriber may be on different servers: look at {place}.",
        ) from error
    except (BackplaneUnavailable, OSError) as error:
        raise Failed(
            f"{name!r} cannot be reached: {described(error)}",
            f"Start Redis (or Valkey), or correct its address, user and password in {place}.",
        ) from error
    return f"{name!r} brought an envelope back"


async def _round_trip(backplane: BaseBackplane, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    envelope = Envelope(
        app_id=default_application().id,
        channel=f"broadcasting-doctor.{secrets.token_hex(8)}",
        frame="{}",
    )

    def receive(got: Envelope) -> None:
        if got.id == envelope.id and not arrived.done():
            arrived.set_result(None)

    subscription, has_joined = backplane.connect(receive), False
    try:
        async with asyncio.timeout(timeout):
            await subscription.join(envelope.app_id, envelope.channel)
            has_joined = True
            await backplane.apublish(envelope)
            await arrived
    except (BackplaneUnavailable, TimeoutError) as error:
        # It goes on trying, and knows better than we do what is in its way.
        if subscription.problem is None and (has_joined or isinstance(error, BackplaneUnavailable)):
            raise
        raise BackplaneUnavailable(subscription.problem or "no answer in time") from error
    finally:
        await subscription.close()
