"""What backplanes share that speak asyncio with a server elsewhere: bounds, and whose loop.

Connections belong to a loop. That of the node has its own; everybody else, sync code
too, goes through the one background loop of the process, since their own may be gone next second.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured

from broadcasting.backplanes.background import background
from broadcasting.backplanes.base import BaseBackplane
from broadcasting.backplanes.envelope import Envelope
from broadcasting.conf import get_settings
from broadcasting.durations import TOO_LONG, is_some_seconds
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.outage import Outage

# A send has its own limit; this much later it is given up, for clients that swallow being
# cancelled and for a loop that is itself stuck.
GRACE = 0.1


PLACE = "BROADCASTING['BACKPLANE']['OPTIONS']"
"""Where the options are, for those who have to change them."""

Carrier = Callable[[], Awaitable[object]]


def seconds(options: Mapping[str, Any], name: str, default: float) -> float:
    """Return an option that is a duration. Raises ImproperlyConfigured."""
    value = options.get(name, default)
    if not is_some_seconds(value) or value >= TOO_LONG:
        raise ImproperlyConfigured(f"{PLACE}[{name!r}] must be a number of seconds above 0")
    return float(value)


class RemoteBackplane(BaseBackplane):
    """Publish within ``PUBLISH_TIMEOUT``, and at once not at all while the server is down."""

    crosses_processes = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.retry_delay = seconds(options, "retry_delay", 1.0)
        """Seconds between attempts to reach a server that is away."""

        self.join_timeout = seconds(options, "join_timeout", 5.0)
        """Seconds that a node waits for a topic before its client is told that it failed."""

        self.unreadable = 0
        """Envelopes that this process could not read: another version, or not ours."""

        self._outage = Outage("backplane", probe_seconds=self.retry_delay)
        self._node_loop: asyncio.AbstractEventLoop | None = None

    @property
    @abstractmethod
    def place(self) -> str:
        """What is at the other end, for error messages; without any secret."""

    @abstractmethod
    def _carrier(self, envelope: Envelope) -> Carrier:
        """Return what sends ``envelope`` from the running loop, raising what it likes."""

    def _outage_of(self, envelope: Envelope) -> Outage:
        """Return what knows whether the server is down that has the channel of ``envelope``."""
        return self._outage

    def publish(self, envelope: Envelope) -> None:
        outage = self._outage_of(envelope)
        self._check(outage)
        timeout = get_settings().publish_timeout
        future = background.submit(self._send(self._carrier(envelope), timeout, outage))
        try:
            future.result(timeout + GRACE)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            self._failed(error, outage)

    async def apublish(self, envelope: Envelope) -> None:
        outage = self._outage_of(envelope)
        self._check(outage)
        timeout = get_settings().publish_timeout
        sending = self._send(self._carrier(envelope), timeout, outage)
        future: asyncio.Future[None]
        if asyncio.get_running_loop() is self._node_loop:
            future = asyncio.ensure_future(sending)
        else:
            future = asyncio.wrap_future(background.submit(sending))
        # Nobody asks a future again that was given up.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({future}, timeout=timeout + GRACE)
        if not future.done():
            future.cancel()
            self._failed(TimeoutError("no answer in time"), outage)
        future.result()

    def _check(self, outage: Outage) -> None:
        if not outage.allows():
            raise BackplaneUnavailable("The backplane did not answer the last time it was tried")

    async def _send(self, carry: Carrier, timeout: float, outage: Outage) -> None:
        try:
            async with asyncio.timeout(timeout):
                await carry()
        except Exception as error:  # each transport raises its own errors
            self._failed(error, outage)
        outage.succeeded()

    def _failed(self, error: BaseException, outage: Outage) -> NoReturn:
        outage.failed(error)
        reason = str(error) or type(error).__name__
        raise BackplaneUnavailable(f"{self.place} failed: {reason}") from error
