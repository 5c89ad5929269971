"""Calls of one event loop to the store: in the order in which they were made, many in one go.

Whatever is called in one turn of the loop leaves as one pipeline, and the next one waits for its
answers, so that nothing is overtaken. Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError

from broadcasting.exceptions import RegistryUnavailable
from broadcasting.outage import Outage
from broadcasting.redis_clients import RedisClients
from broadcasting.registry.redis_scripts import SCRIPT, SHA

AT_ONCE = 1000
"""Calls in one pipeline; a server keeps all answers of one until they are read."""

Word = bytes | str | int
Words = tuple[Word, ...]


@dataclass(slots=True, eq=False)
class _Call:
    words: Words
    answer: asyncio.Future[Any]


class RedisCalls:
    """``timeout``: seconds that one pipeline may take; a call waits for two of them at most."""

    def __init__(self, clients: RedisClients, outage: Outage, timeout: float) -> None:
        self.failures = 0
        """How often answers failed to come. What was called may have happened all the same."""

        self._clients = clients
        self._outage = outage
        self._timeout = timeout
        self._waiting: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None
        self._is_known = False
        """Whether the server knows the script, as far as one can tell."""

    def run(self, base: str, name: str, *words: Word) -> asyncio.Future[Any]:
        """Call a function of the script. Raises RegistryUnavailable, at once during an outage."""
        return self.command("EVALSHA", SHA, 1, _bytes(base), name, *words)

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Send a command of the server's own. See run()."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._outage.allows():
            answer.set_exception(RegistryUnavailable("The registry did not answer the last time"))
            return answer
        self._waiting.append(_Call(words, answer))
        if self._sending is None:
            self._sending = loop.create_task(self._send())
        return answer

    async def close(self) -> None:
        """Wait for what was called, then let the connections of this loop go."""
        if self._sending is not None:
            await asyncio.wait({self._sending})
        await self._clients.aclose()

    async def _send(self) -> None:
        try:
            while self._waiting:
                calls, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                await self._send_some(calls)
        finally:
            self._sending = None
            for call in self._waiting:  # of a loop that ends
                call.answer.cancel()
            self._waiting.clear()

    async def _send_some(self, calls: list[_Call]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                answers = await self._answers([call.words for call in calls])
        except Exception as error:  # clients raise what they like
            self._is_known = False
            self.failures += 1
            self._outage.failed(error)
            # Nor would those who wait behind get an answer.
            calls += self._waiting
            self._waiting.clear()
            for call in calls:
                _settle(call.answer, error)
        except BaseException:
            for call in calls:
                call.answer.cancel()
            raise
        else:
            self._outage.succeeded()
            for call, answer in zip(calls, answers, strict=True):
                _settle(call.answer, answer)

    async def _answers(self, every: list[Words]) -> list[Any]:
        async with self._clients.lend() as client:
            if not self._is_known:
                await client.script_load(SCRIPT)
                self._is_known = True
            answers = await _pipelined(client, every)
            lost = [number for number, said in enumerate(answers) if _is_unknown(said)]
            if lost:
                await client.script_load(SCRIPT)
                again = await _pipelined(client, [every[number] for number in lost])
                for number, said in zip(lost, again, strict=True):
                    answers[number] = said
            return answers


async def _pipelined(client: Any, every: list[Words]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for words in every:
        pipeline.execute_command(*words)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


def _is_unknown(said: Any) -> bool:
    return isinstance(said, NoScriptError)


def _settle(answer: asyncio.Future[Any], said: Any) -> None:
    if answer.done():  # its caller gave it up
        return
    if not isinstance(said, Exception):
        answer.set_result(said)
        return
    problem = RegistryUnavailable(f"The registry failed: {str(said) or type(said).__name__}")
    problem.__cause__ = said
    answer.set_exception(problem)


def _bytes(text: str) -> bytes:
    # User ids may hold half of a character.
    return text.encode(errors="surrogatepass")
