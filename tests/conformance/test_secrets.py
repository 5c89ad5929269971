"""What a server that is misused in every way says: to its peers, and in its log."""

from __future__ import annotations

import asyncio

from tests.conformance.caller import Caller
from tests.conformance.peer import Peer, dial, join
from tests.live import Server

SECRETS = ("app-secret", "second-secret", "off-secret", "left-secret", "retired-secret")


async def test_no_secret_is_told_to_anybody(own_server: Server) -> None:
    """78, 254: nor a signature that would have been right."""
    told: list[str] = []
    right: list[str] = []
    async with join(own_server) as peer:
        for channel, channel_data in (
            ("private-x", None),
            ("private-encrypted-x", None),
            ("presence-x", '{"user_id":"1"}'),
        ):
            more = {} if channel_data is None else {"channel_data": channel_data}
            right.append(peer.sign(channel, channel_data))
            for changes in ({"secret": "wrong"}, {"key": "second-key"}, {"socket_id": "1.2"}):
                auth = peer.sign(channel, channel_data, **changes)
                await peer.ask(channel, auth=auth, **more)
            await peer.ask(channel, auth="app-secret", **more)
        right.append(peer.sign("", 'user::{"id":"7"}'))
        await peer.ask_signin('{"id":"7"}', secret="wrong")
        await peer.ask_signin('{"id":7}')
        for text in ("{", '{"event":"pusher:signin","data":{"auth":"x"}}', '{"event":"client-x"}'):
            await peer.text(text)
        told += await everything(peer)
    for app in ("off", "nobody", "tls"):
        async with dial(own_server, app) as refused:
            told.append(str(await refused.receive()))
            told.append(str(await refused.closed()))
    for caller in (
        Caller(own_server, secret="wrong"),
        Caller(own_server, key="nobody"),
        Caller(own_server, "second"),
        Caller(own_server, "nobody"),
        Caller(own_server, "off", "off-key", "off-secret"),
    ):
        answer = await asyncio.to_thread(caller.trigger, "c", "n", "{}")
        assert answer.status in (401, 403, 404)
        told.append(answer.text)
    right.append(dict(Caller(own_server).sign("GET", "/apps/app/channels"))["auth_signature"])
    log = own_server.log.read_text()
    assert "Refused" in log  # so there is something to look through
    for text in [*told, log]:
        for secret in (*SECRETS, *(auth.rpartition(":")[2] for auth in right)):
            assert secret not in text


async def everything(peer: Peer) -> list[str]:
    """Return all frames up to the answer of a ping sent now."""
    await peer.send("pusher:ping")
    frames = []
    while (message := await peer.receive())["event"] != "pusher:pong":
        frames.append(str(message))
    return frames
