"""The jobs of workers: to send what was rendered, and to render what was only packed.

Whatever process runs jobs must have imported this.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from broadcasting.broadcasts import (
    JOB,
    MANY_JOB,
    Failure,
    asend,
    asend_many,
    deliver,
    deliver_all,
    failures_of,
    many,
    read_many,
    send,
    send_many,
)
from broadcasting.dispatching.afterwards import tell_failure, tell_skipped
from broadcasting.dispatching.bursts import LATEST_JOB, Turn
from broadcasting.dispatching.locks import LOCKED_JOB, Locked
from broadcasting.dispatching.outgoing import Outgoing, subject_of
from broadcasting.dispatching.packing import JOB as RENDER_JOB
from broadcasting.dispatching.packing import Packed
from broadcasting.dispatching.pushing import MIDDLEWARE_JOB, SUPERSEDED, tell
from broadcasting.dispatching.rendering import render
from broadcasting.events import ShouldBroadcast
from broadcasting.exceptions import JobSkipped, MissingModel, NotAllSent, PayloadError, PublishError
from broadcasting.job_middleware import EventJob, through
from broadcasting.queues import give_up, left_to_do, register, run
from broadcasting.queues.base import Left
from broadcasting.references import unpack

logger = logging.getLogger("broadcasting.queue")


def render_packed(payload: dict[str, Any]) -> None:
    """Make the event again, render it, and send it.

    What some of several broadcasters do not take is tried again as it is, and with them alone.
    Raises PublishError, and what rendering raises.
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
        broadcasters=packed.broadcasters if packed.are_chosen else (),
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
    tell(batch, batch.refused)
    if len(batch.broadcasts) == 1 and not batch.refused:
        deliver(batch.broadcasts[0])
    else:
        deliver_all(batch.broadcasts)


def _render_failed(payload: dict[str, Any], error: Exception) -> None:
    packed = Packed.from_payload(payload)
    if packed is not None:
        _tell(failures_of(error, packed.unrendered()), packed.event)


def _left_to_render(payload: dict[str, Any], error: Exception) -> Left | None:
    if isinstance(error, NotAllSent):
        return _left_of_many({"broadcasts": []}, error)
    return (RENDER_JOB, payload) if isinstance(error, PublishError) else None


def run_in_middleware(payload: dict[str, Any]) -> None:
    """Do a job with the middleware of its event around it. Raises PublishError, JobReleased."""
    inner = payload["payload"]
    told, broadcasters = _about(inner)
    label = _label(told)
    job = EventJob(id=str(told["id"]), label=label, broadcaster=", ".join(broadcasters))
    try:
        middleware = [*unpack(told["event"]).middleware()]
    except MissingModel as missing:
        # What was rendered in time is sent all the same; the other job knows what to do.
        logger.debug("%s: nobody is left to ask for middleware: %s", label, missing)
        middleware = []
    try:
        through(middleware, lambda _: run(payload["job"], inner))(job)
    except JobSkipped as skipped:
        tell_skipped(label, job.id, str(skipped))


def _about(payload: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what tells of the event of a job, and the aliases of its broadcasters."""
    several = payload.get("broadcasts")
    if several:
        return several[0], [broadcast["broadcaster"] for broadcast in several]
    return payload, payload.get("broadcasters") or [payload["broadcaster"]]


def _label(told: Mapping[str, Any]) -> str:
    return str(told.get("event_label") or told.get("label", ""))


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
    told, _ = _about(inner.get("payload", inner))
    tell_skipped(_label(told), told["id"], SUPERSEDED)


def _failed_inside(payload: dict[str, Any], error: Exception) -> None:
    give_up(payload["job"], payload["payload"], error)


def _left_inside(name: str, payload: dict[str, Any], error: Exception) -> Left | None:
    """Return the job ``name`` around what is left of the one inside it."""
    left = left_to_do(payload["job"], payload["payload"], error)
    return None if left is None else (name, payload | {"job": left[0], "payload": left[1]})


def _broadcast_failed(payload: dict[str, Any], error: Exception) -> None:
    _many_failed({"broadcasts": [payload]}, error)


def _many_failed(payload: dict[str, Any], error: Exception) -> None:
    _tell(failures_of(error, read_many(payload)))


def _left_of_many(payload: dict[str, Any], error: Exception) -> Left | None:
    """Return the job that tries again what may succeed then; the rest is given up."""
    failures = failures_of(error, read_many(payload))
    again = [broadcast for broadcast, one in failures if isinstance(one, PublishError)]
    if not again:
        return None
    _tell([failure for failure in failures if not isinstance(failure[1], PublishError)])
    return MANY_JOB, many(again)


def _tell(failures: Iterable[Failure], packed: Mapping[str, Any] | None = None) -> None:
    """Say that these were given up. Each event hears it once, ``packed`` if it is nowhere else."""
    told: set[str] = set()
    for broadcast, error in failures:
        event = None if broadcast.id in told else _event(broadcast.event or packed)
        told.add(broadcast.id)
        tell_failure(broadcast, error, event)


def _event(packed: Mapping[str, Any] | None) -> ShouldBroadcast | None:
    if packed is None:
        return None
    try:
        return unpack(packed)
    except (MissingModel, PayloadError) as problem:
        logger.warning("An event cannot be told that its broadcast failed: %s", problem)
        return None


register(JOB, send, asend, failed=_broadcast_failed)
register(MANY_JOB, send_many, asend_many, failed=_many_failed, left=_left_of_many)
register(RENDER_JOB, render_packed, failed=_render_failed, left=_left_to_render)
register(LOCKED_JOB, run_locked, failed=_locked_failed, left=partial(_left_inside, LOCKED_JOB))
for _name, _run in ((MIDDLEWARE_JOB, run_in_middleware), (LATEST_JOB, run_latest)):
    register(_name, _run, failed=_failed_inside, left=partial(_left_inside, _name))
