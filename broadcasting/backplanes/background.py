"""One long-lived event loop per process, in a thread of its own, for sync callers.

Some transports speak only asyncio and tie their connections to a loop; a loop per call
would leak a connection per call. This one is made on first use and again after a fork,
since threads do not survive one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from broadcasting.forking import ForkSafeLock

T = TypeVar("T")


class BackgroundLoop:
    """Run coroutines from threads that have no loop, or must not block theirs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = ForkSafeLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid: int | None = None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin ``coroutine`` on the background loop; the result is a thread-safe future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._ready())

    def start(self) -> None:
        """Make the loop now, for work that may come when the interpreter makes no threads."""
        self._ready()

    def owns(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether ``loop`` is the background loop of this process."""
        return loop is self._loop and self._pid == os.getpid()

    def _ready(self) -> asyncio.AbstractEventLoop:
        if self._loop is not None and self._pid == os.getpid():
            return self._loop
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(
                    target=self._loop.run_forever, name=self._name, daemon=True
                ).start()
            return self._loop


background = BackgroundLoop("broadcasting-background")
