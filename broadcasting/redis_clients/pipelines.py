"""Commands of one event loop, in the order in which they were given, many in one go.

Whatever is given in one turn of the loop leaves as one pipeline, and the next one waits for its
answers, so that nothing is overtaken, and one connection is enough for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

AT_ONCE = 1000
"""Commands in one pipeline, unless it is said how many; a server keeps all answers of one until
they are read."""

Word = bytes | str | int
Words = tuple[Word, ...]


@dataclass(slots=True, eq=False)
class _Call:
    words: Words
    answer: asyncio.Future[Any]


class Pipelines:
    """Made for one event loop."""

    def __init__(
        self,
        send: Callable[[list[Words]], Awaitable[list[Any]]],
        *,
        at_once: int = AT_ONCE,
        each_by_itself: bool = False,
    ) -> None:
        """``send`` returns an answer for each command, exceptions among them.

        Where it raises one instead, everybody gets that, those who wait behind as well, since
        they would get no answer either. ``each_by_itself``: these are sent all the same, since
        each caller waits as long as it likes; and what one has given up before it could leave
        does not leave.
        """
        self._send = send
        self._at_once = at_once
        self._each_by_itself = each_by_itself
        self._waiting: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Give one command; return what its answer, or its exception, will be."""
        loop = asyncio.get_running_loop()
        call = _Call(words, loop.create_future())
        self._waiting.append(call)
        # One that was cancelled before it began has tidied nothing up.
        if self._sending is None or self._sending.done():
            self._sending = loop.create_task(self._send_all())
        return call.answer

    async def settled(self) -> None:
        """Wait for the answers to all that was given."""
        if self._sending is not None:
            await asyncio.wait({self._sending})

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                some = self._at_once
                calls, self._waiting = self._waiting[:some], self._waiting[some:]
                if self._each_by_itself:
                    calls = [call for call in calls if not call.answer.done()]
                if calls:
                    await self._send_some(calls)
        finally:
            self._sending = None
            for call in self._waiting:  # of a loop that ends
                call.answer.cancel()
            self._waiting.clear()

    async def _send_some(self, calls: list[_Call]) -> None:
        try:
            answers = await self._send([call.words for call in calls])
        except Exception as error:  # clients raise what they like
            if not self._each_by_itself:
                calls += self._waiting
                self._waiting.clear()
            for call in calls:
                _settle(call.answer, error)
        except BaseException:
            for call in calls:
                call.answer.cancel()
            raise
        else:
            for call, answer in zip(calls, answers, strict=True):
                _settle(call.answer, answer)


async def pipelined(client: Any, every: list[Words]) -> list[Any]:
    """Send ``every`` command in one pipeline; return the answers, exceptions among them."""
    pipeline = client.pipeline(transaction=False)
    for words in every:
        pipeline.execute_command(*words)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


def _settle(answer: asyncio.Future[Any], said: Any) -> None:
    if answer.done():  # its caller gave it up
        return
    if isinstance(said, Exception):
        answer.set_exception(said)
    else:
        answer.set_result(said)
