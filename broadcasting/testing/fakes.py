"""A fake that records instead of sending, with opinions about what was sent.

It stands in front of the real outlet, so everything before it is real: transactions,
hooks, the encoder and the limits. Only ``TestCase`` needs help: its outer transaction
never commits, so an event counts as sent once every atomic block inside it was left.
"""

from __future__ import annotations

import inspect
import threading
import unittest
from collections.abc import Callable, Iterable
from functools import wraps
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import bridge
from broadcasting.dispatching.bursts import kind_of
from broadcasting.dispatching.options import is_paced
from broadcasting.dispatching.outgoing import Batch, Outgoing
from broadcasting.dispatching.outlet import Outlet, put_in_front, take_away
from broadcasting.dispatching.pushing import settle
from broadcasting.events import ShouldBroadcast
from broadcasting.testing.assertions import BroadcastAssertions
from broadcasting.testing.records import Pending, Record, pending_of, record_of

PATIENCE = 1.0
"""Seconds to wait for another thread that has an event."""

F = TypeVar("F", bound=Callable[..., Any])


class _Waiting:
    """An event that was dispatched inside an atomic block."""

    def __init__(
        self, outgoing: Outgoing, connection: BaseDatabaseWrapper, fake: FakeBroadcasts
    ) -> None:
        self.outgoing = outgoing
        self.connection = connection
        self.taken = False
        """Whether it was recorded; the commit may come after that, or never."""

        self._fake = fake
        # Every block but those that TestCase itself holds open.
        self._blocks = [b for b in connection.atomic_blocks if not _is_of_testcase(b)]

    def __call__(self) -> None:
        """Record the event; called by a real commit or by captureOnCommitCallbacks."""
        self._fake._commit(self)

    @property
    def is_rolled_back(self) -> bool:
        return not any(entry[1] is self for entry in self.connection.run_on_commit)

    @property
    def counts_as_committed(self) -> bool:
        """Whether nothing but the transaction of a TestCase is still around it."""
        blocks = self.connection.atomic_blocks
        return (
            any(_is_of_testcase(block) for block in blocks)
            and not any(block is mine for block in blocks for mine in self._blocks)
            and not self.connection.needs_rollback
        )


def _is_of_testcase(block: transaction.Atomic) -> bool:
    return getattr(block, "_from_testcase", False)


class FakeBroadcasts(BroadcastAssertions, Outlet):
    """Records of one ``with fake()``; usable as a decorator too.

    Each ``with`` begins with no records; they can be read after it.
    """

    def __init__(self, only: tuple[type[ShouldBroadcast], ...] | None) -> None:
        self._only = only
        self._lock = threading.RLock()
        self._sent: list[Record] = []
        self._waiting: list[_Waiting] = []
        self._mistakes: list[Exception] = []
        self._held: dict[str, tuple[Outgoing, Broadcast]] = {}
        # What has left of bursts that Meta.throttle spreads.
        self._begun: set[str] = set()
        # Connections, with what an outer fake had put in front of them.
        self._watched: dict[BaseDatabaseWrapper, dict[str, Any]] = {}

    @property
    def sent(self) -> list[Record]:
        """What left, in order: one record per broadcast and broadcaster."""
        self._settle()
        with self._lock:
            return [*self._sent]

    @property
    def pending(self) -> list[Pending]:
        """What waits for its commit, in order."""
        self._settle()
        with self._lock:
            waiting = [*self._waiting]
        return [p for w in waiting for p in pending_of(w.outgoing, w.connection.alias)]

    def clear(self) -> None:
        """Forget every record, and whatever still waits for a commit."""
        with self._lock:
            for waiting in self._waiting:
                waiting.taken = True
            self._sent, self._waiting, self._mistakes = [], [], []
            self._held, self._begun = {}, set()

    def flush(self) -> None:
        """Let the last of each burst leave that ``debounce`` or ``throttle`` holds back.

        Nothing is timed here: it is held until this is called, or the fake ends.
        """
        self._settle()
        with self._lock:
            self._sent += [record_of(*held) for held in self._held.values()]
            self._held, self._begun = {}, set()

    def takes(self, outgoing: Outgoing) -> bool:
        return self._only is None or isinstance(outgoing.subject, self._only)

    def wait(self, outgoing: Outgoing, connection: BaseDatabaseWrapper) -> None:
        waiting = _Waiting(outgoing, connection, self)
        transaction.on_commit(waiting, using=connection.alias)
        with self._lock:
            self._waiting.append(waiting)
            self._watch(connection)
        self._settle()

    def fail(self, outgoing: Outgoing, error: Exception) -> None:
        # Told to whoever looks next: a log line would let the test pass.
        self._mistakes.append(error)

    def hand_on(self, batch: Batch) -> None:
        self._settle()
        self._record(batch)

    async def ahand_on(self, batch: Batch) -> None:
        self.hand_on(batch)

    def __enter__(self) -> Self:
        self.clear()
        put_in_front(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._catch_up()
        take_away(self)
        with self._lock:
            for connection, outer in self._watched.items():
                vars(connection).pop("savepoint_commit", None)
                vars(connection).update(outer)
            self._watched = {}
        if error is None:
            # Whatever is ripe is asked now: a mistake in it must not pass unseen.
            self.flush()

    def __call__(self, function: F) -> F:
        """Record while ``function`` runs, sync or async."""
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("F", awaited)

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast("F", called)

    def _watch(self, connection: BaseDatabaseWrapper) -> None:
        """Settle when a block is left, so that an event shows what it would have shown then.

        Inside a TestCase the program's outermost block is a savepoint.
        """
        if connection in self._watched:
            return
        name = "savepoint_commit"
        self._watched[connection] = {k: v for k, v in vars(connection).items() if k == name}
        leave = connection.savepoint_commit

        def left(sid: str) -> None:
            leave(sid)
            self._settle()

        connection.savepoint_commit = left  # type: ignore[method-assign]

    def _record(self, batch: Batch) -> None:
        paced = is_paced(batch.outgoing.options)
        with self._lock:
            for broadcast in batch.broadcasts:
                if not (paced and self._holds(batch, broadcast)):
                    self._sent.append(record_of(batch.outgoing, broadcast))
            self._sent += [record_of(batch.outgoing, one, is_here=True) for _, one in batch.here]
        settle(batch.refused, rescue=batch.outgoing.rescue)

    def _holds(self, batch: Batch, broadcast: Broadcast) -> bool:
        """Hold back one of a burst, in place of the one before; False if it leaves at once."""
        kind = kind_of([broadcast], batch.key)
        if batch.outgoing.options.throttle and kind not in self._begun:
            self._begun.add(kind)
            return False
        self._held.pop(kind, None)
        self._held[kind] = (batch.outgoing, broadcast)
        return True

    def _commit(self, waiting: _Waiting) -> None:
        with self._lock:
            if waiting.taken:
                return
            waiting.taken = True
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        self.complete(waiting.outgoing)

    def _settle(self) -> None:
        """Sort out what waited: some of it was rolled back, some counts as committed."""
        self._catch_up()
        with self._lock:
            # A commit under way has taken its callbacks off the list, and calls them yet.
            self._waiting = [w for w in self._waiting if not w.is_rolled_back]
            ripe = [w for w in self._waiting if w.counts_as_committed]
            self._waiting = [w for w in self._waiting if w not in ripe]
            for waiting in ripe:
                waiting.taken = True
        for waiting in ripe:
            self.complete(waiting.outgoing)
        if self._mistakes:
            raise self._mistakes.pop(0)

    def _catch_up(self) -> None:
        """Wait for what this very coroutine dispatched, and is on its way to another thread."""
        if bridge.loop_is_running():
            bridge.flush(PATIENCE)


def fake(
    only: type[ShouldBroadcast] | Iterable[type[ShouldBroadcast]] | None = None,
) -> FakeBroadcasts:
    """Return a recorder for ``with fake() as broadcasts:``, or for use as a decorator.

    While it is open no event leaves the process, from any thread; what revokes access does,
    since only a socket can prove that. ``only``: the event classes to record; the others go
    out for real. Fakes nest: the innermost one that takes an event records it.
    """
    if only is None:
        return FakeBroadcasts(None)
    return FakeBroadcasts((only,) if isinstance(only, type) else tuple(only))


class BroadcastingTestMixin(unittest.TestCase):
    """Gives a ``TestCase`` the attribute ``broadcasts``, a fake that is open in every test."""

    broadcasts: FakeBroadcasts

    def setUp(self) -> None:
        super().setUp()
        self.broadcasts = self.enterContext(fake())
