"""What a node hears, whichever servers say it: topics, the lines they are on, and gaps.

A topic is on one line at a time, and what another line says of it is not heard: nothing comes
twice while topics move. What is lost is mended by one task, until every topic is confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from broadcasting.backplanes.base import GapEnded, Receiver, Subscription
from broadcasting.backplanes.envelope import UnreadableEnvelope, decode
from broadcasting.backplanes.redis_line import TOPICS_AT_ONCE, Line, Patience
from broadcasting.backplanes.redis_routes import Routes
from broadcasting.ending import end
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.redis_clients import UNREACHABLE

if TYPE_CHECKING:
    from broadcasting.backplanes.redis import RedisBackplane

logger = logging.getLogger("broadcasting.backplane")

MOVED = "topics have moved to another server"


class RedisSubscription(Subscription):
    """One node's lines to the servers, its topics, and the tasks that keep them."""

    def __init__(
        self,
        backplane: RedisBackplane,
        routes: Routes,
        receive: Receiver,
        on_gap: GapEnded | None,
    ) -> None:
        self._backplane = backplane
        self._routes = routes
        self._receive = receive
        self._on_gap = on_gap
        self._patience = Patience(answer=backplane.join_timeout, silence=backplane.idle_timeout)
        self._topics: dict[str, Line | None] = {}
        """Each topic that is to be heard, and the line it is on; None: on none at present."""

        self._lines: dict[str, Line] = {}
        """By the address of the server."""

        self._asked: dict[str, asyncio.Future[None]] = {}
        """Topics whose subscription no server has confirmed yet."""

        self._unheard: set[str] = set()
        """Topics that were lost and are not confirmed again."""

        self._problem: str | None = None
        self._lost_at: float | None = None
        """Since when there is a gap, by the clock of the loop."""

        self._needed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = False
        self._closed = False

    @property
    def problem(self) -> str | None:
        return self._problem

    async def join(self, app_id: str, channel: str) -> None:
        if self._closed:
            raise BackplaneUnavailable("The node has left Redis")
        topic = self._backplane.topic(app_id, channel)
        # From here on a line that is opened asks for it as well.
        self._topics.setdefault(topic, None)
        confirmed = self._asked[topic] = asyncio.get_running_loop().create_future()
        if not self._begun:
            self._begun = True
            self._spawn(self._mend())
        try:
            async with asyncio.timeout(self._backplane.join_timeout):
                await self._place(topic)
                await confirmed
        except UNREACHABLE as error:
            self._forget(topic)
            raise self._unavailable(error) from error
        finally:
            self._asked.pop(topic, None)

    async def leave(self, app_id: str, channel: str) -> None:
        topic = self._backplane.topic(app_id, channel)
        line = self._forget(topic)
        if line is None or not line.is_open:  # which leaves it itself when it is open
            return
        try:
            async with asyncio.timeout(self._backplane.join_timeout):
                await line.drop(topic)
        except UNREACHABLE as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        self._closed = True
        if await end(self._tasks, self._backplane.join_timeout):
            logger.warning("%s: a node leaves, and cannot end what it does", self._backplane.place)
        self._topics.clear()
        self._lines.clear()
        with contextlib.suppress(*UNREACHABLE):
            await self._routes.close()
        await self._backplane.release()

    # What the lines tell: see redis_line.Owner.

    def opened(self, line: Line) -> None:
        self._look_whether_mended()

    def joined(self, line: Line, topic: str) -> None:
        if self._topics.get(topic) is not line:  # it was given up, or moved on, meanwhile
            self._spawn(self._drop(line, topic))
            return
        asked = self._asked.get(topic)
        if asked is not None and not asked.done():
            asked.set_result(None)
        if self._unheard:
            self._unheard.discard(topic)
            self._look_whether_mended()

    def put_out(self, line: Line, topic: str) -> None:
        if self._topics.get(topic) is line:
            self._lose({topic}, MOVED)

    def refused(self, error: ResponseError) -> None:
        # Which one it was is not told: any of those that wait.
        self._unheard |= {topic for topic, asked in self._asked.items() if not asked.done()}
        self._trouble(_reason(error))

    def took(self, line: Line, topic: str, content: bytes) -> None:
        if self._topics.get(topic) is not line:
            return
        try:
            envelope = self._backplane.ours(decode(content))
            if envelope is not None:
                self._receive(envelope)
        except UnreadableEnvelope as error:
            self._backplane.unreadable += 1
            logger.warning("Dropped an envelope that cannot be read: %s", error)
        except Exception:  # the node must go on reading, whatever one envelope did
            logger.exception("An envelope could not be delivered")

    async def _place(self, topic: str) -> None:
        """Ask for ``topic`` where it belongs, or have a line opened that does."""
        line = None
        if self._lines:
            with contextlib.suppress(*UNREACHABLE):
                line = self._lines.get(self._routes.address(topic))
        if line is None:
            self._needed.set()
            return
        self._topics[topic] = line
        line.topics.add(topic)
        if topic in line.confirmed:  # left a moment ago, and not at the server
            self.joined(line, topic)
        elif line.is_open:
            # A line that is lost is followed by one that asks for all topics.
            with contextlib.suppress(*UNREACHABLE):
                await line.ask([topic])

    def _forget(self, topic: str) -> Line | None:
        line = self._topics.pop(topic, None)
        if line is not None:
            line.topics.discard(topic)
        if self._unheard:
            self._unheard.discard(topic)
            self._look_whether_mended()
        return line

    async def _mend(self) -> None:
        """Give every topic the line it belongs on, whenever some are on none."""
        while True:
            await self._needed.wait()
            if self._problem is not None:
                # Not all nodes at the same moment, and all before publishers try again.
                delay = self._backplane.retry_delay
                await asyncio.sleep(delay * random.uniform(0.2, 0.8))  # noqa: S311
            self._needed.clear()
            try:
                async with asyncio.timeout(self._backplane.join_timeout):
                    await self._routes.refresh()
                await self._settle()
            except Exception as error:  # whatever it is, the node must not stay deaf
                self._trouble(_reason(error))

    async def _settle(self) -> None:
        more: dict[Line, list[str]] = {}
        moved: set[str] = set()
        for number, topic in enumerate(tuple(self._topics), 1):
            if number % TOPICS_AT_ONCE == 0:
                await asyncio.sleep(0)  # the sockets are served meanwhile
            if topic not in self._topics:
                continue
            before = self._topics[topic]
            address = self._routes.address(topic)
            line = self._lines.get(address)
            if line is None:
                line = self._open_line(address, topic)
            elif line is before and (not line.is_open or topic in line.confirmed):
                continue
            if before is not None and before is not line:
                if topic in before.confirmed:  # its server has not said so yet
                    moved.add(topic)
                before.topics.discard(topic)
                self._spawn(self._drop(before, topic))
            self._topics[topic] = line
            line.topics.add(topic)
            if line.is_open:
                more.setdefault(line, []).append(topic)
        for line, topics in more.items():
            self._spawn(self._ask(line, topics))
        if moved:
            self._lose(moved, MOVED)
        self._look_whether_mended()

    def _open_line(self, address: str, topic: str) -> Line:
        line = Line(
            self._routes.connection(topic),
            self._routes.words,
            self._patience,
            self,
            self._routes.is_current,
        )
        self._lines[address] = line
        self._spawn(self._run(line, address))
        return line

    async def _run(self, line: Line, address: str) -> None:
        try:
            await line.run()
        except Exception as error:  # nonsense of a server, too, must not make the node deaf
            self._lines.pop(address, None)
            heard = line.confirmed & line.topics
            for topic in line.topics:
                self._topics[topic] = None
            if heard:
                self._lose(heard, _reason(error))
            elif line.topics:
                self._trouble(_reason(error))

    async def _ask(self, line: Line, topics: list[str]) -> None:
        with contextlib.suppress(*UNREACHABLE):
            for start in range(0, len(topics), TOPICS_AT_ONCE):
                await line.ask(topics[start : start + TOPICS_AT_ONCE])

    async def _drop(self, line: Line, topic: str) -> None:
        # Meanwhile, somebody may have joined it again.
        if line.is_open and self._topics.get(topic) is not line:
            with contextlib.suppress(*UNREACHABLE):
                await line.drop(topic)

    def _lose(self, topics: set[str], reason: str) -> None:
        self._unheard |= topics
        if self._lost_at is None:
            self._lost_at = asyncio.get_running_loop().time()
            self.gaps += 1
            self._backplane.gaps += 1
            logger.warning(
                "%s: lost what %s channels are told, trying again: %s",
                self._backplane.place,
                len(topics),
                reason,
            )
        self._trouble(reason)

    def _trouble(self, reason: str) -> None:
        if self._problem is None and self._lost_at is None:
            logger.warning("%s: cannot hear, trying again: %s", self._backplane.place, reason)
        self._problem = reason
        self._needed.set()

    def _look_whether_mended(self) -> None:
        if self._problem is None or self._unheard or self._needed.is_set():
            return
        if not all(line.is_open for line in self._lines.values()):
            return
        self._problem = None
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is None:
            logger.warning("%s: can be heard", self._backplane.place)
            return
        logger.warning(
            "%s: every channel is heard again, after %.1f s in which envelopes may be lost",
            self._backplane.place,
            asyncio.get_running_loop().time() - lost_at,
        )
        if self._on_gap is not None:
            try:
                self._on_gap()
            except Exception:  # it is called where reading goes on
                logger.exception("A node could not be told of the end of a gap")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _unavailable(self, error: BaseException) -> BackplaneUnavailable:
        return BackplaneUnavailable(f"{self._backplane.place} failed: {_reason(error)}")


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
