"""The jobs of workers: to send what was rendered, and to render what was only packed.

Whatever process runs jobs must have imported this.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from broadcasting.broadcasts import (
    JOB,
    MANY_JOB,
    asend,
    asend_many,
    read,
    read_many,
    send,
    send_many,
)
from broadcasting.dispatching.afterwards import tell_failure, tell_skipped
from broadcasting.dispatching.bursts import LATEST_JOB, Turn
from broadcasting.dispatching.locks import LOCKED_JOB, Locked
from broadcasting.dispatching.packing import JOB as RENDER_JOB
from broadcasting.dispatching.packing import Packed
from broadcasting.dispatching.pushing import MIDDLEWARE_JOB, SUPERSEDED, push_all
from broadcasting.dispatching.rendering import Outgoing, render, subject_of
from broadcasting.events import ShouldBroadcast
from broadcasting.exceptions import JobSkipped, MissingModel, PayloadError
from broadcasting.job_middleware import EventJob, through
from broadcasting.queues import give_up, register, run
from broadcasting.references import unpack

logger = logging.getLogger("broadcasting.queue")


def render_packed(payload: dict[str, Any]) -> None:
    """Make the event again, render it, and send it.

    To one broadcaster at once, to several with a job for each, so that none of them is
    tried again for another's sake. Raises PublishError, and what rendering raises.
    """
    packed = Packed.from_payload(payload)
    if packed is None:
        return
    try:
        event = unpack(packed.event)
    except MissingModel as missing:
        if packed.missing == "fail":
            raise
        tell_skipped(packed.label, packed.id, f"missing_model: {missing}")
        return
    options = replace(
        type(subject_of(event))._broadcasting,
        broadcasters=packed.broadcasters,
        queue=packed.queue,
        # This job has waited, and is the one of its kind, already.
        delay=0,
        unique=False,
        debounce=0,
        throttle=0,
    )
    outgoing = Outgoing(
        event=event, options=options, except_socket=packed.except_socket, id=packed.id
    )
    batch = render(outgoing, ask=False)
    if batch is None:
        return
    for broadcast, error in batch.refused:
        tell_failure(broadcast, error, event)
    if len(batch.broadcasts) == 1:
        send(batch.broadcasts[0].to_payload())
    else:
        push_all(batch)


def run_in_middleware(payload: dict[str, Any]) -> None:
    """Do a job with the middleware of its event around it. Raises PublishError, JobReleased."""
    inner = payload["payload"]
    broadcaster = inner.get("broadcaster") or ", ".join(inner.get("broadcasters", ()))
    label = str(inner.get("event_label") or inner.get("label", ""))
    job = EventJob(id=str(inner["id"]), label=label, broadcaster=broadcaster)
    try:
        middleware = [*unpack(inner["event"]).middleware()]
    except MissingModel as missing:
        # What was rendered in time is sent all the same; the other job knows what to do.
        logger.debug("%s: nobody is left to ask for middleware: %s", label, missing)
        middleware = []
    try:
        through(middleware, lambda _: run(payload["job"], inner))(job)
    except JobSkipped as skipped:
        tell_skipped(label, job.id, str(skipped))


def _middleware_failed(payload: dict[str, Any], error: Exception) -> None:
    give_up(payload["job"], payload["payload"], error)


def run_locked(payload: dict[str, Any]) -> None:
    """Do the job of a unique event. Its lock is kept while the job will be tried again."""
    locked = Locked.from_payload(payload)
    if locked.unique == "until_processing":
        locked.lock.release()
    run(locked.job, locked.payload)
    locked.lock.release()


def _locked_failed(payload: dict[str, Any], error: Exception) -> None:
    locked = Locked.from_payload(payload)
    locked.lock.release()
    give_up(locked.job, locked.payload, error)


def run_latest(payload: dict[str, Any]) -> None:
    """Do a job that waited, unless a later one of its burst took its turn."""
    inner = payload["payload"]
    if Turn(**payload["turn"]).is_last():
        run(payload["job"], inner)
        return
    told = inner.get("payload", inner)
    tell_skipped(str(told.get("event_label") or told.get("label", "")), told["id"], SUPERSEDED)


def _latest_failed(payload: dict[str, Any], error: Exception) -> None:
    give_up(payload["job"], payload["payload"], error)


def _broadcast_failed(payload: dict[str, Any], error: Exception) -> None:
    broadcast = read(payload)
    if broadcast is not None:
        tell_failure(broadcast, error, _event(broadcast.event))


def _many_failed(payload: dict[str, Any], error: Exception) -> None:
    for broadcast in read_many(payload):
        tell_failure(broadcast, error, _event(broadcast.event))


def _render_failed(payload: dict[str, Any], error: Exception) -> None:
    packed = Packed.from_payload(payload)
    if packed is None:
        return
    event = _event(packed.event)
    for broadcast in packed.unrendered():
        tell_failure(broadcast, error, event)
        event = None  # told once


def _event(packed: Mapping[str, Any] | None) -> ShouldBroadcast | None:
    if packed is None:
        return None
    try:
        return unpack(packed)
    except (MissingModel, PayloadError) as problem:
        logger.warning("An event cannot be told that its broadcast failed: %s", problem)
        return None


register(JOB, send, asend, _broadcast_failed)
register(MANY_JOB, send_many, asend_many, _many_failed)
register(RENDER_JOB, render_packed, failed=_render_failed)
register(MIDDLEWARE_JOB, run_in_middleware, failed=_middleware_failed)
register(LATEST_JOB, run_latest, failed=_latest_failed)
register(LOCKED_JOB, run_locked, failed=_locked_failed)
