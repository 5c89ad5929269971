"""A node's end of the registry in Redis: what it enters lives as long as its lease."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from broadcasting.conf import get_settings
from broadcasting.exceptions import LeaseLost
from broadcasting.outage import Outage
from broadcasting.protocol.errors import OverCapacity, PresenceFull
from broadcasting.protocol.messages import write_json
from broadcasting.protocol.protocol import Member
from broadcasting.redis_clients import RedisClients, Word
from broadcasting.registry.base import Departure, Enlisted, Joined, Left, Swept
from broadcasting.registry.redis_calls import RedisCalls
from broadcasting.registry.redis_options import RedisOptions
from broadcasting.registry.redis_reads import RedisReads, packed, unpacked

SWEPT_AT_ONCE = 200
"""Entries of dead nodes that are undone in one step of the store."""

APPLICATIONS_AT_ONCE = 50
"""Applications that are looked after in one pipeline."""

DEPARTED_AT_ONCE = 500

LOST, FULL = -1, -2
"""What the script answers instead."""

IN, EMPTY = 1, 2
"""What it answers to who renews a lease."""


class RedisNode(RedisReads, Enlisted):
    """Made by RedisRegistry for the running loop."""

    def __init__(self, options: RedisOptions) -> None:
        # Its own: whoever resigns lets its connections go.
        clients = RedisClients(options.server, options.timeout)
        super().__init__(clients, options.prefix)
        self.heartbeat = options.heartbeat
        self.sweep_interval = options.sweep
        self._outage = Outage("registry", probe_seconds=options.retry_delay)
        self._calls = RedisCalls(clients, self._outage, options.timeout)
        self._lease = round(options.lease * 1000)
        self._grace = round(get_settings().webhooks.grace * 1000)
        # Half a lease without one counts as an outage, so another has to take over before that.
        self._patience = max(1, round(min(options.lease / 4, 2 * options.sweep) * 1000))
        self._global = f"{{{options.prefix}}}:"
        self._next_swept = 0
        self._begin_anew()

    # -- channels ---------------------------------------------------------------------------

    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        words: list[Word] = [packed(channel), socket_id, self._grace]
        words += ["" if max_members is None else max_members, int(member is not None)]
        if member is not None:
            words += [packed(member.user_id), packed(write_json(member.user_info))]
        status, *said = await self._enter(app_id, "join", *words)
        if status == FULL:
            raise PresenceFull(
                f"The channel has its limit of {max_members} members", channel=channel
            )
        _be_in(status)
        self._written[app_id] += 1
        first_socket, first_of_user, count, order, revision, previous, *returned = said
        return Joined(
            first_socket=bool(first_socket),
            first_of_user=bool(first_of_user),
            count=count,
            order=int(order),
            revision=int(revision),
            previous=int(previous),
            channel_returned=bool(returned[0]),
            user_returned=bool(returned[1]),
        )

    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        answer = await self._say(app_id, "leave", packed(channel), socket_id, self._grace)
        self._written[app_id] += answer[0]
        return _left(answer)

    # -- connections and users --------------------------------------------------------------

    async def connect(self, app_id: str, socket_id: str, capacity: int | None = None) -> None:
        most = "" if capacity is None else capacity
        status = await self._enter(app_id, "connect", socket_id, most)
        if status == FULL:
            raise OverCapacity
        _be_in(status)
        self._written[app_id] += 1

    async def disconnect(self, app_id: str, socket_id: str) -> None:
        await self._say(app_id, "disconnect", socket_id)

    async def sign_in(self, app_id: str, user_id: str, socket_id: str) -> bool:
        status = await self._enter(app_id, "sign_in", packed(user_id), socket_id)
        _be_in(status)
        self._written[app_id] += 1
        return bool(status)

    async def sign_out(self, app_id: str, user_id: str, socket_id: str) -> bool:
        return bool(await self._say(app_id, "sign_out", packed(user_id), socket_id))

    # -- the lease --------------------------------------------------------------------------

    async def renew(self) -> bool:
        id_, applications = self._id, tuple(self._entered)
        if self._outage.down:  # one question finds out, not the first of many
            await self._calls.command("ECHO", id_)
        if not applications:
            return True
        # The list may have been flushed, or been tidied up while one of them came.
        noted = self._calls.command("SADD", self._applications, *map(packed, applications))
        _, *answers = await asyncio.gather(noted, *map(self._renew, applications))
        if all(answers):
            return True
        if self._id == id_:
            self._begin_anew()
        return False

    async def _renew(self, app_id: str) -> bool:
        """Renew the lease in one application, or let it go if nobody was there for a while."""
        entered = self._entered
        is_idle = app_id in self._idle
        if is_idle:  # whoever comes from here on begins another lease
            self._idle.discard(app_id)
            entered.discard(app_id)
        counts, written = self._written, self._written[app_id]
        if is_idle:
            counts.pop(app_id)
        status = IN
        try:
            name = "retire" if is_idle else "renew"
            status = await self._say(app_id, name, self._lease, written)
        finally:
            if is_idle and status == IN:  # as well if nobody knows
                entered.add(app_id)
                counts[app_id] += written
        if status == EMPTY and not is_idle:
            self._idle.add(app_id)
        return bool(status)

    async def resign(self) -> None:
        asked = [self._ask(app_id, "resign", self._id) for app_id in self._entered]
        following = self._calls.run(self._global, "follow", self._id)
        try:
            await asyncio.gather(following, *asked)
        finally:
            self._begin_anew()
            await self._calls.close()

    # -- those of others --------------------------------------------------------------------

    async def sweep(self) -> Sequence[Swept]:
        if not await self._leads():
            return ()
        applications = await self._all_applications()
        first, count = self._next_swept, len(applications)
        for start in range(0, count, APPLICATIONS_AT_ONCE):
            some = [
                applications[(first + number) % count]
                for number in range(start, min(count, start + APPLICATIONS_AT_ONCE))
            ]
            found = await self._reap(some)
            if found:  # there may be more of the same
                self._next_swept = (first + start) % count
                return found
        return ()

    async def departures(self) -> Mapping[str, Sequence[Departure]]:
        if not await self._leads():
            return {}
        found: dict[str, Sequence[Departure]] = {}
        applications = await self._all_applications()
        for start in range(0, len(applications), APPLICATIONS_AT_ONCE):
            some = applications[start : start + APPLICATIONS_AT_ONCE]
            asked = [self._ask(app_id, "departed", DEPARTED_AT_ONCE) for app_id in some]
            for app_id, due in zip(some, await asyncio.gather(*asked), strict=True):
                if due:
                    found[app_id] = [_departure(unpacked(what)) for what in due]
        return found

    async def _reap(self, applications: Sequence[str]) -> list[Swept]:
        words = (self._lease, SWEPT_AT_ONCE, self._grace)
        asked = [self._ask(app_id, "reap", *words) for app_id in applications]
        answers = await asyncio.gather(*asked)
        found: list[Swept] = []
        for app_id, (_, is_idle, entries) in zip(applications, answers, strict=True):
            found += [_swept(app_id, *entry) for entry in entries]
            if is_idle:
                await self._forget(app_id)
        return found

    async def _forget(self, app_id: str) -> None:
        """Take an application off the list of those that are looked after."""
        await self._calls.command("SREM", self._applications, packed(app_id))
        _, is_idle, _ = await self._ask(app_id, "reap", self._lease, 0, self._grace)
        if not is_idle:  # somebody came in between
            await self._calls.command("SADD", self._applications, packed(app_id))

    async def _leads(self) -> bool:
        """Whether it is for this node to look after all: for one at a time is enough."""
        answer = await self._calls.run(self._global, "lead", self._id, self._patience)
        return bool(answer)

    async def _all_applications(self) -> list[str]:
        found = await self._calls.command("SMEMBERS", self._applications)
        return sorted(map(unpacked, found))

    # -- calls ------------------------------------------------------------------------------

    @property
    def _applications(self) -> bytes:
        return packed(f"{self._global}apps")

    def _ask(self, app_id: str, name: str, *words: Word) -> asyncio.Future[Any]:
        return self._calls.run(self.base(app_id), name, *words)

    def _command(self, *words: Word) -> asyncio.Future[Any]:
        return self._calls.command(*words)

    def _enter(self, app_id: str, name: str, *words: Word) -> asyncio.Future[Any]:
        """Ask in this node's name; its lease begins with what it says first."""
        if app_id not in self._entered:
            self._enlist(app_id)
        return self._say(app_id, name, *words)

    def _say(self, app_id: str, name: str, *words: Word) -> asyncio.Future[Any]:
        return self._ask(app_id, name, self._id, self._calls.failures, *words)

    def _enlist(self, app_id: str) -> None:
        entered = self._entered
        entered.add(app_id)

        def look(answer: asyncio.Future[Any]) -> None:
            # Then nothing was entered yet, and whoever comes next begins again.
            if answer.cancelled() or answer.exception() is not None:
                entered.discard(app_id)

        self._say(app_id, "enlist", self._lease).add_done_callback(look)
        # Last: what is on the list and has no lease is taken off it.
        self._calls.command("SADD", self._applications, packed(app_id)).add_done_callback(look)

    def _begin_anew(self) -> None:
        self._id = secrets.token_hex(8)
        self._entered: set[str] = set()
        """Applications in which this node has a lease, unless it lost that."""

        self._written: Counter[str] = Counter()
        """What the store said is written, by application."""

        self._idle: set[str] = set()
        """Those of them in which it had nothing when it last renewed its lease."""


def _be_in(status: int) -> None:
    if status == LOST:
        raise LeaseLost("This node did not renew its lease in time")


def _left(answer: Sequence[Any]) -> Left:
    _, last_socket, last_of_user, count, order, revision, previous, *more = answer
    shown = more[0] if more else None
    return Left(
        last_socket=bool(last_socket),
        last_of_user=bool(last_of_user),
        count=count,
        order=int(order),
        revision=int(revision),
        previous=int(previous),
        shown=None if shown is None else json.loads(shown),
    )


def _swept(app_id: str, kind: bytes, socket_id: bytes, name: bytes = b"", more: Any = 0) -> Swept:
    socket = unpacked(socket_id)
    match unpacked(kind):
        case "c":
            return Swept(app_id=app_id, socket_id=socket)
        case "s":
            return Swept(
                app_id=app_id, socket_id=socket, user_id=unpacked(name), went_offline=bool(more)
            )
    user_id = more[-1]
    return Swept(
        app_id=app_id,
        socket_id=socket,
        channel=unpacked(name),
        user_id=None if user_id is None else unpacked(user_id),
        left=_left(more),
    )


def _departure(what: str) -> Departure:
    channel, is_member, user_id = what.partition("\n")
    return Departure(channel=channel, user_id=user_id if is_member else None)
