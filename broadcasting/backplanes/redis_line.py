"""One connection to one server, the topics that are heard over it, and who reads them.

It is opened once and ends with its connection; what follows is its owner's business. Without
redis-py's PubSub, which connects again by itself, from two tasks at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from redis.exceptions import ResponseError

from broadcasting.redis_clients import UNREACHABLE

TOPICS_AT_ONCE = 1000
"""Topics that are asked for together on a new connection. A server keeps what it confirms until
it is read, and drops whoever leaves too much of it (32 MB, of all its topics) unread."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a server is asked for topics, and what it calls its answers."""

    join: str
    leave: str
    joined: bytes
    left: bytes
    message: bytes
    refusable: bool
    """Whether a topic may be refused because another server has it by now."""


PLAIN = Words("SUBSCRIBE", "UNSUBSCRIBE", b"subscribe", b"unsubscribe", b"message", False)
SHARDED = Words("SSUBSCRIBE", "SUNSUBSCRIBE", b"ssubscribe", b"sunsubscribe", b"smessage", True)


class Owner(Protocol):
    """Who is told what comes over a line. Nothing here may wait or raise."""

    def opened(self, line: Line) -> None:
        """All topics that the line was given have been asked for, and answered."""

    def joined(self, line: Line, topic: str) -> None:
        """The server has confirmed ``topic``."""

    def put_out(self, line: Line, topic: str) -> None:
        """The server ended the subscription of ``topic``: another one has it now."""

    def refused(self, error: ResponseError) -> None:
        """A server would not take a topic; redis-py tells which by no means."""

    def took(self, line: Line, topic: str, content: bytes) -> None:
        """Something was published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds."""

    answer: float
    """For whatever a server is asked."""

    silence: float
    """Until it is asked whether it is still there."""


class Line:
    """``is_current``: asked after a silence whether this is still the server to listen to."""

    def __init__(
        self,
        connection: Any,
        words: Words,
        patience: Patience,
        owner: Owner,
        is_current: Callable[[Any], Awaitable[bool]],
    ) -> None:
        self.topics: set[str] = set()
        """What is to be heard here."""

        self.confirmed: set[str] = set()
        """What the server sends, as far as it has said; of what nobody wants any more, too."""

        self._leaves: dict[str, int] = {}
        """By topic, how often it was left without an answer yet: what is confirmed before the
        answer is out of date, and the answer is no news."""

        self.is_open = False
        self._connection = connection
        self._words = words
        self._patience = patience
        self._owner = owner
        self._is_current = is_current
        self._commanding = asyncio.Lock()

    async def run(self) -> None:
        """Connect, ask for the topics, and read. Ends by raising what the connection did."""
        try:
            async with asyncio.timeout(self._patience.answer):
                await self._connection.connect()
            await self._ask_for_all()
            self.is_open = True
            self._owner.opened(self)
            while True:
                await self._take_one()
        finally:
            self.is_open = False
            async with self._commanding:
                with contextlib.suppress(*UNREACHABLE):
                    await self._connection.disconnect()

    async def ask(self, topics: Iterable[str]) -> None:
        """Ask for more ``topics`` on an open line; run() reads the answers."""
        await self._send(self._words.join, topics)

    async def drop(self, topic: str) -> None:
        """End the subscription of ``topic``."""
        await self._send(self._words.leave, [topic])

    async def _ask_for_all(self) -> None:
        asked: set[str] = set()
        # Some may be added, or left, while others are asked for.
        while (new := self.topics - asked) or self.confirmed - self.topics:
            topics = list(new)
            for start in range(0, len(topics), TOPICS_AT_ONCE):
                some = [t for t in topics[start : start + TOPICS_AT_ONCE] if t in self.topics]
                asked.update(some)
                async with asyncio.timeout(self._patience.answer):
                    await self._send(self._words.join, some)
                answers = 0
                while answers < len(some):
                    answers += await self._take_one() in (self._words.joined, None)
            gone = self.confirmed - self.topics
            asked -= gone
            async with asyncio.timeout(self._patience.answer):
                await self._send(self._words.leave, gone)

    async def _send(self, word: str, topics: Iterable[str]) -> None:
        # One command for each: those of a Cluster may not mix slots.
        commands = [(word, topic) for topic in topics]
        async with self._commanding:
            # A command to a connection that is closed would open another one.
            if not self._connection.is_connected:
                raise ConnectionError("the connection was lost")
            if commands:
                if word == self._words.leave:
                    for _, topic in commands:
                        self.confirmed.discard(topic)
                        self._leaves[topic] = self._leaves.get(topic, 0) + 1
                packed = self._connection.pack_commands(commands)
                await self._connection.send_packed_command(packed, check_health=False)

    async def _take_one(self) -> bytes | None:
        """Take what the server says next, and return the kind of it; None: it refused."""
        answer = await self._answer(self._patience.silence)
        if answer is None:
            await self._ask_whether_there()
            answer = await self._answer(self._patience.answer)
        if answer is None:
            raise TimeoutError("the server is silent")
        if isinstance(answer, ResponseError):
            self._leaves.clear()  # one of them may never be answered
            self._owner.refused(answer)
            return None
        if answer == b"PONG":  # in so few words, if nothing is subscribed to
            return b"pong"
        kind, topic, *content = answer
        self._take(kind, topic, *content)
        return bytes(kind)

    async def _answer(self, seconds: float) -> Any:
        try:
            return await self._connection.read_response(timeout=seconds, disconnect_on_error=False)
        except ResponseError as error:
            if not self._words.refusable:
                raise
            return error

    async def _ask_whether_there(self) -> None:
        async with asyncio.timeout(self._patience.answer):
            if not await self._is_current(self._connection):
                raise ConnectionError("another server has taken over")
            async with self._commanding:
                if not self._connection.is_connected:
                    raise ConnectionError("the connection was lost")
                await self._connection.send_command("PING", check_health=False)

    def _take(self, kind: bytes, topic: bytes, content: object = None) -> None:
        if kind == self._words.message:
            if isinstance(content, bytes):
                self._owner.took(self, topic.decode(), content)
        elif kind == self._words.joined:
            self._take_joined(topic.decode())
        elif kind == self._words.left:
            self._take_left(topic.decode())

    def _take_joined(self, topic: str) -> None:
        if topic not in self._leaves:
            self.confirmed.add(topic)
            self._owner.joined(self, topic)

    def _take_left(self, topic: str) -> None:
        waiting = self._leaves.pop(topic, 0)
        if waiting == 0:
            self.confirmed.discard(topic)
            self._owner.put_out(self, topic)
        elif waiting > 1:
            self._leaves[topic] = waiting - 1
