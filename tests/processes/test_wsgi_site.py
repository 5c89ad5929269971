"""A site on WSGI, in two processes of gunicorn, beside a separate server on ``local``: no Redis.

All that it wants of the sockets it asks over HTTP, through the driver ``pusher``.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests import live
from tests.conformance.peer import Peer, join
from tests.live_settings import MASTER_KEY
from tests.processes.sites import dispatch, expect

SUCCEEDED = "pusher_internal:subscription_succeeded"


@pytest.fixture(scope="module")
def sockets(live_database: Path) -> Iterator[live.Server]:
    """``websockets_serve``, whose backplane reaches its own process only."""
    with live.serving("uvicorn", {"BROADCASTING_TEST_DATABASE": str(live_database)}) as server:
        yield server


@pytest.fixture(scope="module")
def far_site(sockets: live.Server, live_database: Path) -> Iterator[live.Server]:
    options = {
        **{"app_id": "app", "key": "app-key", "secret": "app-secret", "ours": True},
        **{"host": "127.0.0.1", "port": sockets.port, "use_tls": False},
        "encryption_master_key": MASTER_KEY,
    }
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_BROADCASTERS": json.dumps({"default": {"BACKEND": "pusher", "OPTIONS": options}}),
    }
    with live.serving("gunicorn", env) as server:
        yield server


async def ask(site: live.Server, path: str, body: str, **headers: str) -> Any:
    """Return what the site answers to a POST, decoded."""

    def post() -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=live.PATIENCE)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            text = response.read()
            assert response.status == 200, text
            return json.loads(text)
        finally:
            connection.close()

    return await asyncio.to_thread(post)


async def signed(site: live.Server, peer: Peer, channel: str, user: str) -> Mapping[str, str]:
    """Return what the site's auth view says about the peer's socket."""
    form = urlencode({"socket_id": peer.socket_id, "channel_name": channel})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    headers["Authorization"] = f"Bearer {user}"
    answer: dict[str, str] = await ask(site, "/broadcasting/auth", form, **headers)
    # The key is for the client alone.
    answer.pop("shared_secret", None)
    return answer


async def enter(site: live.Server, peer: Peer, channel: str, user: str) -> Mapping[str, str]:
    """Join with the site's leave, which is returned."""
    answer = await signed(site, peer, channel, user)
    await peer.ask(channel, **answer)
    await peer.expect(SUCCEEDED, channel)
    return answer


@pytest.mark.parametrize("view", ["dispatch", "adispatch"])
async def test_its_events_arrive(
    far_site: live.Server, sockets: live.Server, channel: str, view: str
):
    async with join(sockets) as peer:
        await peer.subscribe(channel)
        for number in range(4):  # whichever of its processes is asked
            await dispatch(far_site, channel, number, view=view)
        await expect(peer, channel, *range(4))


async def test_the_sender_and_the_rolled_back_are_left_out(
    far_site: live.Server, sockets: live.Server, channel: str
):
    async with join(sockets) as one, join(sockets) as other:
        for peer in (one, other):
            await peer.subscribe(channel)
        await dispatch(far_site, channel, 1, rollback=True)
        await dispatch(far_site, channel, 2, to_others=True, socket_id=one.socket_id)
        await dispatch(far_site, channel, 3)
        await expect(one, channel, 3)
        await expect(other, channel, 2, 3)


@pytest.mark.parametrize("view", ["read", "aread"])
async def test_it_asks_who_is_there(
    far_site: live.Server, sockets: live.Server, channel: str, view: str
):
    presence = f"presence-chat.{channel.partition('.')[2]}"

    async def found(what: str, name: str) -> Any:
        body = json.dumps({"ask": what, "name": name})
        return (await ask(far_site, f"/{view}/", body))["found"]

    async with join(sockets) as peer:
        assert await found("channels", presence) == {}
        assert (await found("channel", presence))["occupied"] is False
        await enter(far_site, peer, presence, "ada")
        assert [*await found("channels", presence)] == [presence]
        assert (await found("channel", presence))["occupied"] is True
        assert await found("members", presence) == ["1"]


@pytest.mark.parametrize("view", ["revoke", "arevoke"])
@pytest.mark.parametrize(
    "channel", ["private-orders.71", "private-encrypted-orders.71", "presence-chat.71"]
)
async def test_it_takes_a_user_out_of_a_channel(
    far_site: live.Server, sockets: live.Server, channel: str, view: str
):
    async with join(sockets) as ada, join(sockets) as bob:
        answer = await enter(far_site, ada, channel, "ada")
        await enter(far_site, bob, channel, "bob")
        if channel.startswith("presence-"):
            await ada.expect("pusher_internal:member_added", channel)
        await ask(far_site, f"/{view}/", json.dumps({"user": "ada", "channel": channel}))
        told = await ada.expect("pusher:subscription_error", channel)
        assert (told["type"], told["status"]) == ("AuthError", 403)
        if channel.startswith("presence-"):
            await bob.expect("pusher_internal:member_removed", channel)
            return
        # What was signed before is good no more; what is signed now is.
        await ada.ask(channel, **answer)
        await ada.expect_subscription_refusal(channel)
        await asyncio.sleep(0.002)  # answers count by the millisecond
        await enter(far_site, ada, channel, "ada")
        await bob.silence()


@pytest.mark.parametrize("view", ["revoke", "arevoke"])
async def test_it_ends_the_connections_of_a_user(
    far_site: live.Server, sockets: live.Server, view: str
):
    async with join(sockets) as one, join(sockets) as two, join(sockets) as other:
        await enter(far_site, one, "private-orders.72", "ada")
        await enter(far_site, two, "presence-chat.72", "ada")
        await enter(far_site, other, "private-orders.72", "bob")
        await ask(far_site, f"/{view}/", json.dumps({"user": "ada"}))
        for peer in (one, two):
            await peer.expect_refusal(None, 4009)
            assert (await peer.closed())[0] == 4009
        await other.silence()


async def test_who_is_deactivated_is_disconnected(far_site: live.Server, sockets: live.Server):
    async with join(sockets) as peer:
        await enter(far_site, peer, "private-orders.73", "cleo")
        for active in (False, True):
            await ask(far_site, "/deactivate/", json.dumps({"user": "cleo", "active": active}))
        await peer.expect_refusal(None, 4200)
        assert (await peer.closed())[0] == 4200
