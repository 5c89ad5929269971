"""What must be true of a world in peace."""

from __future__ import annotations

from broadcasting.protocol.names import ChannelKind, kind_of
from tests.simulator.client import Client
from tests.simulator.store import Store
from tests.simulator.world import World

APP = "app"


def check_peace(world: World, deeds: set[str]) -> None:
    """Note as faults what is not as it must be; ``deeds``: what was done to the world."""
    for client in world.clients:
        if client.is_living:
            _check_client(world, client)
    _check_registry(world)
    _check_events(world)
    _check_occurrences(world, deeds)


def check_empty(world: World) -> None:
    """The same once everybody has gone."""
    known = world.registry.store.of(APP)
    if not known.is_empty:
        world.fault(f"the registry still knows {known}")
    for node in world.nodes.values():
        if node in [server.node for server in world.servers] and node.connections:
            world.fault(f"a node still has {len(node.connections)} sockets")
    _check_balance(world)


def _wanting(world: World, channel: str) -> list[Client]:
    return [client for client in world.clients if client.is_living and channel in client.wanted]


def _check_client(world: World, client: Client) -> None:
    if client.socket_id is None:
        world.fault(f"{client.name} is not connected")
        return
    _check_watched(world, client)
    for channel in client.wanted:
        shown = client.shown.get(channel)
        if shown is None:
            world.fault(f"{client.name} is not subscribed to {channel}")
            continue
        wanting = _wanting(world, channel)
        if shown.members is not None:
            users = {other.user_id for other in wanting}
            if set(shown.members) != users:
                world.fault(
                    f"{client.name} on {client.socket and client.socket.server.process} sees"
                    f" {sorted(shown.members)} on {channel}, there are {sorted(users)}"
                )
        elif shown.count != len(wanting):
            world.fault(
                f"{client.name} on {client.socket and client.socket.server.process} sees a count"
                f" of {shown.count} on {channel}, there are {len(wanting)}"
            )


def _check_watched(world: World, client: Client) -> None:
    signed_in = {
        other.user_id for other in world.clients if other.is_living and other.watched is not None
    }
    online = signed_in.intersection(client.watched or ())
    if client.online != online:
        world.fault(
            f"{client.name} on {client.socket and client.socket.server.process} sees"
            f" {sorted(client.online)} online, there are {sorted(online)}"
        )


def _check_registry(world: World) -> None:
    store: Store = world.registry.store
    channels = {channel for client in world.clients for channel in client.wanted}
    for channel in sorted(channels):
        wanting = _wanting(world, channel)
        occupancy = store.occupancy(APP, channel)
        if occupancy.sockets != len(wanting):
            world.fault(f"{channel} has {occupancy.sockets} sockets, not {len(wanting)}")
        if kind_of(channel) is ChannelKind.PRESENCE:
            members = set(store.members(APP, channel))
            users = {client.user_id for client in wanting}
            if members != users:
                world.fault(f"{channel} has {sorted(members)}, not {sorted(users)}")
    living = sum(client.is_living for client in world.clients)
    connections = len(store.of(APP).connections)
    if connections != living:
        world.fault(f"{connections} sockets are connected, not {living}")


def _check_events(world: World) -> None:
    for client in world.clients:
        for channel, shown in client.shown.items():
            for problem in shown.disorder():
                world.fault(f"{client.name} {problem} on {channel}")
    for sent in world.sent:
        for client, shown in sent.listeners:
            channel = sent.envelope.channel
            # Whoever went, or was cut off, may have missed it.
            if client.shown.get(channel) is not shown or client.socket is None:
                continue
            if world.broker.has_missed(sent.envelope.id, client.socket.server.process):
                continue
            if (sent.by, sent.number) not in shown.events:
                world.fault(f"{client.name} missed {sent.by} {sent.number} on {channel}")


def _check_occurrences(world: World, deeds: set[str]) -> None:
    decided = world.registry.store.decided
    for who in sorted(decided.keys() | world.reported.keys(), key=str):
        # What is under way when a process dies, or is cut off, nobody can state.
        lost = deeds & {"kill", "cut registry of", "flush"}
        is_wrong = (
            world.reported[who] > decided[who] if lost else world.reported[who] != decided[who]
        )
        if is_wrong:
            world.fault(f"{who} was stated {world.reported[who]} times, not {decided[who]}")


def _check_balance(world: World) -> None:
    """Whoever came has gone, once each."""
    if world.was_flushed:
        return
    decided = world.registry.store.decided
    for name, channel, user_id in tuple(decided):
        went = {"member_added": "member_removed", "channel_occupied": "channel_vacated"}.get(name)
        if went and decided[name, channel, user_id] != decided[went, channel, user_id]:
            world.fault(f"{name} and {went} do not agree for {user_id} on {channel}")
