"""The members of presence channels, as this node's sockets were told of them.

With a registry that nodes share, members come and go elsewhere too, and what is said of it may
be late, in the wrong order or lost. So each node keeps the members of every presence channel
that it has sockets in, at a revision: newcomers are told these, and the others every step from
one revision to the next. A step that is missing is waited for a little; then the registry is
asked, and what differs is told. Whatever happens, no socket misses anybody for long or keeps a
ghost.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from broadcasting.backplanes import control
from broadcasting.backplanes.control import Members
from broadcasting.exceptions import RegistryUnavailable
from broadcasting.protocol import messages
from broadcasting.protocol.roster import Roster
from broadcasting.registry import Enlisted, Joined, Left
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Topic

if TYPE_CHECKING:
    from broadcasting.server.node import Node

logger = logging.getLogger("broadcasting.server")

PATIENCE = 0.25
"""Seconds that a step may be late before the registry is asked."""


class _Kept:
    """One channel."""

    __slots__ = (
        "ahead",
        "asking",
        "holders",
        "known",
        "missing",
        "roster",
        "seen",
        "settling",
        "timer",
        "waiting",
        "went_back",
    )

    def __init__(self) -> None:
        self.holders = 0
        self.roster: Roster | None = None
        self.ahead: dict[int, Members] = {}
        """Steps that came too early, by the revision that they start from."""

        self.waiting: list[tuple[int, asyncio.Future[None]]] = []
        """Who needs which revision."""

        self.asking: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.missing: dict[str, float] = {}
        """Members whom the registry does not know any more, though nobody said that they went;
        and when they count as gone."""

        self.settling: asyncio.TimerHandle | None = None
        self.known = 0
        """The revision of this node at the last look; the registry has had it, too."""

        self.went_back = False
        """Whether the registry is at an earlier one now: its store has lost something."""

        self.seen = 0
        """The revision that the registry had when this node was behind it, at the last look."""


class Rosters:
    """What is kept, for as long as there are sockets."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._kept: dict[Topic, _Kept] = {}
        registry = node.registry
        self._grace = registry.heartbeat if isinstance(registry, Enlisted) else 0.0

    def hold(self, topic: Topic) -> None:
        """Keep the members of ``topic``: it has one more socket here."""
        kept = self._kept.get(topic)
        if kept is None:
            kept = self._kept[topic] = _Kept()
        kept.holders += 1

    def release(self, topic: Topic) -> None:
        """It has one less."""
        kept = self._kept.get(topic)
        if kept is None:
            return
        kept.holders -= 1
        if not kept.holders:
            self._forget(topic, kept)

    def joined(self, topic: Topic, user_id: str, user_info: object, joined: Joined) -> None:
        """Take in what a join that was decided for this node changed, and pass it on."""
        if joined.revision != joined.previous:
            self._change(topic, user_id, user_info, joined)

    def left(self, topic: Topic, user_id: str, left: Left) -> None:
        """The same of a leave."""
        if left.last_of_user:
            self._publish(
                topic,
                Members(
                    revision=left.revision, previous=left.previous, user_id=user_id, here=False
                ),
            )
        elif left.revision != left.previous:
            self._change(topic, user_id, left.shown, left)

    def hear(self, topic: Topic, step: Members) -> None:
        """Take in what another node, or this one, decided."""
        kept = self._kept.get(topic)
        if kept is None:
            return
        roster = kept.roster
        if roster is None or step.previous != roster.revision:
            if roster is None or step.revision > roster.revision:
                kept.ahead[step.previous] = step
                self._be_patient(topic, kept)
            return
        self._take(topic, kept, roster, step)
        self._catch_up(topic, kept, roster)

    async def reach(self, topic: Topic, revision: int) -> Roster:
        """Return the members once they are known at ``revision`` or later.

        The answer is the node's own: it must be used before anything is waited for.
        Raises RegistryUnavailable.
        """
        kept = self._kept.get(topic)
        if kept is None:  # whoever asked has left meanwhile, and hears no answer
            return Roster(topic[1])
        if kept.roster is None or kept.roster.revision < revision:
            reached = self._node.loop.create_future()
            kept.waiting.append((revision, reached))
            if kept.roster is None:
                self._ask(topic, kept)
            else:
                self._be_patient(topic, kept)
            await reached
        return kept.roster or Roster(topic[1])

    def topics(self) -> tuple[Topic, ...]:
        """Return what is kept."""
        return tuple(self._kept)

    def compare(self, topic: Topic, revision: int) -> None:
        """Ask the registry if it was at another revision already when it was last looked at."""
        kept = self._kept.get(topic)
        if kept is None or kept.roster is None:
            return
        known, kept.known = kept.known, kept.roster.revision
        if revision < known:
            kept.went_back = True
            self._ask(topic, kept)
        if kept.roster.revision == revision:
            return
        if kept.seen and kept.roster.revision < kept.seen:
            self._ask(topic, kept)
        # Steps to this revision may be on their way; they have until the next look.
        kept.seen = revision

    def doubt(self) -> None:
        """Steps may have been lost: ask at once where this node is behind, at the next look."""
        for kept in self._kept.values():
            if kept.roster is not None:
                kept.seen = kept.roster.revision + 1

    def close(self) -> None:
        """Keep nothing any more."""
        for topic, kept in tuple(self._kept.items()):
            self._forget(topic, kept)

    def _change(self, topic: Topic, user_id: str, user_info: object, change: Joined | Left) -> None:
        step = Members(
            revision=change.revision,
            previous=change.previous,
            user_id=user_id,
            here=True,
            user_info=messages.encode(user_info),
        )
        self._publish(topic, step)

    def _publish(self, topic: Topic, step: Members) -> None:
        self.hear(topic, step)
        self._node.post.send(control.envelope(topic[0], step, topic[1]))

    def _take(self, topic: Topic, kept: _Kept, roster: Roster, step: Members) -> None:
        """Go one step further."""
        roster.revision = step.revision
        kept.missing.pop(step.user_id, None)
        if step.here:
            info = json.loads(step.user_info)
            is_new = step.user_id not in roster
            roster.put(step.user_id, info)
            if is_new:
                self._tell(topic, messages.member_added(topic[1], step.user_id, info))
        elif step.user_id in roster:
            roster.drop(step.user_id)
            self._tell(topic, messages.member_removed(topic[1], step.user_id))

    def _catch_up(self, topic: Topic, kept: _Kept, roster: Roster) -> None:
        """Take the steps that came early and fit now; wake those who wait for them."""
        while (step := kept.ahead.pop(roster.revision, None)) is not None:
            if step.revision <= roster.revision:  # nobody may send us in circles
                continue
            self._take(topic, kept, roster, step)
        if kept.ahead:
            kept.ahead = {p: s for p, s in kept.ahead.items() if s.revision > roster.revision}
        still = []
        for revision, reached in kept.waiting:
            if revision <= roster.revision:
                if not reached.done():
                    reached.set_result(None)
            else:
                still.append((revision, reached))
        kept.waiting = still
        if kept.timer is not None and not kept.ahead and not still:
            kept.timer.cancel()
            kept.timer = None

    def _tell(self, topic: Topic, text: str) -> None:
        if self._node.hub.count(topic):
            self._node.hub.send(topic, Frame(text))

    def _be_patient(self, topic: Topic, kept: _Kept) -> None:
        if kept.timer is None and kept.asking is None:
            kept.timer = self._node.loop.call_later(PATIENCE, self._lose_patience, topic, kept)

    def _lose_patience(self, topic: Topic, kept: _Kept) -> None:
        kept.timer = None
        if self._kept.get(topic) is kept:
            self._ask(topic, kept)

    def _ask(self, topic: Topic, kept: _Kept) -> None:
        if kept.asking is None:
            kept.asking = self._node.loop.create_task(self._fetch(topic, kept))

    async def _fetch(self, topic: Topic, kept: _Kept) -> None:
        try:
            fetched = await self._node.registry.roster(*topic)
        except Exception as problem:  # each of those who wait has to know
            if not isinstance(problem, RegistryUnavailable):
                logger.exception("The members of a channel cannot be read")
            waiting, kept.waiting = kept.waiting, []
            for _, reached in waiting:
                if not reached.done():
                    reached.set_exception(problem)
            self._settle_later(topic, kept, self._node.now() + self._grace)
            return
        finally:
            kept.asking = None
        if self._kept.get(topic) is kept:
            self._adopt(topic, kept, fetched)

    def _adopt(self, topic: Topic, kept: _Kept, fetched: Roster) -> None:
        """Go to where the registry was a moment ago, unless this node is further by now."""
        roster = kept.roster
        if roster is None:
            kept.roster = roster = fetched
        elif fetched.revision >= roster.revision or kept.went_back:
            kept.went_back, kept.known = False, 0
            self._mend(topic, kept, roster, fetched)
            kept.roster = roster = fetched
        self._catch_up(topic, kept, roster)
        if kept.ahead or kept.waiting:
            self._be_patient(topic, kept)
        self._settle_later(topic, kept, min(kept.missing.values(), default=0.0))

    def _mend(self, topic: Topic, kept: _Kept, known: Roster, fetched: Roster) -> None:
        """Tell how ``fetched`` differs from what is known here.

        Who is missing has as long as a node takes to enter its sockets anew: the registry may
        have been emptied, and then nobody went.
        """
        now, missing = self._node.now(), kept.missing
        kept.missing = {}
        self._node.counters.rosters_mended += fetched.revision > known.revision
        for user_id in known:
            if user_id in fetched:
                continue
            until = missing.get(user_id, now + self._grace)
            if until > now:
                kept.missing[user_id] = until
                fetched.put(user_id, known.info(user_id))
            else:
                self._tell(topic, messages.member_removed(topic[1], user_id))
        for user_id in fetched:
            if user_id not in known:
                info = fetched.info(user_id)
                self._tell(topic, messages.member_added(topic[1], user_id, info))

    def _settle_later(self, topic: Topic, kept: _Kept, when: float) -> None:
        """Ask once more at ``when`` if members are missing: nothing else would take them out."""
        if kept.missing and kept.settling is None and self._kept.get(topic) is kept:
            kept.settling = self._node.loop.call_at(when, self._settle, topic, kept)

    def _settle(self, topic: Topic, kept: _Kept) -> None:
        kept.settling = None
        if self._kept.get(topic) is kept:
            self._ask(topic, kept)

    def _forget(self, topic: Topic, kept: _Kept) -> None:
        del self._kept[topic]
        for timer in (kept.timer, kept.settling):
            if timer is not None:
                timer.cancel()
        if kept.asking is not None:
            kept.asking.cancel()
        for _, reached in kept.waiting:
            if not reached.done():
                reached.set_result(None)
