"""Where rendered events leave: to their queue, or to their broadcaster at once.

An outlet can be put in front of the real one for a while, which is how the test fake
works. Every broadcaster of an event is tried, whatever happens to the others.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from broadcasting.backplanes.background import background
from broadcasting.broadcasts import JOB, Broadcast, asend, send
from broadcasting.dispatching import bridge
from broadcasting.dispatching.failures import report
from broadcasting.dispatching.models import as_they_were
from broadcasting.dispatching.publisher import publisher
from broadcasting.dispatching.rendering import Batch, Outgoing, render
from broadcasting.queues import get_queue


class Outlet(ABC):
    """What takes events once everything about them is decided."""

    @abstractmethod
    def takes(self, outgoing: Outgoing) -> bool:
        """Whether this event leaves here."""

    def wait(self, outgoing: Outgoing, connection: BaseDatabaseWrapper) -> None:
        """Hand ``outgoing`` on when the transaction of ``connection`` commits."""
        transaction.on_commit(partial(self.complete, outgoing), using=connection.alias)

    def complete(self, outgoing: Outgoing) -> None:
        """Render ``outgoing`` and hand it on."""
        with as_they_were(outgoing.keys):
            batch = render(outgoing)
        if batch is not None:
            self.hand_on(batch)

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

    def hand_on(self, batch: Batch) -> None:
        rescue = batch.outgoing.rescue
        if bridge.loop_is_running():
            # This thread may not wait, so nobody is left to see what would be raised. A script
            # may end here, and from then on Python makes no threads.
            background.start()
            publisher.submit(partial(_background, batch))
            settle(batch.refused, rescue=rescue)
        else:
            settle([*batch.refused, *_push(batch)], rescue=rescue)

    async def ahand_on(self, batch: Batch) -> None:
        errors = [*batch.refused]
        for broadcast in batch.broadcasts:
            try:
                if batch.outgoing.options.now:
                    await asend(broadcast.to_payload())
                else:
                    await get_queue().apush(JOB, broadcast.to_payload(), batch.job_options)
            except Exception as error:
                errors.append((broadcast, error))
        settle(errors, rescue=batch.outgoing.rescue)


def _background(batch: Batch) -> None:
    settle(_push(batch), rescue=True)


def _push(batch: Batch) -> list[tuple[Broadcast, Exception]]:
    errors = []
    for broadcast in batch.broadcasts:
        try:
            if batch.outgoing.options.now:
                send(broadcast.to_payload())
            else:
                get_queue().push(JOB, broadcast.to_payload(), batch.job_options)
        except Exception as error:
            errors.append((broadcast, error))
    return errors


def settle(errors: Sequence[tuple[Broadcast, Exception]], *, rescue: bool) -> None:
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
