"""A backplane that simulated processes share. What it loses, it loses as a real one would."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from broadcasting.backplanes import BaseBackplane, Envelope
from broadcasting.backplanes.base import GapEnded, Receiver, Subscription
from tests.simulator.links import Links
from tests.simulator.loop import Process, current

Topic = tuple[str, str]


class Broker(BaseBackplane):
    """Order holds from one process to another; who is cut off gets nothing."""

    known_options = frozenset({"links"})

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._links: Links = options["links"]
        self._nodes: dict[Process, End] = {}
        self._due: dict[Process, set[str]] = defaultdict(set)
        """Envelopes that are on their way to a node, or were lost on it."""

    def publish(self, envelope: Envelope) -> None:
        raise NotImplementedError("nobody has threads here")

    async def apublish(self, envelope: Envelope) -> None:
        await self.ask(lambda: self._spread(envelope))

    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> End:
        end = self._nodes[current()] = End(self, current(), receive, on_gap)
        return end

    def mend(self, process: Process) -> None:
        """Let the node of ``process`` be back on the topics that it had joined."""
        self._links.of(process).mend()
        node = self._nodes.get(process)
        if node is not None and node.on_gap is not None:
            self._links.of(process).deliver(node.on_gap)

    def has_missed(self, envelope_id: str, process: Process) -> bool:
        """Whether an envelope was lost on its way to a node; asked when all is quiet."""
        return envelope_id in self._due[process]

    def forget(self, process: Process) -> None:
        """Bring nothing to ``process`` any more."""
        self._nodes.pop(process, None)

    async def ask(self, operation: Callable[[], Any]) -> None:
        """Do ``operation`` at the broker. Raises BackplaneUnavailable."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._links.of(current()).ask(operation, answer)
        await answer

    def _spread(self, envelope: Envelope) -> None:
        for process, node in self._nodes.items():
            if (envelope.app_id, envelope.channel) not in node.topics:
                continue
            self._due[process].add(envelope.id)
            self._links.of(process).deliver(self._bring, node, envelope)

    def _bring(self, node: End, envelope: Envelope) -> None:
        self._due[node.process].discard(envelope.id)
        node.receive(envelope)


class End(Subscription):
    """One node's end."""

    def __init__(
        self, broker: Broker, process: Process, receive: Receiver, on_gap: GapEnded | None
    ) -> None:
        self.topics: set[Topic] = set()
        self.process = process
        self.receive = receive
        self.on_gap = on_gap
        self._broker = broker

    async def join(self, app_id: str, channel: str) -> None:
        await self._broker.ask(lambda: self.topics.add((app_id, channel)))

    async def leave(self, app_id: str, channel: str) -> None:
        await self._broker.ask(lambda: self.topics.discard((app_id, channel)))

    async def close(self) -> None:
        self._broker.forget(self.process)
