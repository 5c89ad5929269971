"""What newcomers of presence channels are told: who is there, at the moment they begin to hear.

A socket gets the members and joins the hub in one step, in which nothing else happens. Whoever
came before that step is in the answer, and whoever comes or goes after it is told of by the hub,
so nobody is missed or told of twice, whatever else is under way. That step need not be the one
in which the socket became a member: of a large channel, all who come in one turn of the loop get
one answer at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from broadcasting.exceptions import LeaseLost
from broadcasting.protocol.roster import Roster
from broadcasting.registry import Joined
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Topic

if TYPE_CHECKING:
    from broadcasting.server.node import Node

LARGE = 16
"""Sockets in a channel above which newcomers wait for one another until the turn ends. With
fewer, an answer for each costs less than the waiting."""


class _Newcomer:
    """A socket that has to be told."""

    __slots__ = ("connection", "revision", "told", "topic")

    def __init__(
        self,
        topic: Topic,
        connection: Connection,
        revision: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.topic = topic
        self.connection = connection
        self.revision = revision
        """See Joined: what it is told must not be older."""

        self.told: asyncio.Future[str | None] = loop.create_future()
        """See Snapshots.tell(). Once it is done, however that was, nothing is told any more."""


class Snapshots:
    """Answers subscriptions to presence channels."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._frames: dict[Topic, tuple[str, Frame]] = {}
        """What was told last, for as long as it may be told again."""

        self._newcomers: dict[Connection, _Newcomer] = {}
        self._groups: dict[Topic, list[_Newcomer]] = {}
        """Who will be told when this turn of the loop ends."""

        self._asking: set[asyncio.Task[None]] = set()

    async def tell(self, topic: Topic, connection: Connection, joined: Joined) -> str | None:
        """Answer a member, who hears the channel from then on.

        Return the envelope that had passed by then, "" if none had; or None, with nothing said,
        if the socket was taken out before. Raises what the registry raises.
        """
        if joined.count <= LARGE and not self._node.registry.waits:
            roster = await self._node.registry.roster(*topic)
            self._answer(topic, (connection,), roster)
            return self._node.replays.passed(topic) or ""
        newcomer = _Newcomer(topic, connection, joined.revision, self._node.loop)
        # A socket asks for one thing after the other, so it waits for one answer at most.
        self._newcomers[connection] = newcomer
        group = self._groups.get(topic)
        if group is None:
            group = self._groups[topic] = []
            self._node.loop.call_soon(self._end_turn, topic)
        group.append(newcomer)
        try:
            return await newcomer.told
        finally:
            del self._newcomers[connection]

    def leave(self, topic: Topic, connection: Connection) -> None:
        """Tell ``connection`` nothing of ``topic``, if it still waits for that."""
        newcomer = self._newcomers.get(connection)
        if newcomer is not None and newcomer.topic == topic and not newcomer.told.done():
            newcomer.told.set_result(None)

    def forget(self, topic: Topic) -> None:
        """What was told last will not be told again: members changed, or the channel is empty."""
        self._frames.pop(topic, None)

    def _end_turn(self, topic: Topic) -> None:
        asking = self._ask(topic, self._groups.pop(topic))
        if not self._node.registry.waits:
            with contextlib.suppress(StopIteration):
                asking.send(None)
            asking.close()
            return
        task = self._node.loop.create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, topic: Topic, group: Sequence[_Newcomer]) -> None:
        node = self._node
        try:
            if node.is_shared:
                roster = await node.rosters.reach(topic, max(one.revision for one in group))
            else:
                roster = await node.registry.roster(*topic)
        except Exception as problem:  # each of them has to know
            for newcomer in group:
                if not newcomer.told.done():
                    newcomer.told.set_exception(problem)
            return
        if node.is_shared:
            self._refuse_lost(topic, group, roster)
        waiting = [newcomer for newcomer in group if not newcomer.told.done()]
        self._answer(topic, [newcomer.connection for newcomer in waiting], roster)
        passed = self._node.replays.passed(topic) or ""
        for newcomer in waiting:
            newcomer.told.set_result(passed)

    def _refuse_lost(self, topic: Topic, group: Sequence[_Newcomer], roster: Roster) -> None:
        """Fail those who are not among the members: the lease under which they came was lost.

        Clients find themselves in the answer, or never.
        """
        for newcomer in group:
            member = newcomer.connection.protocol.subscriptions.get(topic[1])
            if member is not None and member.user_id not in roster and not newcomer.told.done():
                newcomer.told.set_exception(LeaseLost("The node stood still for too long"))

    def _answer(self, topic: Topic, connections: Sequence[Connection], roster: Roster) -> None:
        """The step: see above."""
        if not connections:
            return
        frame, hub = self._frame(topic, roster), self._node.hub
        for connection in connections:
            # Out first: what waits for one that is in must come before the answer.
            hub.leave(topic, connection)
            hub.join(topic, connection)
            connection.reply(frame)

    def _frame(self, topic: Topic, roster: Roster) -> Frame:
        told = self._frames.get(topic)
        if told is None or told[0] is not roster.answer:
            told = self._frames[topic] = (roster.answer, Frame(roster.answer))
        return told[1]
