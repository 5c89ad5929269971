"""Which topics this node receives: joined on the backplane with the first listener, left with
the last, never twice at once, and never acknowledged before the backplane has it."""

from __future__ import annotations

import asyncio
import logging

from broadcasting.backplanes.base import Subscription
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.server.hub import Topic

logger = logging.getLogger("broadcasting.server")


class _Interest:
    __slots__ = ("doubtful", "failures", "holders", "joined", "leaving", "lock")

    def __init__(self) -> None:
        self.failures = 0
        self.holders = 0
        self.joined = False
        self.leaving = False
        """Whether a task will look if the topic is still wanted."""

        self.doubtful = False
        """Whether a join was cancelled, which the backplane may have done all the same."""

        self.lock = asyncio.Lock()

    @property
    def to_leave(self) -> bool:
        """Whether envelopes may arrive that nobody wants."""
        return self.holders == 0 and (self.joined or self.doubtful)


class Interests:
    """Counted holds on topics of one subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._topics: dict[Topic, _Interest] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def selective(self) -> bool:
        """Whether topics must be joined at all; see Subscription."""
        return self.subscription.selective

    async def hold(self, topic: Topic) -> None:
        """Return once envelopes for ``topic`` arrive here. Raises BackplaneUnavailable."""
        if not self.subscription.selective:
            return
        interest = self._topics.get(topic)
        if interest is None:
            interest = self._topics[topic] = _Interest()
        interest.holders += 1
        if interest.joined and not interest.lock.locked():
            return
        failures = interest.failures
        try:
            async with interest.lock:  # suspends only while another task joins or leaves
                if interest.failures > failures:
                    # Each trying for itself, the last of a crowd would wait for hours.
                    raise BackplaneUnavailable("The topic could not be joined a moment ago")
                if not interest.joined:
                    await self._join(topic, interest)
        except BaseException:
            self._let_go(topic, interest)
            raise

    def release(self, topic: Topic) -> None:
        """Give back one hold; with the last one the topic is left on the backplane, later."""
        if not self.subscription.selective:
            return
        self._let_go(topic, self._topics[topic])

    async def settled(self) -> None:
        """Return once every topic without holds has been left."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _let_go(self, topic: Topic, interest: _Interest) -> None:
        interest.holders -= 1
        if interest.to_leave and not interest.leaving:
            interest.leaving = True
            # Nobody waits for it: a socket that goes may be cancelled, and has more to leave.
            task = asyncio.create_task(self._leave(topic, interest))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        self._forget(topic, interest)

    async def _join(self, topic: Topic, interest: _Interest) -> None:
        try:
            await self.subscription.join(*topic)
        except BackplaneUnavailable:
            interest.failures += 1
            raise
        except BaseException:
            interest.doubtful = True
            raise
        interest.joined = True
        interest.doubtful = False

    async def _leave(self, topic: Topic, interest: _Interest) -> None:
        async with interest.lock:
            interest.leaving = False
            # Meanwhile, somebody may have come.
            if interest.to_leave:
                interest.joined = interest.doubtful = False
                try:
                    await self.subscription.leave(*topic)
                except BackplaneUnavailable as error:
                    # Envelopes that still come find no listener in the hub.
                    logger.warning("Cannot leave a topic: %s", error)
        self._forget(topic, interest)

    def _forget(self, topic: Topic, interest: _Interest) -> None:
        unused = interest.holders == 0 and not interest.joined and not interest.lock.locked()
        # By identity: the topic may have been forgotten and wanted anew meanwhile.
        if unused and not interest.leaving and self._topics.get(topic) is interest:
            del self._topics[topic]
