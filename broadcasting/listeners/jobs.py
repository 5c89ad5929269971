"""Listeners that wait in a queue: the event travels packed, its rows are fetched anew.

A worker calls only what is registered in its own process under the name that the job gives.
Whatever process runs jobs must have imported this.
"""

from __future__ import annotations

import logging
from inspect import isawaitable
from typing import Any, Final

from asgiref.sync import async_to_sync, sync_to_async

from broadcasting.dispatching.afterwards import tell_skipped
from broadcasting.events import ShouldBroadcast
from broadcasting.exceptions import ListenerFailed, MissingModel, PayloadError, PublishError
from broadcasting.listeners.calling import Heard
from broadcasting.listeners.registry import Listener, listeners
from broadcasting.queues import JobOptions, check_can_wait, get_queue, register
from broadcasting.references import pack, unpack

JOB: Final = "listener"
VERSION: Final = 1

EXPIRES: Final = 7 * 24 * 3600
"""Seconds that such a job may wait: a mail is late news too, but not to be dropped for that."""

logger = logging.getLogger("broadcasting.listeners")

Payload = dict[str, Any]


def push(listener: Listener, heard: Heard) -> None:
    """Push the job. Raises QueueUnavailable, PayloadError for what cannot travel, and
    ImproperlyConfigured for a delay that the queue cannot keep."""
    get_queue().push(JOB, _payload(listener, heard), _options(listener))


async def apush(listener: Listener, heard: Heard) -> None:
    """See push()."""
    payload = await sync_to_async(_payload)(listener, heard)
    await get_queue().apush(JOB, payload, _options(listener))


def _payload(listener: Listener, heard: Heard) -> Payload:
    return {
        "v": VERSION,
        "id": heard.id,
        "listener": listener.key,
        "label": heard.label,
        "missing": heard.missing,
        "event": pack(heard.event),
    }


def _options(listener: Listener) -> JobOptions:
    if listener.delay:
        check_can_wait(listener.name)
    return JobOptions(
        queue=listener.queue,
        tries=listener.tries,
        backoff=listener.backoff,
        expires=EXPIRES,
        delay=listener.delay,
        timeout=listener.timeout,
        label=listener.name,
    )


def run_listener(payload: Payload) -> None:
    """Make the event again and call the listener. Raises what it raises, or ListenerFailed."""
    found = _find(payload)
    if found is None:
        return
    listener, event = found
    try:
        result = listener.target()(event)
        if isawaitable(result):
            async_to_sync(_finish)(result)
    except Exception as error:
        _raise(listener, error)


async def arun_listener(payload: Payload) -> None:
    """See run_listener()."""
    found = await sync_to_async(_find)(payload)
    if found is None:
        return
    listener, event = found
    try:
        if listener.is_async:
            await listener.target()(event)
        else:
            result = await sync_to_async(lambda: listener.target()(event))()
            if isawaitable(result):
                await result
    except Exception as error:
        _raise(listener, error)


def _find(payload: Payload) -> tuple[Listener, ShouldBroadcast] | None:
    """Return whom to call with what; None, with a trace in the log, for nobody or nothing."""
    if payload.get("v") != VERSION:
        logger.error("Dropped a listener's job: version %s is not known", payload.get("v"))
        return None
    try:
        event = unpack(payload["event"])
    except MissingModel as missing:
        if payload["missing"] == "fail":
            raise
        tell_skipped(payload["label"], payload["id"], f"missing_model: {missing}")
        return None
    listener = listeners.find(payload["listener"], type(event))
    if listener is None:
        logger.error(
            "Dropped a job for %s: no such listener of %s is registered here",
            payload["listener"],
            payload["label"],
        )
        return None
    return listener, event


def _raise(listener: Listener, error: Exception) -> None:
    # Queues try again after a PublishError only; whoever sees it at once wants the error itself.
    if listener.tries > 1 and get_queue().leaves_process and not isinstance(error, PublishError):
        problem = f"{listener.name} has failed: {type(error).__name__}: {error}"
        raise ListenerFailed(problem) from error
    raise error


def _failed(payload: Payload, error: Exception) -> None:
    """Tell a listener that is a class, and has a method ``failed``, that it was given up."""
    cause = error.__cause__ if isinstance(error, ListenerFailed) else error
    logger.error("Gave up %s: %s", payload["listener"], error)
    try:
        found = _find(payload)
    except (MissingModel, PayloadError) as problem:
        logger.warning("A listener cannot be told that it failed: %s", problem)
        return
    if found is None:
        return
    listener, event = found
    hook = getattr(getattr(listener.target(), "__self__", None), "failed", None)
    if callable(hook):
        result = hook(event, cause or error)
        if isawaitable(result):
            async_to_sync(_finish)(result)


async def _finish(awaitable: Any) -> Any:
    return await awaitable


register(JOB, run_listener, arun_listener, _failed)
