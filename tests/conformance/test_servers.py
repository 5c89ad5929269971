"""Each ASGI server carries the same conversation: the same text, the same codes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from tests import live
from tests.conformance.bare import wire
from tests.conformance.peer import Peer, dial
from tests.conformance.publishing import publish
from tests.live import PATIENCE, Server

WAYS: list[live.Way] = [*live.WAYS, "hypercorn"]
KINDS: list[live.Kind] = ["uvicorn", "daphne", "hypercorn"]

GREETING = (
    '{"event":"pusher:connection_established",'
    '"data":"{\\"socket_id\\":\\"SOCKET\\",\\"activity_timeout\\":120}"}'
)

CONVERSATION: list[tuple[str, list[str]]] = [
    ('{"event":"pusher:ping"}', ['{"event":"pusher:pong","data":"{}"}']),
    ("{", ['{"event":"pusher:error","data":{"message":"MESSAGE","code":null}}']),
    (
        '{"event":"pusher:subscribe","data":{"channel":"c"}}',
        ['{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"c"}'],
    ),
    (
        '{"event":"pusher:subscribe","data":{"channel":"private-c","auth":"x"}}',
        [
            '{"event":"pusher:error","data":{"message":"MESSAGE","code":4009},'
            '"channel":"private-c"}',
            '{"event":"pusher:subscription_error","data":{"type":"AuthError",'
            '"error":"MESSAGE","status":401},"channel":"private-c"}',
        ],
    ),
    (
        'SIGNED presence-s {"user_id":1,"user_info":{"name":"Zoë"}}',
        [
            '{"event":"pusher_internal:subscription_succeeded",'
            '"data":"{\\"presence\\":{\\"count\\":1,\\"ids\\":[\\"1\\"],'
            '\\"hash\\":{\\"1\\":{\\"name\\":\\"Zoë\\"}}}}","channel":"presence-s"}'
        ],
    ),
    ('{"event":"client-x","channel":"presence-s","data":[1,null]}', []),
    (
        '{"event":"client-x","channel":"c","data":{}}',
        ['{"event":"pusher:error","data":{"message":"MESSAGE","code":4301},"channel":"c"}'],
    ),
    (
        'SIGN IN {"id":"7"}',
        ['{"event":"pusher:signin_success","data":{"user_data":"{\\"id\\":\\"7\\"}"}}'],
    ),
    (
        '{"event":"pusher:subscribe","data":{"channel":"#server-to-user-7","auth":""}}',
        [
            '{"event":"pusher_internal:subscription_succeeded","data":"{}",'
            '"channel":"#server-to-user-7"}'
        ],
    ),
    (
        '{"event":"pusher:subscribe","data":{"channel":"cache-never"}}',
        [
            '{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"cache-never"}',
            '{"event":"pusher:cache_miss","channel":"cache-never"}',
        ],
    ),
    ('{"event":"pusher:unsubscribe","data":{"channel":"presence-s"}}', []),
    (
        "PUBLISH c",
        ['{"event":"App\\\\Events\\\\X","data":"{ \\"a\\": \\"é\\" }","channel":"c"}'],
    ),
]
"""What is sent, in capitals what a client makes itself, and every frame that answers it."""

CLOSES: dict[str, tuple[dict[str, Any], int]] = {
    "an unknown key": ({"path": "/app/nobody"}, 4001),
    "a disabled application": ({"app": "off"}, 4003),
    "TLS only": ({"app": "tls"}, 4000),
    "an old protocol": ({"query": "protocol=3"}, 4007),
    "no protocol": ({"query": "protocol=abc"}, 4006),
}

ENDS: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "binary": (wire(b"\x00", 0x2), (1003, 1011, 1003)),
    "too large": (wire(b" " * 65_537), (1009, 1011, 1009)),
    "a close": (wire((1000).to_bytes(2, "big"), 0x8), (1000, 1000, 1000)),
}
"""What ends a socket, and the code by kind of server."""


@pytest.fixture(scope="module", params=WAYS)
def each_server(request: pytest.FixtureRequest, live_database: Path) -> Iterator[Server]:
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    with live.serving(request.param, env) as running:
        yield running


async def say(peer: Peer, text: str) -> None:
    match text.split(" ", 2):
        case ["SIGNED", channel, channel_data]:
            await peer.ask_signed(channel, channel_data)
        case ["SIGN", "IN", user_data]:
            await peer.ask_signin(user_data)
        case ["PUBLISH", channel]:
            await publish(peer.server, channel, "App\\Events\\X", '{ "a": "é" }')
        case _:
            await peer.text(text)


async def hear(peer: Peer, expected: str) -> None:
    """The next frame is ``expected``, but for the words of a message."""
    async with asyncio.timeout(PATIENCE):
        frame = await peer.socket.recv()
    start, wild, end = expected.partition("MESSAGE")
    if not wild:
        assert frame == expected
        return
    assert isinstance(frame, str)
    assert frame.startswith(start)
    assert frame.endswith(end)
    assert len(frame) > len(start + end)


async def test_the_conversation_is_the_same(each_server: Server) -> None:
    """48, 258, 267."""
    async with dial(each_server) as peer:
        async with asyncio.timeout(PATIENCE):
            greeting = await peer.socket.recv()
        assert isinstance(greeting, str)
        peer.socket_id = greeting.split('\\"')[3]
        assert greeting == GREETING.replace("SOCKET", peer.socket_id)
        for text, answers in CONVERSATION:
            await say(peer, text)
            for answer in answers:
                await hear(peer, answer)
        await peer.silence()


@pytest.mark.parametrize("what", CLOSES)
async def test_refusals_are_the_same(each_server: Server, what: str) -> None:
    """267."""
    how, code = CLOSES[what]
    async with dial(each_server, **how) as peer:
        told = '{"event":"pusher:error","data":{"message":"MESSAGE","code":CODE}}'
        await hear(peer, told.replace("CODE", str(code)))
        assert (await peer.closed())[0] == code


@pytest.mark.parametrize("what", ENDS)
async def test_ends_are_the_same_as_far_as_servers_let_them(each_server: Server, what: str) -> None:
    """267."""
    content, codes = ENDS[what]
    async with dial(each_server) as peer:
        await peer.expect("pusher:connection_established")
        peer.socket.transport.write(content)
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionClosedError):
                async for _ in peer.socket:  # the error before a close
                    pass
            await peer.socket.wait_closed()
        assert peer.socket.close_code == codes[KINDS.index(each_server.kind)]
    if peer.socket.close_code == 1011:
        await asyncio.to_thread(live.wait_for_line, each_server.log, "Traceback")


async def test_control_pings_are_answered_by_each(each_server: Server) -> None:
    """28, 267."""
    async with dial(each_server) as peer:
        await peer.expect("pusher:connection_established")
        async with asyncio.timeout(PATIENCE):
            await (await peer.socket.ping(b"payload"))
        await peer.silence()
