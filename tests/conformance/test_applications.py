"""5.16: tenants side by side, with secrets that change, and a source that changes them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import live
from tests.conformance.caller import Caller
from tests.conformance.peer import Peer, dial, greet, join
from tests.conformance.publishing import look_up, publish, terminate
from tests.live import PATIENCE, Server

SUCCEEDED = "pusher_internal:subscription_succeeded"
COUNT = "pusher_internal:subscription_count"
GREETING = "pusher:connection_established"


@pytest.mark.parametrize("channel", ["both", "private-both", "private-encrypted-both"])
async def test_a_channel_of_one_name_is_two(server: Server, channel: str) -> None:
    """218: by what is published, whispered and counted."""
    async with join(server, "left") as ada, join(server, "right") as bob:
        for peer in (ada, bob):
            await peer.subscribe(channel)
            assert json.loads(await peer.expect(COUNT, channel)) == {"subscription_count": 1}
        await publish(server, channel, "n", app="left")
        await ada.expect("n", channel)
        await publish(server, channel, "m", app="right", socket_id=ada.socket_id)
        await bob.expect("m", channel)
        await ada.send("client-x", {}, channel="private-both")
        if channel != "private-both":
            await ada.expect_refusal("private-both", 4301)
        for peer in (ada, bob):
            await peer.silence()


async def test_members_of_one_are_none_of_the_other(server: Server) -> None:
    """218."""
    async with join(server, "left") as ada, join(server, "right") as bob:
        await ada.enter("presence-both", "1")
        assert (await bob.enter("presence-both", "2"))["ids"] == ["2"]
        await bob.send("client-x", {}, channel="presence-both")
        await ada.silence()
        await bob.leave("presence-both")
        await ada.silence()


async def test_what_one_keeps_the_other_misses(server: Server) -> None:
    """218."""
    await publish(server, "cache-both", "kept", app="left")
    async with join(server, "left") as ada, join(server, "right") as bob:
        await ada.subscribe("cache-both")
        await bob.subscribe("cache-both")
        assert "kept" in [(await ada.receive())["event"] for _ in range(2)]
        assert "kept" not in [(await bob.receive())["event"] for _ in range(2)]
        await bob.silence()


async def test_a_user_of_one_is_a_stranger_to_the_other(server: Server) -> None:
    """218: by its channel, its watchers and its end."""
    async with (
        join(server, "left") as ada,
        join(server, "right") as bob,
        join(server, "right") as watcher,
    ):
        await watcher.sign_in("1", watchlist=["7"])
        told = json.loads(await watcher.expect("pusher_internal:watchlist_events"))
        assert told == {"events": [{"name": "offline", "user_ids": ["7"]}]}
        await ada.sign_in("7")
        await watcher.silence()
        await bob.sign_in("7")
        await watcher.expect("pusher_internal:watchlist_events")
        await publish(server, "#server-to-user-7", "n", app="left")
        await ada.expect("n", "#server-to-user-7")
        await bob.silence()
        await terminate(server, "7", app="left")
        await ada.expect_refusal(None, 4009)
        assert (await ada.closed())[0] == 4009
        await bob.silence()
        await watcher.silence()


async def test_the_http_api_shows_ones_own(server: Server) -> None:
    """218."""
    async with join(server, "left") as ada, join(server, "right") as bob:
        await ada.enter("presence-mine", "1")
        await bob.enter("presence-theirs", "2")
        await bob.enter("presence-mine", "3")
        assert await look_up(server, "channels", "left") == {"channels": {"presence-mine": {}}}
        users = await look_up(server, "channels/presence-mine/users", "left")
        assert users == {"users": [{"id": "1"}]}
        assert await look_up(server, "channels/presence-theirs", "left") == {"occupied": False}


async def test_each_has_its_own_limits_origins_and_switches(server: Server) -> None:
    """220: one after the other, on sockets that are open at once."""
    async with (
        join(server, "origins", headers={"Origin": "https://app.test"}),
        dial(server, headers={"Origin": "https://app.test"}) as refused,
        join(server) as free,
        join(server, "second") as mute,
        join(server, "small") as small,
        join(server, "one"),
        dial(server, "one") as second_of_one,
        join(server) as second_of_app,
    ):
        await refused.expect_refusal(None, 4009)
        await second_of_one.expect_refusal(None, 4004)
        for peer in (free, mute, small):
            await peer.subscribe("private-c")
        for _ in range(4):
            for peer in (free, mute, small):
                await peer.send("client-x", {}, channel="private-c")
        await free.silence()
        for _ in range(4):
            await mute.expect_refusal("private-c", 4301)
        await small.expect_refusal("private-c", 4301)
        await second_of_app.silence()


@pytest.mark.parametrize("secret", ["rotated-secret", "retired-secret"])
async def test_an_older_secret_still_verifies(server: Server, secret: str) -> None:
    """222."""
    async with join(server, "rotated") as peer:
        peer.secret = secret
        await peer.subscribe("private-c")
        await peer.enter("presence-c", secret)
        await peer.sign_in("7")
        old = Caller(server, "rotated", "rotated-key", secret)
        answer = await asyncio.to_thread(old.trigger, "private-c", "n", "{}")
        assert (answer.status, answer.body) == (200, {})
        await peer.expect("n", "private-c")
        await peer.ask("private-d", auth=peer.sign("private-d", secret="older-secret"))
        await peer.expect_subscription_refusal("private-d")


@dataclass
class Changing:
    """A server whose applications stand in a file."""

    server: Server
    file: Path

    def write(self, **changes: dict[str, Any]) -> None:
        """Describe the applications anew, at once."""
        content = [
            {"id": name, "key": f"{name}-key", "secret": f"{name}-secret", **change}
            for name, change in changes.items()
        ]
        write(self.file, content)


def write(file: Path, content: object) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content), encoding="utf-8")
    new.replace(file)


@pytest.fixture(params=live.WAYS)
def changing(
    request: pytest.FixtureRequest, live_database: Path, tmp_path: Path
) -> Iterator[Changing]:
    file = tmp_path / "applications.json"
    write(file, [{"id": "app", "key": "app-key", "secret": "app-secret"}])
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_APPLICATIONS": os.fspath(file),
        "LIVE_PONG_TIMEOUT": "0.4",
    }
    with live.serving(request.param, env) as running:
        yield Changing(running, file)


async def until(done: Callable[[Peer], Any], server: Server, app: str) -> None:
    """Open sockets until one is answered as wanted; the server looks now and then."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with dial(server, app) as peer:
                if await done(peer):
                    return


async def is_greeted(peer: Peer) -> bool:
    message = await peer.receive()
    return bool(message["event"] == GREETING)


async def is_refused(peer: Peer) -> bool:
    return not await is_greeted(peer)


async def takes_the_new_secret(peer: Peer) -> bool:
    peer.secret = "new"
    await greet(peer)
    await peer.ask_signed("private-c")
    message = await peer.receive()
    return bool(message["event"] == SUCCEEDED)


async def test_applications_change_while_the_server_runs(changing: Changing) -> None:
    """221."""
    server = changing.server
    async with join(server) as old:
        async with dial(server, "late") as early:
            await early.expect_refusal(None, 4001)
        changing.write(app={}, late={})
        await until(is_greeted, server, "late")

        changing.write(app={"secret": "new"}, late={})
        await until(takes_the_new_secret, server, "app")
        async with join(server) as peer:
            await peer.ask_signed("private-c")
            await peer.expect_subscription_refusal("private-c")
        old.secret = "new"
        async with asyncio.timeout(PATIENCE):
            await old.ask_signed("private-c")
            while (await old.receive())["event"] != SUCCEEDED:
                await old.expect("pusher:subscription_error", "private-c")
                await old.ask_signed("private-c")
        retired = await asyncio.to_thread(Caller(server).trigger, "private-c", "n", "{}")
        assert retired.status == 401

        changing.write(app={"secret": "new", "enabled": False}, late={})
        async with join(server, "late") as other:
            await old.expect_refusal(None, 4003)
            assert (await old.closed())[0] == 4003
            async with dial(server) as again:
                await again.expect_refusal(None, 4003)
            await other.silence()
        disabled = Caller(server, secret="new")
        assert (await asyncio.to_thread(disabled.trigger, "c", "n", "{}")).status == 403

        changing.write(late={})
        await until(is_refused, server, "app")
        changing.write(app={"secret": "new"}, late={})
        await until(takes_the_new_secret, server, "app")
