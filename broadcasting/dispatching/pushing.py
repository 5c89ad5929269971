"""Jobs of a rendered event onto their queue, each with all that its event wants around it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from asgiref.sync import sync_to_async

from broadcasting.broadcasts import Failure, failures_of
from broadcasting.dispatching.afterwards import tell_failure, tell_skipped
from broadcasting.dispatching.bursts import LATEST_JOB, Turn, take_turn
from broadcasting.dispatching.failures import report
from broadcasting.dispatching.jobs import Job, in_line, is_locked, jobs_of
from broadcasting.dispatching.locks import AT_WORK, LOCKED_JOB, Locked, acquire
from broadcasting.dispatching.options import is_paced
from broadcasting.dispatching.outgoing import Batch, Outgoing, has_middleware
from broadcasting.dispatching.timer import timer
from broadcasting.exceptions import JobSkipped
from broadcasting.job_middleware import EventJob, through
from broadcasting.queues import check_can_wait, get_queue

if TYPE_CHECKING:
    from broadcasting.events import ShouldBroadcast


MIDDLEWARE_JOB: Final = "middleware"
SUPERSEDED: Final = "superseded: a later one of its burst leaves"


def push_each(batch: Batch) -> list[Failure]:
    """Push each job of ``batch``, or do it ``now``; return what failed."""
    errors: list[Failure] = []
    for job in jobs_of(batch):
        try:
            push_one(batch, job)
        except Exception as error:
            errors += failures_of(error, job.broadcasts)
    return errors


async def apush_each(batch: Batch) -> list[Failure]:
    """See push_each()."""
    errors: list[Failure] = []
    for job in jobs_of(batch):
        try:
            await apush_one(batch, job)
        except Exception as error:
            errors += failures_of(error, job.broadcasts)
    return errors


async def apush_one(batch: Batch, job: Job) -> None:
    """See push_one()."""
    options = batch.outgoing.options
    if job.through is not None:
        await job.ado()
    elif is_paced(options) or has_middleware(batch.outgoing) or is_locked(batch):
        # Caches and locks are sync; queues that leave block for a moment at most.
        if get_queue().uses_database:
            await sync_to_async(push_one, thread_sensitive=True)(batch, job)
        else:
            await asyncio.to_thread(push_one, batch, job)
    elif options.now or get_queue().runs_at_once:
        await job.ado()
    else:
        await get_queue().apush(job.name, job.payload, in_line(job, batch.job_options))


def push_one(batch: Batch, job: Job) -> None:
    """Push one job, or do it ``now``, with all that its event wants around it."""
    if job.through is not None:
        job.do()
    elif is_paced(batch.outgoing.options):
        _push_in_turn(batch, job)
    else:
        _push_at_once(batch, job)


def _push_in_turn(batch: Batch, job: Job) -> None:
    outgoing, queue = batch.outgoing, get_queue()
    patience = queue.expires(batch.job_options)
    turn = take_turn(outgoing.options, job.broadcasts, batch.key, patience)
    if not turn.delay:
        timer.drop(turn.key)
        _push_at_once(batch, job)
    elif queue.leaves_process and queue.supports_delay and not outgoing.options.now:
        name, payload = job.name, job.payload
        if has_middleware(outgoing):
            name, payload = MIDDLEWARE_JOB, {"job": name, "payload": payload}
        waiting = {"turn": turn.to_payload(), "job": name, "payload": payload}
        options = replace(batch.job_options, delay=turn.delay)
        queue.push(LATEST_JOB, waiting, in_line(job, options))
    else:
        late = partial(_push_late, batch, job, turn)
        superseded = partial(tell_skipped, outgoing.label, outgoing.id, SUPERSEDED)
        if not timer.later(turn.key, turn.delay, late, superseded):
            _push_at_once(batch, job)


def _push_late(batch: Batch, job: Job, turn: Turn) -> None:
    if not turn.is_last():
        tell_skipped(batch.outgoing.label, batch.outgoing.id, SUPERSEDED)
        return
    try:
        _push_at_once(batch, job)
    except Exception as error:
        # Whoever dispatched it is gone.
        failures = failures_of(error, job.broadcasts)
        tell(batch, failures)
        settle(failures, rescue=True)


def _push_at_once(batch: Batch, job: Job) -> None:
    outgoing, queue = batch.outgoing, get_queue()
    if outgoing.options.now:
        job.do()
    elif has_middleware(outgoing) and not queue.leaves_process:
        _push_in_middleware(batch, job)
    elif queue.runs_at_once:
        job.do()
    else:
        _push_to_worker(batch, job)


def _push_to_worker(batch: Batch, job: Job) -> None:
    outgoing, name, payload = batch.outgoing, job.name, job.payload
    if has_middleware(outgoing):
        name, payload = MIDDLEWARE_JOB, {"job": name, "payload": payload}
    if not is_locked(batch):
        get_queue().push(name, payload, in_line(job, batch.job_options))
        return
    options = outgoing.options
    seconds = _kept_for(batch)
    lock = acquire(options.unique_cache, outgoing.label, batch.key, job.broadcaster, seconds)
    if lock is None:
        tell_skipped(outgoing.label, outgoing.id, "unique: one like it is waiting")
        return
    try:
        locked = Locked(lock=lock, job=name, payload=payload, unique=options.unique)
        get_queue().push(LOCKED_JOB, locked.to_payload(), in_line(job, batch.job_options))
    except BaseException:
        lock.release()
        raise


def _kept_for(batch: Batch) -> float:
    """Return after how many seconds the lock of its job ends, whatever becomes of that.

    A worker that was killed, or drops what has expired, cannot give it back.
    """
    job = batch.job_options
    at_work = AT_WORK if job.timeout is None else job.timeout
    return min(batch.outgoing.options.unique_for, job.delay + get_queue().expires(job) + at_work)


def _push_in_middleware(batch: Batch, job: Job) -> None:
    """Do a job at once, with the middleware of its event around it, which is still here."""
    outgoing = batch.outgoing
    around = EventJob(id=outgoing.id, label=outgoing.label, broadcaster=job.broadcaster)
    push = partial(get_queue().push, job.name, job.payload, batch.job_options)
    try:
        through(outgoing.event.middleware(), lambda _: push())(around)
    except JobSkipped as skipped:
        tell_skipped(outgoing.label, outgoing.id, str(skipped))


def check_delay(outgoing: Outgoing) -> None:
    """Raise ValueError or ImproperlyConfigured if an event is to wait, and cannot."""
    options = outgoing.options
    if not options.delay:
        return
    if is_paced(options):
        raise ValueError(f"{outgoing.label}: debounce and throttle say when, delay() cannot")
    if options.now:
        raise ValueError(f"{outgoing.label}: now() does not wait, so delay() cannot be kept")
    check_can_wait(outgoing.label)


def tell(batch: Batch, errors: Sequence[Failure]) -> None:
    """Let the event and the signal's receivers hear what failed, the event once."""
    event: ShouldBroadcast | None = batch.outgoing.event
    for broadcast, error in errors:
        tell_failure(broadcast, error, event)
        event = None


def settle(errors: Sequence[Failure], *, rescue: bool) -> None:
    """Report the errors, or raise the first one with the others as notes."""
    settle_each([(error, rescue) for error in errors])


def settle_each(failures: Sequence[tuple[Failure, bool]]) -> None:
    """See settle(), for errors of which each says whether it is to be rescued."""
    raised: list[Failure] = []
    for (broadcast, error), rescue in failures:
        if rescue:
            step = "handing it on"
            report(
                error, broadcast.event_label, step, broadcast.channels, via=broadcast.broadcaster
            )
        else:
            raised.append((broadcast, error))
    if not raised:
        return
    (first, error), *others = raised
    if others:
        error.add_note(f"(through the broadcaster {first.broadcaster!r})")
    for broadcast, other in others:
        if other is not error:
            error.add_note(f"{broadcast.broadcaster!r} failed too: {type(other).__name__}: {other}")
    raise error
