"""From a running loop back to the sync thread that waits for it in ``async_to_sync()``.

That thread is where Django keeps the connections and transactions of the whole call, so there
alone can be seen whether an event has to wait for a commit. Nothing here waits for it.
"""

from __future__ import annotations

import concurrent.futures
import contextvars

# asyncio's own, which says None instead of raising: sync code asks for every event.
from asyncio import _get_running_loop as running_loop
from collections.abc import Callable

import asgiref.sync
from asgiref.sync import AsyncToSync, SyncToAsync

# Not a public name: without it an event would only be rendered in the language of the site.
_restore_context: Callable[[contextvars.Context], None] = getattr(
    asgiref.sync, "_restore_context", lambda context: None
)


def loop_is_running() -> bool:
    """Whether this thread runs an event loop, which may not be blocked."""
    return running_loop() is not None


def submit_to_waiting_thread(work: Callable[[], object]) -> bool:
    """Let the thread that waits for this loop run ``work`` before it goes on.

    First in, first out. False where no loop runs, or no thread waits for it. ``work`` must
    report its own failures.
    """
    loop = running_loop()
    if loop is None:
        return False
    # The same places, in the same order, where sync_to_async() looks for that thread.
    executor = getattr(AsyncToSync.executors, "current", None)
    if executor is None and SyncToAsync.thread_sensitive_context.get(None) is None:
        executor = AsyncToSync.loop_thread_executors.get(loop)
    if executor is None:
        return False
    context = contextvars.copy_context()
    try:
        future = executor.submit(context.run, _run, context, work)
    except RuntimeError:  # a task that outlived the call: nobody waits any more
        return False
    _submitted.add(future)
    future.add_done_callback(_submitted.discard)
    return True


def _run(context: contextvars.Context, work: Callable[[], object]) -> None:
    # Language, time zone and the like know which thread they belong to: bring them along.
    _restore_context(context)
    work()


def flush(timeout: float) -> bool:
    """Wait up to ``timeout`` seconds for what was submitted; return whether all was done."""
    return not concurrent.futures.wait(tuple(_submitted), timeout).not_done


_submitted: set[concurrent.futures.Future[None]] = set()
