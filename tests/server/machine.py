"""What the state machine starts with, and what must be so after each of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import count
from typing import Any
from unittest.mock import patch

from django.test import override_settings
from hypothesis.stateful import RuleBasedStateMachine, invariant

from broadcasting.asgi import get_application
from broadcasting.server import snapshots
from broadcasting.server.node import Node, get_node
from tests.server.crowd import Client, left_behind, settle

APPS = ("left", "right")
USERS = ("1", "2", "3")
PLAIN = ("c", "private-c", "private-encrypted-c", "cache-c", "private-cache-c")
PRESENCE = ("presence-c", "presence-cache-c")
CHANNELS = PLAIN + PRESENCE


def broadcasting(**families: str) -> dict[str, Any]:
    """Return settings with two applications that have everything switched on."""
    return {
        "APPLICATIONS": [
            {
                "id": name,
                "key": f"{name}-key",
                "secret": f"{name}-secret",
                "enable_client_events": True,
                "max_client_events_per_second": None,
                "enable_subscription_count": True,
                "enable_watchlist_events": True,
            }
            for name in APPS
        ],
        **{family: {"BACKEND": backend} for family, backend in families.items()},
    }


class Machine(RuleBasedStateMachine):
    """The clients, and what must be so of them, whatever they do."""

    families: dict[str, str] = {}  # noqa: RUF012
    large = snapshots.LARGE
    """Sockets in a presence channel above which newcomers are told together."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = patch.object(snapshots, "LARGE", self.large)
        self.patch.start()
        self.override = override_settings(BROADCASTING=broadcasting(**self.families))
        self.override.enable()
        self.loop = asyncio.new_event_loop()
        self.asgi = get_application()
        self.crowd: list[Client] = []
        self.kept: dict[tuple[str, str], str] = {}
        self.numbers = count()
        self.node: Node = self.run(self.start())

    async def start(self) -> Node:
        return get_node()

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """Do something, and let everything come of it that will."""
        result = self.loop.run_until_complete(doing)
        self.loop.run_until_complete(self.calm_down())
        return result

    async def calm_down(self) -> None:
        await settle()
        ended = True
        while ended:
            ended = False
            for client in self.crowd:
                client.read()
                # A server tells the consumer that the socket it closed is gone.
                if client.closed is not None and not client.gone:
                    await client.hang_up()
                    await settle()
                    ended = True
        self.crowd = [client for client in self.crowd if not client.gone]

    def of(self, app_id: str) -> list[Client]:
        return [client for client in self.crowd if client.app_id == app_id]

    def inside(self, app_id: str, channel: str) -> list[Client]:
        return [client for client in self.of(app_id) if channel in client.channels]

    # -- what must be so ---------------------------------------------------------------------

    @invariant()
    def everybody_heard_what_was_meant_for_them(self) -> None:
        for client in self.crowd:
            assert client.heard == client.expected
            other = "right:" if client.app_id == "left" else "left:"
            assert not any(other in frame for frame in client.frames)

    @invariant()
    def everybody_knows_who_is_where(self) -> None:
        for client in self.crowd:
            for channel in client.channels:
                inside = self.inside(client.app_id, channel)
                if channel in PRESENCE:
                    assert client.members[channel] == {c.channels[channel] for c in inside}
                    assert channel not in client.counts
                else:
                    assert client.counts[channel] == len(inside)

    @invariant()
    def everybody_knows_who_is_online(self) -> None:
        for client in self.crowd:
            online = {other.user_id for other in self.of(client.app_id)}
            assert client.watched == {user: user in online for user in client.watched}

    @invariant()
    def the_registry_knows_all_of_it(self) -> None:
        registry = self.node.registry
        for app in APPS:
            assert self.look(registry.connections(app)) == len(self.of(app))
            online = {client.user_id for client in self.of(app)} - {None}
            assert self.look(registry.online(app, USERS)) == online
            occupied = {channel for channel in CHANNELS if self.inside(app, channel)}
            assert self.look(registry.channels(app)).keys() == occupied
            for channel in occupied:
                inside = self.inside(app, channel)
                found = self.look(registry.occupancy(app, channel))
                assert found.sockets == len(inside) == self.node.hub.count((app, channel))
                assert found.users == len({c.channels[channel] for c in inside} - {None})

    def look(self, asking: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asking)

    def teardown(self) -> None:
        for client in tuple(self.crowd):
            self.loop.run_until_complete(client.hang_up())
        self.run(settle())
        try:
            assert self.crowd == []
            assert self.node.counters.failures == 0
            assert left_behind(self.node) == {}
        finally:
            self.loop.run_until_complete(self.node.stop())
            self.loop.run_until_complete(settle())
            self.patch.stop()
            self.loop.close()
            self.override.disable()
