"""Where rendered events leave: to their queue, or to their broadcaster at once.

An outlet can be put in front of the real one for a while, which is how the test fake
works. Every broadcaster of an event is tried, whatever happens to the others.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import partial

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from msgspec.structs import replace

from broadcasting.backplanes.background import background
from broadcasting.dispatching import bridge
from broadcasting.dispatching.afterwards import tell_skipped
from broadcasting.dispatching.failures import report
from broadcasting.dispatching.models import as_they_were, has_unsaved
from broadcasting.dispatching.options import is_paced
from broadcasting.dispatching.outgoing import Batch, Outgoing
from broadcasting.dispatching.publisher import publisher
from broadcasting.dispatching.pushing import (
    apush_each,
    check_delay,
    push_each,
    settle,
    settle_each,
    tell,
)
from broadcasting.dispatching.rendering import pack, render
from broadcasting.dispatching.timer import timer
from broadcasting.dispatching.together import current_block, wait_for_commit
from broadcasting.listeners import calling
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
        """Prepare ``outgoing`` and hand it on."""
        with as_they_were(outgoing.keys) as is_lossy:
            try:
                # What a worker could not fetch is rendered while it is here.
                batch = render(outgoing) if is_lossy else self.prepare(outgoing)
            except ObjectDoesNotExist as gone:
                # Nobody read what the database had worked out, and nobody can any more.
                if not is_lossy or outgoing.options.missing == "fail":
                    raise
                tell_skipped(outgoing.label, outgoing.id, f"missing_model: {gone}")
                return
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
    """To the queue, or straight to the broadcasters; inside batch() to its end first."""

    def takes(self, outgoing: Outgoing) -> bool:
        return True

    def prepare(self, outgoing: Outgoing) -> Batch | None:
        options = outgoing.options
        if options.render == "commit" or options.now or not get_queue().leaves_process:
            return render(outgoing)
        # What a worker could not fetch, or not send, is rendered while it is here.
        here = outgoing.built or has_unsaved(outgoing.attributes)
        return render(outgoing) if here else pack(outgoing)

    def wait(self, outgoing: Outgoing, connection: BaseDatabaseWrapper) -> None:
        if _is_recorded(outgoing):
            self._record(replace(outgoing, transaction=connection.alias))
        else:
            wait_for_commit(partial(self.complete, outgoing), connection)

    def _record(self, outgoing: Outgoing) -> None:
        """Leave the jobs of an event in the transaction that is open, to be relayed if it commits.

        Raises what push() does whatever RESCUE says: data without its event is what must not be.
        """
        batch = self.prepare(outgoing)
        if batch is None:
            return
        errors = push_each(batch)
        tell(batch, [*batch.refused, *errors])
        settle_each(
            [
                *[(refused, outgoing.rescue) for refused in batch.refused],
                *[(error, False) for error in errors],
            ]
        )

    def hand_on(self, batch: Batch) -> None:
        together, rescue = current_block(), batch.outgoing.rescue
        if together is not None and together.take(batch):
            tell(batch, batch.refused)
            settle(batch.refused, rescue=rescue)
        elif bridge.loop_is_running():
            # This thread may not wait, so nobody is left to see what would be raised. A script
            # may end here, and from then on Python makes no threads.
            background.start()
            publisher.submit(partial(_background, batch))
            settle(batch.refused, rescue=rescue)
        else:
            errors = [*batch.refused, *push_each(batch)]
            if errors:
                tell(batch, errors)
                settle(errors, rescue=rescue)

    async def ahand_on(self, batch: Batch) -> None:
        together = current_block()
        taken = together is not None and together.take(batch)
        errors = [*batch.refused, *([] if taken else await apush_each(batch))]
        if errors:
            await sync_to_async(tell, thread_sensitive=True)(batch, errors)
            settle(errors, rescue=batch.outgoing.rescue)


def _is_recorded(outgoing: Outgoing) -> bool:
    """Whether its jobs are kept by the transaction that it would otherwise wait for."""
    options = outgoing.options
    if not get_queue().uses_database or options.now or outgoing.built:
        return False
    # A cache holds the locks and turns of these, and knows nothing of a rollback.
    return not options.unique and not is_paced(options)


def _background(batch: Batch) -> None:
    errors = push_each(batch)
    tell(batch, [*batch.refused, *errors])
    settle(errors, rescue=True)


def flush(timeout: float) -> bool:
    """Wait up to ``timeout`` seconds for what was dispatched on running loops to leave.

    And for their listeners. What ``debounce`` and ``throttle`` hold back in this process leaves at
    once. Returns whether everything did.
    """
    ends = time.monotonic() + timeout
    # What a waiting thread hands on may be submitted to the publisher in its turn.
    submitted = bridge.flush(timeout)
    submitted = calling.serial.flush(max(0.0, ends - time.monotonic())) and submitted
    # And the timer may be given something by the publisher.
    submitted = publisher.flush(max(0.0, ends - time.monotonic())) and submitted
    timer.release()
    return publisher.flush(max(0.0, ends - time.monotonic())) and submitted


def outlet_for(outgoing: Outgoing) -> Outlet:
    """Return the innermost outlet that takes ``outgoing``. Raises what check_delay() raises."""
    for outlet in reversed(_outlets):
        if outlet.takes(outgoing):
            return outlet
    # Where it is said: after the commit its rows are saved, and on a loop nobody is left.
    check_delay(outgoing)
    return _real


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
