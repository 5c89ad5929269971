"""The driver ``pusher`` against our own server: what it sends arrives, what it asks is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from broadcasting.broadcasters.pusher import PusherBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BroadcastRefused
from tests.conformance.peer import join
from tests.live import Server


class Coloured:
    """Calls the methods of a driver in one colour."""

    def __init__(self, driver: PusherBroadcaster, colour: str) -> None:
        self.driver = driver
        self.colour = colour

    async def __call__(self, deed: str, *arguments: Any) -> Any:
        if self.colour == "async":
            return await getattr(self.driver, f"a{deed}")(*arguments)
        return await asyncio.to_thread(getattr(self.driver, deed), *arguments)


@asynccontextmanager
async def driving(server: Server, colour: str, **options: Any) -> AsyncIterator[Coloured]:
    credentials = {"app_id": "app", "key": "app-key", "secret": "app-secret"}
    place = {"host": "127.0.0.1", "port": server.port, "use_tls": False}
    driver = PusherBroadcaster({**credentials, **place, **options})
    try:
        yield Coloured(driver, colour)
    finally:
        driver.client.close()
        await driver.client.aclose()


def made(*channels: str, **values: Any) -> Broadcast:
    values = {"name": "shipped", "data": '{"id":1}', "broadcaster": "p"} | values
    return Broadcast(channels=channels, **values)


both = pytest.mark.parametrize("colour", ["sync", "async"])


@both
async def test_a_site_without_redis_reaches_browsers(server: Server, colour: str) -> None:
    async with join(server) as peer, driving(server, colour) as driver:
        for name in ("driven", "private-driven"):
            await peer.subscribe(name)
        await driver("broadcast", made("driven", "private-driven"))
        assert await peer.expect("shipped", "driven") == '{"id":1}'
        assert await peer.expect("shipped", "private-driven") == '{"id":1}'


@both
async def test_others_hear_and_the_sender_does_not(server: Server, colour: str) -> None:
    async with join(server) as peer, driving(server, colour) as driver:
        await peer.subscribe("driven")
        await driver("broadcast", made("driven", except_socket=peer.socket_id))
        await driver("broadcast", made("driven", name="second"))
        assert await peer.expect("second", "driven") == '{"id":1}'


@both
async def test_several_arrive_in_their_order(server: Server, colour: str) -> None:
    async with join(server) as peer, driving(server, colour) as driver:
        await peer.subscribe("driven")
        await driver("broadcast_many", [made("driven", name=f"n{n}") for n in range(12)])
        for number in range(12):
            await peer.expect(f"n{number}", "driven")


@both
async def test_who_is_there_can_be_asked(server: Server, colour: str) -> None:
    async with join(server) as peer, driving(server, colour) as driver:
        await peer.enter("presence-driven", "7")
        assert "presence-driven" in await driver("channels", "presence-dr")
        assert await driver("channels", "nothing-like-it") == {}
        assert (await driver("channel", "presence-driven"))["occupied"] is True
        assert await driver("members", "presence-driven") == ["7"]


@both
@pytest.mark.parametrize("user_id", ["7", "ada@x.test", "a b/c%d"])
async def test_a_user_is_disconnected(server: Server, colour: str, user_id: str) -> None:
    async with join(server) as peer, driving(server, colour) as driver:
        await peer.sign_in(user_id)
        await driver("disconnect", user_id)
        await peer.expect_refusal(None, 4009)
        assert (await peer.closed())[0] == 4009


@both
async def test_a_wrong_secret_is_refused(server: Server, colour: str) -> None:
    async with driving(server, colour, secret="wrong") as driver:
        with pytest.raises(BroadcastRefused) as raised:
            await driver("broadcast", made("driven"))
        assert raised.value.status == 401
