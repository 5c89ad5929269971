"""Calls the listeners of one dispatch, each whatever becomes of the others.

Runs after the broadcast was handed on or left waiting for its commit, where the event was
dispatched: in a thread that may wait, on the loop that awaits it, or, where a loop may not be held
up by a sync dispatch, in a thread of its own.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol

from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from broadcasting.dispatching import bridge
from broadcasting.dispatching.models import Keys, as_they_were, database_of, keys_of
from broadcasting.dispatching.options import EventOptions
from broadcasting.dispatching.transactions import open_transaction
from broadcasting.exceptions import AutocommitOff
from broadcasting.listeners.registry import Listener
from broadcasting.serial import Serial

logger = logging.getLogger("broadcasting.listeners")

serial = Serial("broadcasting-listeners", "listeners", logger)

Failure = tuple[Listener, Exception]


class Dispatched(Protocol):
    """What is to be known of a dispatch."""

    @property
    def subject(self) -> Any: ...
    @property
    def label(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def options(self) -> EventOptions: ...
    @property
    def rescue(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event as its listeners get it."""

    event: Any
    """A copy: what listeners do to it changes nothing of what is sent."""

    label: str
    """Dotted path of the event class."""

    id: str
    """Of the dispatch."""

    using: str | None
    """Whose transaction is waited for; None: the database of the first row in the event."""

    missing: str
    """As ``Meta.missing``."""

    rescue: bool
    keys: Keys = ()
    """The primary keys of its rows when it began to wait for its commit."""

    @property
    def database(self) -> str:
        """The alias of the database whose transaction is waited for."""
        return self.using or database_of(self.attributes)

    @property
    def attributes(self) -> Iterable[Any]:
        """All that the event holds."""
        # Not at import: events are built on dispatching.
        from broadcasting.events import attributes_of

        return attributes_of(self.event)


def call(listeners: Sequence[Listener], dispatched: Dispatched) -> None:
    """Call ``listeners`` with the event of ``dispatched``, or leave them waiting for the commit.

    Raises the first error, with the others as notes, unless the event is to be rescued. Never
    blocks a running event loop: they are called in another thread then, and errors logged.
    """
    heard = _as_heard(dispatched)
    if bridge.loop_is_running():
        serial.submit(partial(copy_context().run, _call_alone, listeners, heard))
    else:
        _settle(_call_in_time(listeners, heard), heard, rescue=heard.rescue)


def call_alone(listeners: Sequence[Listener], dispatched: Dispatched) -> None:
    """See call(), for a thread in which nobody is left to raise at: errors are logged."""
    _call_alone(listeners, _as_heard(dispatched))


async def acall(listeners: Sequence[Listener], dispatched: Dispatched) -> None:
    """See call(). Sync ones run in the thread of Django's async code, async ones are awaited."""
    heard = _as_heard(dispatched)
    if any(listener.after_commit for listener in listeners):
        now, later, errors = await sync_to_async(_split)(listeners, heard)
    else:
        now, later, errors = listeners, (), []
    stopped_at: Listener | None = None
    for listener in now:
        try:
            if await _acall_one(listener, heard) is False:
                stopped_at = listener
                break
        except Exception as error:
            errors.append((listener, error))
    if later:
        await sync_to_async(_wait)(_before(stopped_at, listeners, later), heard)
    _settle(errors, heard, rescue=heard.rescue)


def _as_heard(dispatched: Dispatched) -> Heard:
    return Heard(
        event=copy.copy(dispatched.subject),
        label=dispatched.label,
        id=dispatched.id,
        using=dispatched.options.using,
        missing=dispatched.options.missing,
        rescue=dispatched.rescue,
    )


def _call_alone(listeners: Sequence[Listener], heard: Heard) -> None:
    try:
        errors = _call_in_time(listeners, heard)
    except Exception:
        logger.exception("The listeners of %s could not be called", heard.label)
    else:
        _settle(errors, heard, rescue=True)


def _call_in_time(listeners: Sequence[Listener], heard: Heard) -> list[Failure]:
    """Call those whose time it is, leave the others waiting; return what failed."""
    now, later, unsure = _split(listeners, heard)
    errors, stopped_at = _call_each(now, heard)
    _wait(_before(stopped_at, listeners, later), heard)
    return unsure + errors


def _split(
    listeners: Sequence[Listener], heard: Heard
) -> tuple[Sequence[Listener], Sequence[Listener], list[Failure]]:
    """Return those to call now, those that wait for a commit, and those that cannot know."""
    wait = [listener for listener in listeners if listener.after_commit]
    others = [listener for listener in listeners if not listener.after_commit]
    try:
        if not wait or open_transaction(heard.database) is None:
            return listeners, (), []
    except AutocommitOff as error:
        return others, (), [(listener, error) for listener in wait]
    return others, wait, []


def _before(
    stopped_at: Listener | None, listeners: Sequence[Listener], later: Sequence[Listener]
) -> Sequence[Listener]:
    """Return those of ``later`` that come before the one that stopped the others."""
    if stopped_at is None:
        return later
    return [one for one in later if one in listeners[: listeners.index(stopped_at)]]


def _wait(listeners: Sequence[Listener], heard: Heard) -> None:
    """Call ``listeners`` when the transaction commits."""
    if not listeners:
        return
    heard = replace(heard, keys=keys_of(heard.attributes))
    transaction.on_commit(partial(_committed, listeners, heard), using=heard.database)


def _committed(listeners: Sequence[Listener], heard: Heard) -> None:
    # Logged, since an exception would keep others that wait for this commit from being called.
    with as_they_were(heard.keys):
        errors, _ = _call_each(listeners, heard)
    _settle(errors, heard, rescue=True)


def _call_each(
    listeners: Sequence[Listener], heard: Heard
) -> tuple[list[Failure], Listener | None]:
    """Return what failed, and the listener that stopped the others."""
    errors: list[Failure] = []
    for listener in listeners:
        try:
            if _call_one(listener, heard) is False:
                return errors, listener
        except Exception as error:
            errors.append((listener, error))
    return errors, None


def _call_one(listener: Listener, heard: Heard) -> Any:
    if listener.when is not None and not listener.when(heard.event):
        return None
    if listener.queued:
        # Not at import: jobs know how to make events, which are built on dispatching.
        from broadcasting.listeners.jobs import push

        push(listener, heard)
        return None
    result = listener.target()(heard.event)
    # Not told by the listener: objects and partials may be async as well.
    return async_to_sync(_finish)(result) if isawaitable(result) else result


async def _acall_one(listener: Listener, heard: Heard) -> Any:
    if listener.when is not None and not await sync_to_async(listener.when)(heard.event):
        return None
    if listener.queued:
        from broadcasting.listeners.jobs import apush

        await apush(listener, heard)
        return None
    if listener.is_async:
        return await listener.target()(heard.event)
    result = await sync_to_async(_call_target)(listener, heard.event)
    return await result if isawaitable(result) else result


def _call_target(listener: Listener, event: Any) -> Any:
    return listener.target()(event)


async def _finish(awaitable: Any) -> Any:
    return await awaitable


def _settle(errors: Sequence[Failure], heard: Heard, *, rescue: bool) -> None:
    """Log the errors, or raise the first one with the others as notes."""
    if rescue:
        for listener, error in errors:
            logger.error(
                "The listener %s of %s has failed", listener.name, heard.label, exc_info=error
            )
    elif errors:
        (_, first), *others = errors
        for listener, other in others:
            if other is not first:
                first.add_note(f"{listener.name} failed too: {type(other).__name__}: {other}")
        raise first
