"""The relays of this process: told when something is recorded here, and beside sockets if wanted.

The one beside sockets has a thread of its own: the loop that holds them never waits for a
database.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from django.db import connections

from broadcasting.queues.outbox.relay import Relay

if TYPE_CHECKING:
    from broadcasting.queues.outbox.queue import OutboxQueue

_relays: set[Relay] = set()
_beside: tuple[Relay, threading.Thread] | None = None


def is_running() -> bool:
    """Whether a relay of this process wants to be told."""
    return bool(_relays)


def poke() -> None:
    """Let the relays of this process look now."""
    for relay in tuple(_relays):
        relay.wake()


def run(relay: Relay) -> None:
    """Relay in this thread until ``relay`` is stopped."""
    _relays.add(relay)
    try:
        relay.run()
    finally:
        _relays.discard(relay)


def start(queue: OutboxQueue) -> None:
    """Relay in a thread, unless one does already."""
    global _beside
    if _beside is not None and _beside[1].is_alive():
        return
    relay = Relay(queue)
    thread = threading.Thread(
        target=_run_and_close, args=(relay,), name="broadcasting-relay", daemon=True
    )
    _beside = relay, thread
    thread.start()


def stop(timeout: float) -> None:
    """Let that thread finish what it is at, for ``timeout`` seconds at most.

    What it has not handed on by then is another relay's once its lease ends.
    """
    global _beside
    if _beside is None:
        return
    relay, thread = _beside
    _beside = None
    relay.stop()
    thread.join(timeout)


def _run_and_close(relay: Relay) -> None:
    try:
        run(relay)
    finally:
        connections.close_all()


def _forget() -> None:
    global _beside
    _relays.clear()
    _beside = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
