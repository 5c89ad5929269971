"""The embedded backplane: the nodes of this very process, reached from any thread.

An envelope published off the node's event loop is handed to that loop; on it, it is
delivered at once. Nothing crosses to another process, and publishing where no node
lives raises instead of losing the event in silence.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from broadcasting.backplanes.base import BaseBackplane, GapEnded, Receiver, Subscription
from broadcasting.backplanes.envelope import Envelope
from broadcasting.exceptions import NoServerHere
from broadcasting.forking import ForkSafeLock

CURES = (
    "The 'local' backplane reaches only sockets held by the same process, and this process"
    " holds none. Either let events cross processes with the backplane 'redis' or"
    " 'channel_layer', or publish over HTTP to the server's own API with the broadcaster"
    " 'pusher'."
)


class LocalBackplane(BaseBackplane):
    """Thread-safe delivery to the nodes of this process."""

    known_options: ClassVar[frozenset[str] | None] = frozenset()
    crosses_processes: ClassVar[bool] = False
    waits: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._lock = ForkSafeLock()
        self._nodes: tuple[LocalSubscription, ...] = ()
        self._expecting = False

    def expect_node(self) -> None:
        """Note that this process routes sockets, though none may have come yet.

        Until the first one does there is no node, and an event has nobody to reach: that
        is silence, not a mistake.
        """
        self._expecting = True

    def publish(self, envelope: Envelope) -> None:
        nodes = self._nodes
        delivered = False
        for node in nodes:
            delivered = node.hand_over(envelope) or delivered
        if not delivered and not self._expecting:
            raise NoServerHere(CURES)

    async def apublish(self, envelope: Envelope) -> None:
        self.publish(envelope)  # never blocks

    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> LocalSubscription:
        node = LocalSubscription(self, receive, asyncio.get_running_loop())
        with self._lock:
            # A loop that was closed under its node (tests do) leaves nothing to reach.
            alive = tuple(n for n in self._nodes if not n.loop.is_closed())
            self._nodes = (*alive, node)
        return node

    def disconnect(self, node: LocalSubscription) -> None:
        """Forget ``node``; see LocalSubscription.close()."""
        with self._lock:
            self._nodes = tuple(n for n in self._nodes if n is not node)


class LocalSubscription(Subscription):
    """A node of this process. It gets every envelope; its hub knows who listens."""

    selective: ClassVar[bool] = False

    def __init__(
        self, backplane: LocalBackplane, receive: Receiver, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop = loop
        self._backplane = backplane
        self._receive = receive
        self._pid = os.getpid()

    def hand_over(self, envelope: Envelope) -> bool:
        """Deliver on the node's loop, from any thread; False if that loop is gone."""
        if os.getpid() != self._pid:  # a fork's copy of the loop, which nobody runs
            return False
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:  # a thread without a loop
            here = False
        if here:
            self._receive(envelope)
            return True
        try:
            self.loop.call_soon_threadsafe(self._receive, envelope)
        except RuntimeError:  # closed between our look and the call
            return False
        return True

    async def join(self, app_id: str, channel: str) -> None:
        """Nothing to do: every envelope of the process comes here anyway."""

    async def leave(self, app_id: str, channel: str) -> None:
        """See join()."""

    async def close(self) -> None:
        self._backplane.disconnect(self)
