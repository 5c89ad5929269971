"""Clients of two applications do as they please and die at random: everything they are told is
so, and nothing of them stays behind."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, rule

from broadcasting.applications import get_applications
from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.backplanes.control import Revoke, Terminate
from broadcasting.backplanes.control import envelope as control_envelope
from broadcasting.protocol import messages
from broadcasting.protocol.names import is_cache, user_channel
from broadcasting.publishing import apublish
from tests.server.crowd import Client, connect, settle
from tests.server.machine import APPS, CHANNELS, PRESENCE, USERS, Machine
from tests.server.slow import SlowBackplane

channels = st.sampled_from(CHANNELS)
users = st.sampled_from(USERS)
watchlists = st.lists(users, unique=True)


class Crowd(Machine):
    """What clients and programs may do, and what should come of it."""

    clients = Bundle("clients")

    # -- what clients do ---------------------------------------------------------------------

    @rule(target=clients, app=st.sampled_from(APPS))
    def come(self, app: str) -> Client:
        application = get_applications().by_id(app)
        assert application is not None
        client: Client = self.loop.run_until_complete(connect(self.asgi, application))
        client.name = USERS[next(self.numbers) % 3]
        self.crowd.append(client)
        self.run(settle())
        return client

    @rule(client=clients, channel=channels, user_id=users)
    def subscribe(self, client: Client, channel: str, user_id: str) -> None:
        if client.gone:
            return
        member = user_id if channel in PRESENCE else None
        self.run(client.ask(channel, member))
        if self.shows(client, member, channel):
            return
        before = client.channels.get(channel, member)
        if before != member:
            assert client.answers == ["error None", "pusher:subscription_error"]
        else:
            assert client.answers == ["succeeded"]
            client.channels[channel] = member
            self.expect_kept(client, channel)
        client.answers.clear()

    def shows(self, client: Client, user_id: str | None, channel: str = "") -> bool:
        """Note whose ``client`` is; whether it has to return, since that may be long over."""
        if user_id is None:
            return False
        client.owners.add(user_id)
        if not self.is_barred(client, user_id, channel):
            return False
        assert client.answers == ["error 4200"]
        assert client.gone
        return True

    def is_barred(self, client: Client, user_id: str | None, channel: str) -> bool:
        """Whether the answer that lets a user in may be older than an order against him."""
        return user_id in client.barred or (user_id, channel) in client.barred_from

    def expect_kept(self, client: Client, channel: str) -> None:
        if is_cache(channel):
            kept = self.kept.get((client.app_id, channel))
            client.expected.append(
                ("pusher:cache_miss", channel, None) if kept is None else ("n", channel, kept)
            )

    @rule(client=clients, channel=channels)
    def unsubscribe(self, client: Client, channel: str) -> None:
        if client.gone:
            return
        self.run(client.send("pusher:unsubscribe", {"channel": channel}))
        client.channels.pop(channel, None)
        client.members.pop(channel, None)
        client.counts.pop(channel, None)

    @rule(client=clients, user_id=users, watchlist=watchlists)
    def sign_in(self, client: Client, user_id: str, watchlist: list[str]) -> None:
        if client.gone:
            return
        client.watched, watched = {}, client.watched
        self.run(client.ask_signin(user_id, watchlist))
        if client.user_id in (None, user_id) and self.shows(client, user_id):
            return
        if client.user_id not in (None, user_id):
            assert client.answers == ["error 4009"]
            client.watched = watched
        else:
            assert client.answers == ["pusher:signin_success"]
            client.user_id, client.hears_user = user_id, True
            assert client.watched.keys() == set(watchlist)
        client.answers.clear()

    @rule(client=clients, user_id=users, wants=st.booleans())
    def change_own_channel(self, client: Client, user_id: str, wants: bool) -> None:
        if client.gone:
            return
        channel = user_channel(user_id)
        if wants:
            self.run(client.ask(channel))
            own = client.user_id == user_id
            assert (client.answers == ["succeeded"]) == own
            client.hears_user = client.hears_user or own
        else:
            self.run(client.send("pusher:unsubscribe", {"channel": channel}))
            client.hears_user = client.hears_user and client.user_id != user_id
        client.answers.clear()

    @rule(client=clients, channel=channels)
    def whisper(self, client: Client, channel: str) -> None:
        if client.gone:
            return
        data = f"{client.app_id}:{next(self.numbers)}"
        self.run(client.send("client-x", data, channel=channel))
        allowed = channel in client.channels and channel.startswith(("private-", "presence-"))
        if allowed and not channel.startswith("private-encrypted-"):
            assert client.answers == []
            for other in self.inside(client.app_id, channel):
                if other is not client:
                    other.expected.append(("client-x", channel, data))
        else:
            assert client.answers == ["error 4301"]
        client.answers.clear()

    @rule(client=clients, text=st.sampled_from(["", "{", "[]", '{"event":"pusher:what"}']))
    def talk_nonsense(self, client: Client, text: str) -> None:
        if client.gone:
            return
        self.run(client.socket.send_input({"type": "websocket.receive", "text": text}))
        assert client.answers == ["error None"]
        client.answers.clear()

    @rule(
        plan=st.lists(
            st.tuples(clients, st.sampled_from(["join", "leave", "go"]), channels),
            min_size=2,
            max_size=5,
            unique_by=lambda wish: id(wish[0]),
        )
    )
    def all_at_once(self, plan: list[tuple[Client, str, str]]) -> None:
        """Nobody waits for anybody; what comes of it is the same in any order."""
        plan = [wish for wish in plan if not wish[0].gone]
        plan = [
            (client, what, channel)
            for client, what, channel in plan
            if not self.is_barred(client, self.name_of(client, channel), channel)
        ]
        self.run(self.do_at_once(plan))
        for client, what, channel in plan:
            client.answers.clear()
            match what:
                case "join":
                    name = client.channels.setdefault(channel, self.name_of(client, channel))
                    client.owners |= set() if name is None else {name}
                    self.expect_kept(client, channel)
                case "leave":
                    client.channels.pop(channel, None)
                    client.members.pop(channel, None)
                    client.counts.pop(channel, None)
                case _:
                    assert client.gone

    async def do_at_once(self, plan: list[tuple[Client, str, str]]) -> None:
        for client, what, channel in plan:
            match what:
                case "join":
                    await client.ask(channel, self.name_of(client, channel))
                case "leave":
                    await client.send("pusher:unsubscribe", {"channel": channel})
                case _:
                    await client.hang_up()

    @rule(
        crowd=st.lists(clients, min_size=1, max_size=5),
        app=st.sampled_from(APPS), user_id=users, turns=st.integers(0, 12), ends=st.booleans(),
    )  # fmt: skip
    def revoke_amid(
        self, crowd: list[Client], app: str, user_id: str, turns: int, ends: bool
    ) -> None:
        """All come into one channel; meanwhile, a user is taken out of it, or ended."""
        channel = "presence-c"
        crowd = [
            client
            for client in dict.fromkeys(crowd)
            if not client.gone
            and not self.is_barred(client, self.name_of(client, channel), channel)
        ]
        names = {client: self.name_of(client, channel) for client in crowd}
        for client, name in names.items():
            client.owners.add(name or "")
        order = (
            Terminate(user_id=user_id) if ends else Revoke(user_id=user_id, channel=channel, at=0)
        )
        self.run(self.order_amid(crowd, channel, app, order, turns))
        for client in self.of(app):
            if ends:
                client.barred.add(user_id)
            else:
                client.barred_from.add((user_id, channel))
            if client.channels.get(channel) == user_id:
                assert not client.is_in[channel]
                del client.channels[channel], client.members[channel]
        for client in crowd:
            if client.gone:
                assert client.app_id == app
                assert user_id in client.owners
            elif client.is_in[channel]:
                client.channels[channel] = names[client]
            else:
                assert (client.app_id, names[client]) == (app, user_id)
                client.members.pop(channel, None)
        for client in self.crowd:
            client.answers.clear()

    async def order_amid(
        self,
        crowd: list[Client],
        channel: str,
        app: str,
        order: Terminate | Revoke,
        turns: int,
    ) -> None:
        for client in crowd:
            await client.ask(channel, self.name_of(client, channel))
        for _ in range(turns):
            await asyncio.sleep(0)
        await get_backplane().apublish(control_envelope(app, order))

    def name_of(self, client: Client, channel: str) -> str | None:
        """Return as whom a client joins if it does not care."""
        if channel not in PRESENCE:
            return None
        return client.channels.get(channel) or client.name

    # -- what programs do --------------------------------------------------------------------

    @rule(app=st.sampled_from(APPS), channel=channels, spared=clients)
    def publish(self, app: str, channel: str, spared: Client) -> None:
        data = f"{app}:{next(self.numbers)}"
        self.send(app, channel, data, spared.socket_id)
        if is_cache(channel):
            self.kept[app, channel] = data
        for client in self.inside(app, channel):
            if client is not spared:
                client.expected.append(("n", channel, data))

    @rule(app=st.sampled_from(APPS), user_id=users)
    def publish_to_user(self, app: str, user_id: str) -> None:
        data = f"{app}:{next(self.numbers)}"
        self.send(app, user_channel(user_id), data)
        for client in self.of(app):
            if client.user_id == user_id and client.hears_user:
                client.expected.append(("n", user_channel(user_id), data))

    def send(self, app: str, channel: str, data: str, spared: str | None = None) -> None:
        frame = messages.event("n", channel, data)
        envelope = Envelope(app_id=app, channel=channel, frame=frame, except_socket=spared)
        self.run(apublish(envelope))

    @rule(app=st.sampled_from(APPS), user_id=users, reconnect=st.booleans())
    def terminate(self, app: str, user_id: str, reconnect: bool) -> None:
        meant = [client for client in self.of(app) if user_id in client.owners]
        for client in self.of(app):
            client.barred.add(user_id)
        order = Terminate(user_id=user_id, reconnect=reconnect)
        self.run(get_backplane().apublish(control_envelope(app, order)))
        assert {client.closed for client in meant} <= {4200 if reconnect else 4009}
        assert all(client.gone for client in meant)

    # -- ends, some in the middle of something -----------------------------------------------

    @rule(client=consumes(clients))
    def go(self, client: Client) -> None:
        if not client.gone:
            self.run(client.hang_up())
            assert client.gone

    @rule(
        client=consumes(clients), channel=channels, user_id=users, turns=st.integers(0, 12),
        by_server=st.booleans(),
    )  # fmt: skip
    def die_in_a_call(
        self, client: Client, channel: str, user_id: str, turns: int, by_server: bool
    ) -> None:
        """Everything is under way; then the socket ends, or the server cancels."""
        if not client.gone:
            self.run(self.end_amid(client, channel, user_id, turns, by_server))
            assert client.gone

    async def end_amid(
        self, client: Client, channel: str, user_id: str, turns: int, by_server: bool
    ) -> None:
        await client.ask(channel, user_id if channel in PRESENCE else None)
        await client.ask_signin(user_id, [user_id, "2"])
        await client.send("pusher:unsubscribe", {"channel": channel})
        await client.ask("presence-c", user_id)
        for _ in range(turns):
            await asyncio.sleep(0)
        if by_server:
            client.socket.future.cancel()
        else:
            await client.hang_up()

    @rule(target=clients, app=st.sampled_from(APPS), turns=st.integers(0, 12))
    def come_and_die(self, app: str, turns: int) -> Client:
        """Some do not even live to hear the greeting."""
        application = get_applications().by_id(app)
        assert application is not None

        async def live() -> Client:
            client = await connect(self.asgi, application)
            for _ in range(turns):
                await asyncio.sleep(0)
            client.socket.future.cancel()
            return client

        client: Client = self.run(live())
        assert client.gone
        return client


class LargeCrowd(Crowd):
    """The same, where all who come in one turn are told together who is there."""

    large = 0
    clients = Crowd.clients


class SlowCrowd(Crowd):
    """The same, where joining topics and asking the registry takes a while."""

    families = {  # noqa: RUF012
        "BACKPLANE": "tests.server.slow.SlowBackplane",
        "REGISTRY": "tests.server.slow.SlowRegistry",
    }
    clients = Crowd.clients

    @rule(client=Crowd.clients, channel=channels, user_id=users)
    def subscribe_while_broken(self, client: Client, channel: str, user_id: str) -> None:
        """Either the topic is joined already, or the socket is told to come again."""
        if client.gone or channel in client.channels:
            return
        member = user_id if channel in PRESENCE else None
        SlowBackplane.broken = True
        try:
            self.run(client.ask(channel, member))
        finally:
            SlowBackplane.broken = False
        if client.closed is None:
            assert client.answers == ["succeeded"]
            client.channels[channel] = member
            self.expect_kept(client, channel)
        else:
            # Whom a member's old answer bars has to return before the backplane is asked.
            barred = member is not None and self.is_barred(client, member, channel)
            assert client.closed == (4200 if barred else 4100)
        client.answers.clear()


BOUNDS = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    # Rules that find nobody to act on are part of the game.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestCrowd = Crowd.TestCase
TestLargeCrowd = LargeCrowd.TestCase
TestSlowCrowd = SlowCrowd.TestCase
Crowd.TestCase.settings = BOUNDS
LargeCrowd.TestCase.settings = BOUNDS
SlowCrowd.TestCase.settings = BOUNDS
