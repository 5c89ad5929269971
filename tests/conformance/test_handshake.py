"""5.1: who may open a socket, and what the others are told. Numbers are the assertions'."""

from __future__ import annotations

import asyncio
import http.client
import re
from itertools import chain

import pytest
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol

from tests.conformance.peer import QUERY, Peer, dial, greet, join
from tests.live import Server


async def expect_refusal(peer: Peer, code: int) -> None:
    """The error event and the close frame say the same."""
    problem = await peer.expect_refusal(None, code)
    # Daphne has no way to send a reason.
    reason = "" if peer.server.kind == "daphne" else problem["message"]
    assert await peer.closed() == (code, reason)


async def test_a_valid_key_is_greeted(server: Server) -> None:
    """1, 2, 3, 4."""
    async with dial(server) as peer:
        greeting = await greet(peer)
        assert greeting.keys() == {"socket_id", "activity_timeout"}
        assert re.fullmatch(r"\d+\.\d+", peer.socket_id)
        assert greeting["activity_timeout"] == 120


async def test_socket_ids_differ(server: Server) -> None:
    """5."""

    async def come_and_go(times: int) -> list[str]:
        seen = []
        for _ in range(times):
            async with join(server) as peer:
                seen.append(peer.socket_id)
        return seen

    seen = await asyncio.gather(*(come_and_go(50) for _ in range(20)))
    assert len(set(chain.from_iterable(seen))) == 1_000


async def test_sockets_live_under_the_prefix_only(hasty_server: Server) -> None:
    """6."""
    async with join(hasty_server, path="/realtime/app/app-key"):
        pass
    with pytest.raises(InvalidStatus):
        async with dial(hasty_server, path="/app/app-key"):
            pass


@pytest.mark.parametrize("key", ["nobody", "APP-KEY", "app-key2"])
async def test_an_unknown_key_is_refused(server: Server, key: str) -> None:
    """7, 20, 24, 25."""
    async with dial(server, path=f"/app/{key}") as peer:
        await expect_refusal(peer, 4001)


@pytest.mark.parametrize(("app", "code"), [("off", 4003), ("tls", 4000)])
async def test_an_application_can_be_closed_to_all(server: Server, app: str, code: int) -> None:
    """8, 9, 20, 25."""
    async with dial(server, app) as peer:
        await expect_refusal(peer, code)


@pytest.mark.parametrize(
    ("version", "code"), [("3", 4007), ("8", 4007), ("abc", 4006), ("", 4006), ("-7", 4006)]
)
async def test_other_protocol_versions_are_refused(server: Server, version: str, code: int) -> None:
    """10, 20, 25."""
    async with dial(server, query=f"protocol={version}&client=js") as peer:
        await expect_refusal(peer, code)


@pytest.mark.parametrize("query", ["", "protocol=5", "protocol=6", f"{QUERY}&flash=1&what=%00"])
async def test_older_versions_and_unknown_parameters_are_fine(server: Server, query: str) -> None:
    """11, 12, 13, 257."""
    async with join(server, query=query):
        pass


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("https://app.test", True),
        ("https://a.sub.test", True),
        (None, True),
        ("https://evil.test", False),
        ("https://a.sub.test.evil.test", False),
        ("http://app.test", False),
        ("null", False),
    ],
)
async def test_pages_of_other_origins_are_refused(
    server: Server, origin: str | None, welcome: bool
) -> None:
    """14, 15, 20, 25."""
    headers = {"Origin": origin} if origin else None
    async with dial(server, "origins", headers=headers) as peer:
        if welcome:
            await greet(peer)
        else:
            await expect_refusal(peer, 4009)


async def test_a_full_application_takes_nobody_until_a_socket_goes(server: Server) -> None:
    """16-20, 25."""
    async with join(server, "one") as first:
        async with dial(server, "one") as second:
            await expect_refusal(second, 4004)
        await first.silence()
        await first.socket.close(1000)
        assert await first.closed() == (1000, "")
    # The close handshake is answered before the server has forgotten the socket.
    for _ in range(50):
        async with dial(server, "one") as third:
            if (await third.receive())["event"] == "pusher:connection_established":
                return
    raise AssertionError("the place of the closed socket stays taken")


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_offers_of_the_client_change_nothing(server: Server, compression: str | None) -> None:
    """22."""
    extensions = [ClientPerMessageDeflateFactory()] if compression else []
    offers = [Subprotocol("a"), Subprotocol("b")]
    async with join(server, compression=None, extensions=extensions, subprotocols=offers) as peer:
        await peer.subscribe("c")
        assert peer.socket.protocol.extensions == []
        assert peer.socket.subprotocol is None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_plain_request_for_a_socket_is_not_found(server: Server, method: str) -> None:
    """23."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, f"/app/app-key?{QUERY}")
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize("path", ["/app/", "/app/a/b", "/", "/nowhere"])
async def test_other_socket_paths_are_closed_quietly(server: Server, path: str) -> None:
    before = server.log.stat().st_size
    with pytest.raises(InvalidStatus) as refused:
        async with dial(server, path=path):
            pass
    # Daphne cannot be told what to answer.
    assert refused.value.response.status_code == {"uvicorn": 404, "daphne": 403}[server.kind]
    assert "ERROR" not in server.log.read_text()[before:]
    assert "Traceback" not in server.log.read_text()[before:]
