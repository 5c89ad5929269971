"""Blocks whose events leave together when they end: fewer jobs, and fewer HTTP requests.

What only a commit after the block makes due leaves together at that commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from broadcasting.backplanes.background import background
from broadcasting.broadcasts import Broadcast, Failure, failures_of
from broadcasting.dispatching import bridge
from broadcasting.dispatching.jobs import Job, in_line, is_one, jobs_here, jobs_of
from broadcasting.dispatching.options import is_paced
from broadcasting.dispatching.outgoing import Batch
from broadcasting.dispatching.publisher import publisher
from broadcasting.dispatching.pushing import apush_one, push_one, settle_each, tell
from broadcasting.queues import JobOptions, get_queue

MAX_TOGETHER: Final = 100
"""Broadcasts in one job."""

MAX_HELD: Final = 10_000
"""Events that one block holds back. Those that come then leave alone."""

_Group = list[tuple[Batch, Broadcast]]


class Block:
    """One ``with batch():``, sync or async. A block inside another one leaves with that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = True
        self._held: list[Batch] = []
        self._connections: list[BaseDatabaseWrapper] = []
        self._token: Token[Block | None] | None = None

    def take(self, batch: Batch) -> bool:
        """Hold ``batch`` back; False if the block has ended or holds too much."""
        with self._lock:
            if not self._is_open or len(self._held) >= MAX_HELD:
                return False
            self._held.append(batch)
            return True

    def expect(self, connection: BaseDatabaseWrapper) -> None:
        """Remember that events of this block wait for a commit of ``connection``."""
        with self._lock:
            if connection not in self._connections:
                self._connections.append(connection)

    def __enter__(self) -> None:
        around = _current.get()
        # A task outlives the block that it was made in, and knows of it still.
        if around is None or not around._is_open:
            self._token = _current.set(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is None:
            return
        held = self._close(self._token)
        if bridge.loop_is_running():
            if held:
                background.start()
                publisher.submit(partial(_push_reported, held))
            return
        self._join_waiting()
        _finish(held, _push(held), quietly=error is not None)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is None:
            return
        held = self._close(self._token)
        if self._connections:
            # Where Django's async code keeps its connections and transactions.
            await sync_to_async(self._join_waiting, thread_sensitive=True)()
        failures = await _apush(held)
        if failures:
            finish = sync_to_async(_finish, thread_sensitive=True)
            await finish(held, failures, quietly=error is not None)

    def _close(self, token: Token[Block | None]) -> list[Batch]:
        _current.reset(token)
        self._token = None
        with self._lock:
            self._is_open = False
            held, self._held = self._held, []
        return held

    def _join_waiting(self) -> None:
        """Make one callback of those that wait for the same commit, or the same savepoints."""
        for connection in self._connections:
            groups: dict[frozenset[str], list[_Waiting]] = {}
            others: list[Any] = []
            for entry in connection.run_on_commit:
                if isinstance(entry[1], _Waiting) and entry[1].block is self:
                    groups.setdefault(frozenset(entry[0]), []).append(entry[1])
                else:
                    others.append(entry)
            others += [(set(ids), partial(_complete, g), False) for ids, g in groups.items()]
            connection.run_on_commit = others


class _Waiting:
    """An event that waits for its commit."""

    def __init__(self, complete: Callable[[], None], block: Block | None) -> None:
        self.complete = complete
        self.block = block

    def __call__(self) -> None:
        self.complete()


def _complete(waiting: Sequence[_Waiting]) -> None:
    """Complete them all, whatever becomes of the others. Raises the first error."""
    errors: list[Exception] = []
    # Around the block too: what was completed may not be handed on.
    with _kept_in(errors), Block():
        for each in waiting:
            with _kept_in(errors):
                each.complete()
    if errors:
        first, *others = errors
        for other in others:
            first.add_note(f"Also: {type(other).__name__}: {other}")
        raise first


@contextmanager
def _kept_in(errors: list[Exception]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        errors.append(error)


def batch() -> Block:
    """Let events that are dispatched inside leave together at the end of the block.

    ``with`` and ``async with``. What waits for a commit that comes later leaves together then.
    An exception in the block changes nothing for what was dispatched before it. Raises at the
    end what handing on raises; after an exception in the block that is logged instead.
    """
    return Block()


def current_block() -> Block | None:
    """Return the block around this code, if there is one."""
    return _current.get()


def wait_for_commit(complete: Callable[[], None], connection: BaseDatabaseWrapper) -> None:
    """Call ``complete`` when the transaction of ``connection`` commits."""
    block = _current.get()
    transaction.on_commit(_Waiting(complete, block), using=connection.alias)
    if block is not None:
        block.expect(connection)


def _push_reported(held: Sequence[Batch]) -> None:
    _finish(held, _push(held), quietly=True)


def _push(held: Sequence[Batch]) -> list[tuple[Batch, Failure]]:
    failures = []
    for group in _groups(held):
        job = _job_of(group)
        try:
            if group[0][0].outgoing.options.now or get_queue().runs_at_once:
                job.do()
            else:
                get_queue().push(job.name, job.payload, in_line(job, _options(group)))
        except Exception as error:
            failures += _owned(group, error)
    for batch, job in _singles(held):
        try:
            push_one(batch, job)
        except Exception as error:
            failures += [(batch, failure) for failure in failures_of(error, job.broadcasts)]
    return failures


async def _apush(held: Sequence[Batch]) -> list[tuple[Batch, Failure]]:
    failures = []
    for group in _groups(held):
        job = _job_of(group)
        try:
            if group[0][0].outgoing.options.now or get_queue().runs_at_once:
                await job.ado()
            else:
                await get_queue().apush(job.name, job.payload, in_line(job, _options(group)))
        except Exception as error:
            failures += _owned(group, error)
    for batch, job in _singles(held):
        try:
            await apush_one(batch, job)
        except Exception as error:
            failures += [(batch, failure) for failure in failures_of(error, job.broadcasts)]
    return failures


def _job_of(group: _Group) -> Job:
    return Job(tuple([broadcast for _, broadcast in group]))


def _owned(group: _Group, error: Exception) -> list[tuple[Batch, Failure]]:
    """Return what failed of ``group``, each with the event that it belongs to."""
    failed = failures_of(error, [broadcast for _, broadcast in group])
    owners = {id(broadcast): batch for batch, broadcast in group}
    return [
        (owners[id(broadcast)], (broadcast, its_error))
        for broadcast, its_error in failed
        if id(broadcast) in owners
    ]


def _finish(
    held: Sequence[Batch], failures: Sequence[tuple[Batch, Failure]], *, quietly: bool
) -> None:
    for batch in held:
        tell(batch, [failure for owner, failure in failures if owner is batch])
    settle_each([(failure, quietly or batch.outgoing.rescue) for batch, failure in failures])


def _has_its_own_job(batch: Batch) -> bool:
    options = batch.outgoing.options
    return bool(options.unique) or is_paced(options) or batch.packed is not None or is_one(batch)


def _singles(held: Sequence[Batch]) -> Iterator[tuple[Batch, Job]]:
    for batch in held:
        for job in jobs_of(batch) if _has_its_own_job(batch) else jobs_here(batch):
            yield batch, job


def _groups(held: Sequence[Batch]) -> Iterator[_Group]:
    """Yield what can share a job: for one broadcaster, and to be run in the same way."""
    groups: dict[Any, _Group] = {}
    for batch in held:
        if not _has_its_own_job(batch):
            now, options = batch.outgoing.options.now, replace(batch.job_options, label="")
            for broadcast in batch.broadcasts:
                key = (broadcast.broadcaster, now, options)
                groups.setdefault(key, []).append((batch, broadcast))
    for group in groups.values():
        for start in range(0, len(group), MAX_TOGETHER):
            yield group[start : start + MAX_TOGETHER]


def _options(group: _Group) -> JobOptions:
    labels = [*dict.fromkeys(batch.outgoing.label for batch, _ in group)]
    more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
    return replace(group[0][0].job_options, label=f"{labels[0]}{more}")


_current: ContextVar[Block | None] = ContextVar("broadcasting_batch", default=None)
