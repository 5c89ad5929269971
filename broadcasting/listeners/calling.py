"""Calls the listeners of one dispatch, each whatever becomes of the others.

Runs after the broadcast was handed on or left waiting for its commit, where the event was
dispatched: in a thread that may wait, on the loop that awaits it, or, where a loop may not be held
up by a sync dispatch, in a thread of its own.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from broadcasting.dispatching import bridge
from broadcasting.dispatching.models import as_they_were, database_of, keys_of
from broadcasting.dispatching.transactions import open_transaction
from broadcasting.exceptions import AutocommitOff
from broadcasting.listeners.registry import Listener
from broadcasting.serial import Serial

if TYPE_CHECKING:
    from broadcasting.dispatching.rendering import Outgoing

logger = logging.getLogger("broadcasting.listeners")

serial = Serial("broadcasting-listeners", "listeners", logger)

Failure = tuple[Listener, Exception]


def call(listeners: Sequence[Listener], outgoing: Outgoing) -> None:
    """Call ``listeners`` with the event of ``outgoing``, or leave them waiting for the commit.

    Raises the first error, with the others as notes, unless the event is to be rescued. Never
    blocks a running event loop: they are called in another thread then, and errors logged.
    """
    heard = _as_heard(outgoing)
    if bridge.loop_is_running():
        serial.submit(partial(copy_context().run, _call_alone, listeners, heard))
    else:
        _settle(_call_in_time(listeners, heard), heard, rescue=heard.rescue)


def call_alone(listeners: Sequence[Listener], outgoing: Outgoing) -> None:
    """See call(), for a thread in which nobody is left to raise at: errors are logged."""
    _call_alone(listeners, _as_heard(outgoing))


async def acall(listeners: Sequence[Listener], outgoing: Outgoing) -> None:
    """See call(). Sync ones run in the thread of Django's async code, async ones are awaited."""
    heard = _as_heard(outgoing)
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


def _as_heard(outgoing: Outgoing) -> Outgoing:
    # A copy: what listeners do to it changes nothing of what is sent.
    return replace(outgoing, event=copy.copy(outgoing.subject))


def _call_alone(listeners: Sequence[Listener], heard: Outgoing) -> None:
    try:
        errors = _call_in_time(listeners, heard)
    except Exception:
        logger.exception("The listeners of %s could not be called", heard.label)
    else:
        _settle(errors, heard, rescue=True)


def _call_in_time(listeners: Sequence[Listener], heard: Outgoing) -> list[Failure]:
    """Call those whose time it is, leave the others waiting; return what failed."""
    now, later, unsure = _split(listeners, heard)
    errors, stopped_at = _call_each(now, heard)
    _wait(_before(stopped_at, listeners, later), heard)
    return unsure + errors


def _split(
    listeners: Sequence[Listener], heard: Outgoing
) -> tuple[Sequence[Listener], Sequence[Listener], list[Failure]]:
    """Return those to call now, those that wait for a commit, and those that cannot know."""
    wait = [listener for listener in listeners if listener.after_commit]
    others = [listener for listener in listeners if not listener.after_commit]
    try:
        if not wait or open_transaction(_database(heard)) is None:
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


def _wait(listeners: Sequence[Listener], heard: Outgoing) -> None:
    """Call ``listeners`` when the transaction commits."""
    if not listeners:
        return
    heard = replace(heard, keys=keys_of(heard.attributes))
    transaction.on_commit(partial(_committed, listeners, heard), using=_database(heard))


def _committed(listeners: Sequence[Listener], heard: Outgoing) -> None:
    # Logged, since an exception would keep others that wait for this commit from being called.
    with as_they_were(heard.keys):
        errors, _ = _call_each(listeners, heard)
    _settle(errors, heard, rescue=True)


def _database(heard: Outgoing) -> str:
    return heard.options.using or database_of(heard.attributes)


def _call_each(
    listeners: Sequence[Listener], heard: Outgoing
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


def _call_one(listener: Listener, heard: Outgoing) -> Any:
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


async def _acall_one(listener: Listener, heard: Outgoing) -> Any:
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


def _settle(errors: Sequence[Failure], heard: Outgoing, *, rescue: bool) -> None:
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
