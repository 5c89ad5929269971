"""Calls of one event loop to the store: in the order in which they were made, many in one go.

Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import NoScriptError

from broadcasting.exceptions import RegistryUnavailable
from broadcasting.outage import Outage
from broadcasting.redis_clients import Pipelines, RedisClients, Word, Words, pipelined
from broadcasting.registry.redis_scripts import SCRIPT, SHA


class RedisCalls:
    """``timeout``: seconds that one pipeline may take; a call waits for two of them at most."""

    def __init__(self, clients: RedisClients, outage: Outage, timeout: float) -> None:
        self.failures = 0
        """How often answers failed to come. What was called may have happened all the same."""

        self._clients = clients
        self._outage = outage
        self._timeout = timeout
        self._pipelines = Pipelines(self._send)
        self._is_known = False
        """Whether the server knows the script, as far as one can tell."""

    def run(self, base: str, name: str, *words: Word) -> asyncio.Future[Any]:
        """Call a function of the script. Raises RegistryUnavailable, at once during an outage."""
        return self.command("EVALSHA", SHA, 1, _bytes(base), name, *words)

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Send a command of the server's own. See run()."""
        if self._outage.allows():
            return self._pipelines.command(*words)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_exception(RegistryUnavailable("The registry did not answer the last time"))
        return answer

    async def close(self) -> None:
        """Wait for what was called, then let the connections of this loop go."""
        await self._pipelines.settled()
        await self._clients.aclose()

    async def _send(self, every: list[Words]) -> list[Any]:
        try:
            async with asyncio.timeout(self._timeout):
                answers = await self._answers(every)
        except Exception as error:  # clients raise what they like
            self._is_known = False
            self.failures += 1
            self._outage.failed(error)
            raise _problem(error) from error
        self._outage.succeeded()
        return [_problem(said) if isinstance(said, Exception) else said for said in answers]

    async def _answers(self, every: list[Words]) -> list[Any]:
        async with self._clients.lend() as client:
            if not self._is_known:
                await client.script_load(SCRIPT)
                self._is_known = True
            answers = await pipelined(client, every)
            lost = [number for number, said in enumerate(answers) if _is_unknown(said)]
            if lost:
                await client.script_load(SCRIPT)
                again = await pipelined(client, [every[number] for number in lost])
                for number, said in zip(lost, again, strict=True):
                    answers[number] = said
            return answers


def _is_unknown(said: Any) -> bool:
    return isinstance(said, NoScriptError)


def _problem(said: Exception) -> RegistryUnavailable:
    problem = RegistryUnavailable(f"The registry failed: {str(said) or type(said).__name__}")
    problem.__cause__ = said
    return problem


def _bytes(text: str) -> bytes:
    # User ids may hold half of a character.
    return text.encode(errors="surrogatepass")
