"""What a shared registry knows, decided in one step for each question; it only needs a clock.

As plain as can be: it is what the real ones are compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from broadcasting.exceptions import LeaseLost
from broadcasting.protocol.errors import OverCapacity, PresenceFull
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster
from broadcasting.registry import Cached, Departure, Joined, Left, Occupancy, Swept

SWEPT_AT_ONCE = 3
"""Few, so that several survivors share what one dead node left."""


@dataclass(slots=True)
class Entry:
    """One socket in one channel."""

    node: str
    member: Member | None


@dataclass(slots=True)
class Application:
    """What is known of one application."""

    order: int = 0
    channels: dict[str, dict[str, Entry]] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    connections: dict[str, str] = field(default_factory=dict)
    """Socket id to node id."""

    signed_in: dict[str, dict[str, str]] = field(default_factory=dict)
    """User id to that user's sockets with their nodes."""

    leaving: dict[tuple[str, str | None], float] = field(default_factory=dict)
    """Who is away, and when that is sure."""

    frames: dict[str, tuple[float, Cached]] = field(default_factory=dict)
    claims: dict[str, float] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is anywhere, or waited for."""
        return not (self.channels or self.connections or self.signed_in or self.leaving)


class Store:
    """The one truth of a cluster."""

    def __init__(self, clock: Callable[[], float], lease: float = 9.0, grace: float = 3.0) -> None:
        """``lease`` and ``grace`` are seconds: of a node's silence, and of a return."""
        self._clock = clock
        self._lease = lease
        self._grace = grace
        self.applications: dict[str, Application] = {}
        self.leases: dict[str, float] = {}
        """Node id to when it may count as dead. Whoever is not in it is."""

        self._looked: float | None = None
        """When somebody looked for dead nodes last."""

        self.decided: Counter[tuple[str, str, str | None]] = Counter()
        """How often what occurred by the store's own word: name, channel, user id."""

    def flush(self) -> None:
        """Forget everything."""
        self.applications.clear()
        self.leases.clear()
        self._looked = None

    def of(self, app_id: str) -> Application:
        """Return what is known of an application."""
        known = self.applications.get(app_id)
        if known is None:
            known = self.applications[app_id] = Application()
        return known

    # -- nodes ------------------------------------------------------------------------------

    def is_alive(self, node: str) -> bool:
        """Whether nobody took note that its lease is over."""
        return node in self.leases

    def renew(self, node: str) -> None:
        """Let the lease of ``node`` run anew."""
        self.leases[node] = self._clock() + self._lease

    def resign(self, node: str) -> None:
        """End it."""
        self.leases.pop(node, None)

    def check(self, node: str) -> None:
        """Raise LeaseLost."""
        if not self.is_alive(node):
            raise LeaseLost("The node's lease has ended")

    # -- channels ---------------------------------------------------------------------------

    def join(
        self,
        node: str,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None,
        max_members: int | None,
    ) -> Joined:
        self.check(node)
        known = self.of(app_id)
        before = _shown(known.channels.get(channel, {}).values())
        is_new = member is not None and member.user_id not in before
        if is_new and max_members is not None and len(before) >= max_members:
            raise PresenceFull(
                f"The channel has its limit of {max_members} members", channel=channel
            )
        entries = known.channels.setdefault(channel, {})
        first_socket = not entries
        entries.pop(socket_id, None)
        entries[socket_id] = Entry(node, member)
        previous, revision = self._changed(known, channel, before)
        if member is None:
            is_new = False
        user_id = None if member is None else member.user_id
        for gone in before.keys() - _shown(entries.values()).keys():
            known.leaving[channel, gone] = self._clock() + self._grace
        channel_returned = first_socket and known.leaving.pop((channel, None), None) is not None
        user_returned = is_new and known.leaving.pop((channel, user_id), None) is not None
        if first_socket and not channel_returned:
            self.decided["channel_occupied", channel, None] += 1
        if is_new and not user_returned:
            self.decided["member_added", channel, user_id] += 1
        return Joined(
            first_socket=first_socket,
            first_of_user=is_new,
            count=len(entries),
            order=known.order,
            revision=revision,
            previous=previous,
            channel_returned=channel_returned,
            user_returned=user_returned,
        )

    def leave(self, node: str, app_id: str, channel: str, socket_id: str) -> Left:
        known = self.of(app_id)
        entries = known.channels.get(channel, {})
        if socket_id not in entries or entries[socket_id].node != node or not self.is_alive(node):
            revision = known.revisions.get(channel, 0)
            return Left(
                last_socket=False,
                count=len(entries),
                revision=revision,
                previous=revision,
            )
        return self._take_out(known, channel, socket_id)

    def roster(self, app_id: str, channel: str) -> Roster:
        known = self.of(app_id)
        members = _shown(known.channels.get(channel, {}).values())
        return Roster(channel, members, known.revisions.get(channel, 0))

    def members(self, app_id: str, channel: str) -> dict[str, Any]:
        return _shown(self.of(app_id).channels.get(channel, {}).values())

    def occupancy(self, app_id: str, channel: str) -> Occupancy:
        entries = self.of(app_id).channels.get(channel, {})
        return Occupancy(sockets=len(entries), users=len(_shown(entries.values())))

    def occupancies(self, app_id: str, prefix: str) -> dict[str, Occupancy]:
        return {
            channel: self.occupancy(app_id, channel)
            for channel in self.of(app_id).channels
            if channel.startswith(prefix)
        }

    # -- sockets and users ------------------------------------------------------------------

    def connect(self, node: str, app_id: str, socket_id: str, capacity: int | None) -> None:
        self.check(node)
        connections = self.of(app_id).connections
        if capacity is not None and len(connections) - (socket_id in connections) >= capacity:
            raise OverCapacity
        connections[socket_id] = node

    def disconnect(self, node: str, app_id: str, socket_id: str) -> None:
        connections = self.of(app_id).connections
        if connections.get(socket_id) == node and self.is_alive(node):
            del connections[socket_id]

    def sign_in(self, node: str, app_id: str, user_id: str, socket_id: str) -> bool:
        self.check(node)
        sockets = self.of(app_id).signed_in.setdefault(user_id, {})
        was_offline = not sockets
        sockets[socket_id] = node
        return was_offline

    def sign_out(self, node: str, app_id: str, user_id: str, socket_id: str) -> bool:
        users = self.of(app_id).signed_in
        if users.get(user_id, {}).get(socket_id) != node or not self.is_alive(node):
            return False
        return self._sign_out(users, user_id, socket_id)

    def _sign_out(self, users: dict[str, dict[str, str]], user_id: str, socket_id: str) -> bool:
        del users[user_id][socket_id]
        if users[user_id]:
            return False
        del users[user_id]
        return True

    def online(self, app_id: str, user_ids: Iterable[str]) -> frozenset[str]:
        return frozenset(user_ids) & self.of(app_id).signed_in.keys()

    # -- what dead nodes left ---------------------------------------------------------------

    def sweep(self) -> Sequence[Swept]:
        self.look_for_dead()
        swept: list[Swept] = []
        for app_id, known in self.applications.items():
            for one in self._left_behind(app_id, known):
                swept.append(one)
                if len(swept) == SWEPT_AT_ONCE:
                    return tuple(swept)
        return tuple(swept)

    def departures(self) -> dict[str, Sequence[Departure]]:
        found: dict[str, Sequence[Departure]] = {}
        for app_id, known in self.applications.items():
            sure = [who for who, due in known.leaving.items() if due <= self._clock()]
            for who in sure:
                del known.leaving[who]
                name = "channel_vacated" if who[1] is None else "member_removed"
                self.decided[name, who[0], who[1]] += 1
            if sure:
                found[app_id] = [Departure(channel=channel, user_id=user) for channel, user in sure]
        return found

    def _left_behind(self, app_id: str, known: Application) -> Iterator[Swept]:
        for channel, entries in tuple(known.channels.items()):
            for socket_id, entry in tuple(entries.items()):
                if not self.is_alive(entry.node):
                    yield Swept(
                        app_id=app_id,
                        socket_id=socket_id,
                        channel=channel,
                        user_id=None if entry.member is None else entry.member.user_id,
                        left=self._take_out(known, channel, socket_id),
                    )
        for user_id, sockets in tuple(known.signed_in.items()):
            for socket_id, node in tuple(sockets.items()):
                if not self.is_alive(node):
                    yield Swept(
                        app_id=app_id,
                        socket_id=socket_id,
                        user_id=user_id,
                        went_offline=self._sign_out(known.signed_in, user_id, socket_id),
                    )
        for socket_id, node in tuple(known.connections.items()):
            if not self.is_alive(node):
                del known.connections[socket_id]
                yield Swept(app_id=app_id, socket_id=socket_id)

    def _take_out(self, known: Application, channel: str, socket_id: str) -> Left:
        entries = known.channels[channel]
        before = _shown(entries.values())
        member = entries.pop(socket_id).member
        previous, revision = self._changed(known, channel, before)
        after = _shown(entries.values())
        last_of_user = member is not None and member.user_id not in after
        sure = self._clock() + self._grace
        if member is not None and last_of_user:
            known.leaving[channel, member.user_id] = sure
        if not entries:
            known.leaving[channel, None] = sure
            del known.channels[channel]
            known.revisions.pop(channel, None)
        return Left(
            last_socket=not entries,
            last_of_user=last_of_user,
            count=len(entries),
            order=known.order,
            revision=revision,
            previous=previous,
            shown=None if member is None else after.get(member.user_id),
        )

    def look_for_dead(self) -> None:
        """Take note of the dead; not if nobody looked for long: then nobody could renew either."""
        now, looked = self._clock(), self._looked
        self._looked = now
        for node, due in tuple(self.leases.items()):
            if due > now:
                continue
            if looked is None or now - looked > self._lease / 2:
                self.leases[node] = now + self._lease
            else:
                del self.leases[node]

    def _changed(self, known: Application, channel: str, before: dict[str, Any]) -> tuple[int, int]:
        """Count a change; return the revision before it, and after it."""
        # Never lower than before, even if everything was forgotten in between.
        known.order = max(known.order + 1, int(self._clock() * 1_000_000))
        previous = known.revisions.get(channel, 0)
        after = _shown(known.channels.get(channel, {}).values())
        if after == before:
            return previous, previous
        known.revisions[channel] = known.order
        return previous, known.order


def _shown(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return user id to user info, that of the newest socket, in the order of coming."""
    return {
        entry.member.user_id: entry.member.user_info
        for entry in entries
        if entry.member is not None
    }
