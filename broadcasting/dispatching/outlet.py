"""Where rendered events leave: to their queue, or to their broadcaster at once.

An outlet can be put in front of the real one for a while, which is how the test fake
works. Every broadcaster of an event is tried, whatever happens to the others.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from broadcasting.backplanes.background import background
from broadcasting.broadcasts import JOB, Broadcast, asend, send
from broadcasting.conf import get_settings
from broadcasting.dispatching import bridge
from broadcasting.dispatching.afterwards import tell_failure, tell_skipped
from broadcasting.dispatching.failures import report
from broadcasting.dispatching.locks import LOCKED_JOB, Locked, acquire
from broadcasting.dispatching.models import as_they_were, has_unsaved
from broadcasting.dispatching.packing import JOB as RENDER_JOB
from broadcasting.dispatching.publisher import publisher
from broadcasting.dispatching.rendering import Batch, Outgoing, has_middleware, pack, render
from broadcasting.exceptions import JobSkipped
from broadcasting.job_middleware import EventJob, through
from broadcasting.queues import get_queue
from broadcasting.queues.base import Payload

if TYPE_CHECKING:
    from broadcasting.events import ShouldBroadcast


MIDDLEWARE_JOB: Final = "middleware"


class Outlet(ABC):
    """What takes events once everything about them is decided."""

    @abstractmethod
    def takes(self, outgoing: Outgoing) -> bool:
        """Whether this event leaves here."""

    def wait(self, outgoing: Outgoing, connection: BaseDatabaseWrapper) -> None:
        """Hand ``outgoing`` on when the transaction of ``connection`` commits."""
        transaction.on_commit(partial(self.complete, outgoing), using=connection.alias)

    def complete(self, outgoing: Outgoing) -> None:
        """Prepare ``outgoing`` and hand it on."""
        with as_they_were(outgoing.keys) as is_lossy:
            # What a worker could not fetch is rendered while it is here.
            batch = render(outgoing) if is_lossy else self.prepare(outgoing)
        if batch is not None:
            self.hand_on(batch)

    def prepare(self, outgoing: Outgoing) -> Batch | None:
        """Return what is to be handed on, or None for nothing. Raises what render() raises."""
        return render(outgoing)

    def fail(self, outgoing: Outgoing, error: Exception) -> None:
        """Take what went wrong in a thread in which nobody is left to raise at."""
        report(error, outgoing.label, "dispatching it")

    @abstractmethod
    def hand_on(self, batch: Batch) -> None:
        """Pass a rendered event on. Never blocks a running event loop."""

    @abstractmethod
    async def ahand_on(self, batch: Batch) -> None:
        """See hand_on()."""


class RealOutlet(Outlet):
    """To the queue, or straight to the broadcasters."""

    def takes(self, outgoing: Outgoing) -> bool:
        return True

    def prepare(self, outgoing: Outgoing) -> Batch | None:
        options = outgoing.options
        later = options.render == "worker" and not options.now and get_queue().leaves_process
        # What a worker could not fetch is rendered while it is here.
        return (
            pack(outgoing) if later and not has_unsaved(outgoing.attributes) else render(outgoing)
        )

    def hand_on(self, batch: Batch) -> None:
        _check_delay(batch)
        rescue = batch.outgoing.rescue
        if bridge.loop_is_running():
            # This thread may not wait, so nobody is left to see what would be raised. A script
            # may end here, and from then on Python makes no threads.
            background.start()
            publisher.submit(partial(_background, batch))
            settle(batch.refused, rescue=rescue)
        else:
            errors = [*batch.refused, *push_each(batch)]
            _tell(batch, errors)
            settle(errors, rescue=rescue)

    async def ahand_on(self, batch: Batch) -> None:
        _check_delay(batch)
        errors = [*batch.refused]
        for broadcast, job, payload in _jobs(batch):
            try:
                if batch.outgoing.options.now:
                    await asend(payload)
                elif has_middleware(batch.outgoing) or (
                    batch.outgoing.options.unique and get_queue().leaves_process
                ):
                    # Caches and locks are sync; queues that leave block for a moment at most.
                    await asyncio.to_thread(_push, batch, broadcast, job, payload)
                else:
                    await get_queue().apush(job, payload, batch.job_options)
            except Exception as error:
                errors.append((broadcast, error))
        if errors:
            await sync_to_async(_tell, thread_sensitive=True)(batch, errors)
        settle(errors, rescue=batch.outgoing.rescue)


_Failure = tuple[Broadcast, Exception]


def _background(batch: Batch) -> None:
    errors = push_each(batch)
    _tell(batch, [*batch.refused, *errors])
    settle(errors, rescue=True)


def push_all(batch: Batch) -> None:
    """Push each job of ``batch``, whatever becomes of the others. Raises the first error."""
    errors = push_each(batch)
    settle(errors, rescue=False)


def push_each(batch: Batch) -> list[_Failure]:
    """Push each job of ``batch``, or do it ``now``; return what failed."""
    errors: list[_Failure] = []
    for broadcast, job, payload in _jobs(batch):
        try:
            if batch.outgoing.options.now:
                send(payload)
            else:
                _push(batch, broadcast, job, payload)
        except Exception as error:
            errors.append((broadcast, error))
    return errors


def _push(batch: Batch, broadcast: Broadcast, job: str, payload: Payload) -> None:
    options = batch.outgoing.options
    if has_middleware(batch.outgoing):
        if not get_queue().leaves_process:
            _push_in_middleware(batch, broadcast, job, payload)
            return
        job, payload = MIDDLEWARE_JOB, {"job": job, "payload": payload}
    if not options.unique or not get_queue().leaves_process:
        get_queue().push(job, payload, batch.job_options)
        return
    lock = acquire(
        options.unique_cache,
        batch.outgoing.label,
        str(batch.outgoing.event.unique_id()),
        broadcast.broadcaster,
        options.unique_for,
    )
    if lock is None:
        tell_skipped(batch.outgoing.label, batch.outgoing.id, "unique: one like it is waiting")
        return
    try:
        locked = Locked(lock=lock, job=job, payload=payload, unique=options.unique)
        get_queue().push(LOCKED_JOB, locked.to_payload(), batch.job_options)
    except BaseException:
        lock.release()
        raise


def _push_in_middleware(batch: Batch, broadcast: Broadcast, job: str, payload: Payload) -> None:
    """Do a job at once, with the middleware of its event around it, which is still here."""
    outgoing = batch.outgoing
    around = EventJob(id=outgoing.id, label=outgoing.label, broadcaster=broadcast.broadcaster)
    middleware = outgoing.event.middleware()
    try:
        through(middleware, lambda _: get_queue().push(job, payload, batch.job_options))(around)
    except JobSkipped as skipped:
        tell_skipped(outgoing.label, outgoing.id, str(skipped))


def _jobs(batch: Batch) -> Iterator[tuple[Broadcast, str, Payload]]:
    """Yield each job, and what it is about as far as that is known."""
    if batch.packed is not None:
        yield next(batch.packed.unrendered()), RENDER_JOB, batch.packed.to_payload()
    for broadcast in batch.broadcasts:
        yield broadcast, JOB, broadcast.to_payload()


def _check_delay(batch: Batch) -> None:
    options = batch.outgoing.options
    if not options.delay:
        return
    if options.now:
        raise ValueError(f"{batch.outgoing.label}: now() does not wait, so delay() cannot be kept")
    if not get_queue().supports_delay:
        raise ImproperlyConfigured(
            f"{batch.outgoing.label}: a delay needs a queue that can wait; BROADCASTING['QUEUE'] is"
            f" {get_settings().queue.backend!r}. Use 'celery', or 'tasks' with a worker."
        )


def _tell(batch: Batch, errors: Sequence[_Failure]) -> None:
    """Let the event and the signal's receivers hear what failed, the event once."""
    event: ShouldBroadcast | None = batch.outgoing.event
    for broadcast, error in errors:
        tell_failure(broadcast, error, event)
        event = None


def settle(errors: Sequence[_Failure], *, rescue: bool) -> None:
    """Report the errors, or raise the first one with the others as notes."""
    if rescue:
        for broadcast, error in errors:
            report(
                error,
                broadcast.event_label,
                "handing it on",
                broadcast.channels,
                via=broadcast.broadcaster,
            )
    elif errors:
        (first, error), *others = errors
        if others:
            error.add_note(f"(through the broadcaster {first.broadcaster!r})")
        for broadcast, other in others:
            error.add_note(f"{broadcast.broadcaster!r} failed too: {type(other).__name__}: {other}")
        raise error


def flush(timeout: float) -> bool:
    """Wait up to ``timeout`` seconds for what was dispatched on running loops to leave.

    Returns whether everything did.
    """
    ends = time.monotonic() + timeout
    # What a waiting thread hands on may be submitted to the publisher in its turn.
    submitted = bridge.flush(timeout)
    return publisher.flush(max(0.0, ends - time.monotonic())) and submitted


def outlet_for(outgoing: Outgoing) -> Outlet:
    """Return the innermost outlet that takes ``outgoing``."""
    return next((outlet for outlet in reversed(_outlets) if outlet.takes(outgoing)), _real)


def put_in_front(outlet: Outlet) -> None:
    """Let ``outlet`` take events before the others do, in every thread of this process."""
    global _outlets
    _outlets = (*_outlets, outlet)


def take_away(outlet: Outlet) -> None:
    """Undo put_in_front()."""
    global _outlets
    _outlets = tuple(other for other in _outlets if other is not outlet)


_real = RealOutlet()
# Replaced, never changed, so that readers need no lock.
_outlets: tuple[Outlet, ...] = ()
