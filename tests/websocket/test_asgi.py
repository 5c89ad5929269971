"""What an application sees and may say, by ASGI 2.4, on both loops."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected

from broadcasting.typing import Message, Receive, Scope, Send
from tests.live import PATIENCE
from tests.websocket.client import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Client,
    close,
    opened,
    plugged,
    request,
    wire,
)
from tests.websocket.site import Site


class Asked:
    """An application that hands its scope, and what came of it, to the test's loop."""

    def __init__(self, site: Site, steps: Any) -> None:
        self.steps = steps
        self.loop = asyncio.get_running_loop()
        self.result: asyncio.Future[Any] = self.loop.create_future()
        site.application = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            result = await self.steps(scope, receive, send)
        except Exception as problem:
            self.loop.call_soon_threadsafe(self.result.set_exception, problem)
            raise
        self.loop.call_soon_threadsafe(self.result.set_result, result)

    async def came_to(self) -> Any:
        """Return what the steps returned; raise what they raised."""
        async with asyncio.timeout(PATIENCE):
            return await self.result


async def accept(receive: Receive, send: Send, **more: Any) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **more})


async def refused(client: Client) -> tuple[bytes, dict[bytes, bytes], bytes]:
    await client.send(request())
    status, headers = await client.head()
    return status.split(b" ")[1], headers, await client.ended()


async def test_the_scope_is_uvicorns(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> Scope:
        kept = scope | {"extensions": dict(scope["extensions"])}
        await accept(receive, send)
        await send({"type": "websocket.close"})
        return kept

    asked = Asked(site, steps)
    cookie = (b"Cookie: a=b", b"Cookie: c=d", b"Sec-WebSocket-Protocol: one", b"X-Ray: \xe9")
    async with opened(site.port, "/a%20b/%C3%A9?q=%20&r", cookie) as client:
        assert await client.frame() == (CLOSE, b"\x03\xe8")
        scope = await asked.came_to()
    assert scope["type"] == "websocket"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert (scope["http_version"], scope["scheme"], scope["root_path"]) == ("1.1", "ws", "")
    assert scope["path"] == "/a b/é"
    assert scope["raw_path"] == b"/a%20b/%C3%A9"
    assert scope["query_string"] == b"q=%20&r"
    assert scope["subprotocols"] == ["one"]
    assert scope["headers"][-4:] == [
        *((b"cookie", b"a=b"), (b"cookie", b"c=d")),
        *((b"sec-websocket-protocol", b"one"), (b"x-ray", b"\xe9")),
    ]
    assert scope["server"] == ("127.0.0.1", site.port)
    assert scope["client"][0] == "127.0.0.1"
    assert scope["state"] == {}
    assert set(scope["extensions"]) == {"websocket.http.response", "broadcasting.lane"}


async def test_an_acceptance_may_say_a_subprotocol_and_headers(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send, subprotocol="two", headers=[(b"x-more", b"yes")])
        await receive()

    Asked(site, steps)
    async with plugged(site.port) as client:
        await client.send(request("/", b"Sec-WebSocket-Protocol: one, two"))
        _, headers = await client.head()
        assert headers[b"sec-websocket-protocol"] == b"two"
        assert headers[b"x-more"] == b"yes"


async def test_text_and_bytes(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> list[Message]:
        await accept(receive, send)
        got = [await receive(), await receive(), await receive()]
        await send({"type": "websocket.send", "text": "é", "bytes": None})
        await send({"type": "websocket.send", "bytes": b""})
        return got

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        await client.send(wire("é".encode()), wire(b"\xff", 2), wire(b""))
        assert await client.frame() == (1, "é".encode())
        assert await client.frame() == (2, b"")
        assert await asked.came_to() == [
            {"type": "websocket.receive", "text": "é"},
            {"type": "websocket.receive", "bytes": b"\xff"},
            {"type": "websocket.receive", "text": ""},
        ]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (close(4000, b"why"), (4000, "why")),
        (close(), (1005, "")),
        (None, (1006, "")),
        (wire(b"\xff"), (1007, "Not UTF-8")),
    ],
    ids=["code", "no code", "cut", "violation"],
)
async def test_a_disconnect_says_why_as_often_as_it_is_asked(
    site: Site, sent: bytes | None, told: tuple[int, str]
):
    async def steps(scope: Scope, receive: Receive, send: Send) -> list[Message]:
        await accept(receive, send)
        return [await receive(), await receive()]

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        if sent is None:
            client.writer.transport.abort()
        else:
            await client.send(sent)
        end = {"type": "websocket.disconnect", "code": told[0], "reason": told[1]}
        assert await asked.came_to() == [end, end]


async def test_messages_are_still_delivered_once_the_peer_is_gone(site: Site):
    gone = asyncio.Event()

    async def steps(scope: Scope, receive: Receive, send: Send) -> list[Any]:
        await accept(receive, send)
        lane = scope["extensions"]["broadcasting.lane"]
        while not lane.transport.is_closing():
            await asyncio.sleep(0.001)  # nothing tells of it but receive()
        return [await receive() for _ in range(3)]

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        # In one piece, of which nothing is read before it is asked for.
        await client.send(wire(b"a") + wire(b"b") + close(4001))
        client.writer.close()
        gone.set()
        messages = await asked.came_to()
    assert [m.get("text", m.get("code")) for m in messages] == ["a", "b", 4001]


async def test_a_close_before_accept_is_403(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> Message:
        await receive()
        await send({"type": "websocket.close"})
        return await receive()

    asked = Asked(site, steps)
    async with plugged(site.port) as client:
        status, _, body = await refused(client)
        assert (status, body) == (b"403", b"")
        assert (await asked.came_to())["code"] == 1006


@pytest.mark.parametrize("pieces", [[b"no"], [b"", b"n", b"o"], [b"n", b"o", b""]])
async def test_a_denial_in_the_applications_words(site: Site, pieces: list[bytes]):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"x-why", b"because"), (b"content-type", b"text/x")]
        start = {"type": "websocket.http.response.start", "status": 404, "headers": headers}
        await send(start)
        for place, piece in enumerate(pieces):
            more = place < len(pieces) - 1
            body = {"type": "websocket.http.response.body", "body": piece, "more_body": more}
            await send(body)

    asked = Asked(site, steps)
    async with plugged(site.port) as client:
        status, headers, body = await refused(client)
        assert (status, body) == (b"404", b"no")
        assert (headers[b"x-why"], headers[b"content-type"]) == (b"because", b"text/x")
        # More to come: only the end of the connection tells where the body ends.
        assert headers.get(b"content-length") == (b"2" if len(pieces) == 1 else None)
        await asked.came_to()


async def test_a_large_denial_is_waited_for(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 403})
        for more in (True, False):
            body = {"type": "websocket.http.response.body", "body": b"x" * 20_000_000}
            await send({**body, "more_body": more})

    asked = Asked(site, steps)
    async with plugged(site.port) as client:
        status, _, body = await refused(client)
        assert (status, len(body)) == (b"403", 40_000_000)
        await asked.came_to()


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("early")


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    return None


async def half_denies(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 404, "headers": []})


@pytest.mark.parametrize("application", [fails, returns])
async def test_an_application_that_does_not_decide_is_500(site: Site, application: Any):
    site.application = application
    async with plugged(site.port) as client:
        assert (await refused(client))[0] == b"500"


async def test_a_denial_without_a_body_ends(site: Site):
    site.application = half_denies
    async with plugged(site.port) as client:
        await client.send(request())
        assert (await client.head())[0].startswith(b"HTTP/1.1 500 ")
        await client.ended()


@pytest.mark.parametrize("failing", [True, False])
async def test_an_application_that_ends_without_a_close_is_1011(site: Site, failing: bool):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        if failing:
            raise ValueError("late")

    Asked(site, steps).result.add_done_callback(lambda result: result.exception())
    async with opened(site.port) as client:
        assert await client.frame() == (CLOSE, b"\x03\xf3")
        await client.send(close(1011))
        assert await client.ended() == b""


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (["send"], "Expected 'websocket.accept'"),
        (["http.response.body"], "Expected 'websocket.accept'"),
        (["http.response.start", "accept"], "Expected 'websocket.http.response.body'"),
        (["accept", "accept"], "Expected 'websocket.send'"),
        (["accept", "close", "send"], "Unexpected 'websocket.send'"),
        (["accept", "close", "close"], "Unexpected 'websocket.close'"),
        (["close", "accept"], "Unexpected 'websocket.accept'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_what_is_out_of_order_raises(site: Site, said: list[str], text: str):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        for kind in said:
            await send({"type": f"websocket.{kind}", "text": "t", "status": 404, "code": None})

    asked = Asked(site, steps)
    async with plugged(site.port) as client:
        await client.send(request())
        with pytest.raises(RuntimeError, match=text):
            await asked.came_to()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": None, "bytes": None},
        {"type": "websocket.close", "code": 1006},
        {"type": "websocket.close", "code": 999},
        {"type": "websocket.what"},
    ],
    ids=str,
)
async def test_what_cannot_be_sent_raises(site: Site, message: Message):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send(message)

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        with pytest.raises(RuntimeError):
            await asked.came_to()
        assert await client.frame() == (CLOSE, b"\x03\xf3")


@pytest.mark.parametrize("status", [101, 199, 600])
async def test_a_denial_is_a_final_answer(site: Site, status: int):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": status})

    asked = Asked(site, steps)
    async with plugged(site.port) as client:
        assert (await refused(client))[0] == b"500"
        with pytest.raises(RuntimeError, match=str(status)):
            await asked.came_to()


async def test_what_is_sent_to_nobody_raises_and_a_close_does_not(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await send({"type": "websocket.close"})
        await send({"type": "websocket.send", "text": "nobody"})

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        await client.send(close(1000))
        with pytest.raises(ClientDisconnected):
            await asked.came_to()
    assert issubclass(ClientDisconnected, OSError)


async def test_a_close_has_code_and_reason_and_is_answered(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> list[Message]:
        await accept(receive, send)
        await send({"type": "websocket.close", "code": 4321, "reason": "enough"})
        return [await receive()]

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        assert await client.frame() == (CLOSE, (4321).to_bytes(2, "big") + b"enough")
        # What was on its way is nobody's; it is still open, and ends with the answer.
        await client.send(wire(b"late"), wire(b"late", PING), close(4321))
        assert await client.ended() == b""
        assert (await asked.came_to())[0]["code"] == 4321


async def test_a_close_that_is_not_answered_ends_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("broadcasting.server.endpoint.Endpoint.close_timeout", 0.05)

    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.close"})

    Asked(site, steps)
    async with opened(site.port) as client:
        assert await client.frame() == (CLOSE, b"\x03\xe8")
        assert await client.ended() == b""


async def test_frames_wait_for_the_acceptance(site: Site):
    asked_for, may = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def steps(scope: Scope, receive: Receive, send: Send) -> Message:
        await receive()
        loop.call_soon_threadsafe(asked_for.set)
        await elsewhere(may.wait(), loop)
        await send({"type": "websocket.accept"})
        return await receive()

    asked = Asked(site, steps)
    async with plugged(site.port) as client:
        await client.send(request())
        await asked_for.wait()
        await client.send(*[b"%c" % octet for octet in wire(b"early")])
        may.set()
        await client.head()
        assert (await asked.came_to())["text"] == "early"


async def elsewhere(waits: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Wait for what happens in another thread's loop."""
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(waits, loop))


async def test_two_may_wait_for_a_message(site: Site):
    """As with a queue: each gets one, whoever gives up."""

    async def steps(scope: Scope, receive: Receive, send: Send) -> list[str]:
        await accept(receive, send)
        tasks: list[asyncio.Future[Message]] = [asyncio.ensure_future(receive()) for _ in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
        await asyncio.sleep(0)
        await send({"type": "websocket.send", "text": "go"})
        messages: list[Message] = [await tasks[0], await tasks[2]]
        return sorted(message["text"] for message in messages)

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        assert await client.frame() == (TEXT, b"go")
        await client.send(wire(b"a"), wire(b"b"))
        assert await asked.came_to() == ["a", "b"]


async def test_who_stops_waiting_loses_no_message(site: Site):
    """Whenever it stops: all that came in one read are taken by those who give up at once."""

    async def steps(scope: Scope, receive: Receive, send: Send) -> list[str]:
        await accept(receive, send)
        taken: list[str] = []
        while len(taken) < 500:
            taking: asyncio.Future[Message] = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            if not taking.done():
                taking.cancel()
                await asyncio.wait([taking])
            if not taking.cancelled():
                taken.append(taking.result()["text"])
        return taken

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        await client.send(b"".join(wire(b"%d" % number) for number in range(500)))
        assert await asked.came_to() == [str(number) for number in range(500)]


async def test_a_cancelled_application_ends_its_socket(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await receive()

    site.application = steps
    async with opened(site.port) as client:
        assert await client.closed() == 1011


async def test_a_ping_is_answered_while_the_application_is_busy(site: Site):
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await asyncio.to_thread(
            lambda: asyncio.run_coroutine_threadsafe(done.wait(), loop).result()
        )

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        await client.send(wire(b"busy?", PING))
        assert await client.frame() == (PONG, b"busy?")
        done.set()
        await asked.came_to()


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
async def test_each_handshake_is_a_line_for_those_who_read_them(
    site: Site, level: int, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(level, "uvicorn.error")
    async with opened(site.port, "/a?b"):
        pass
    site.application = half_denies
    async with plugged(site.port) as client:
        await refused(client)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    ends = ['"WebSocket /a?b" [accepted]', '"WebSocket /" 404']
    assert [line.partition(" - ")[2] for line in lines] == (ends if level == logging.INFO else [])


async def test_a_peer_that_goes_before_it_is_let_in(site: Site):
    """What it sent is nobody's: it was not accepted."""

    async def steps(scope: Scope, receive: Receive, send: Send) -> list[Message]:
        return [await receive(), await receive()]

    asked = Asked(site, steps)
    async with plugged(site.port) as client:
        await client.send(request())
    connect, end = await asked.came_to()
    assert (connect["type"], end["code"]) == ("websocket.connect", 1006)


async def test_a_denial_that_breaks_off_ends_there(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 404})
        body = {"type": "websocket.http.response.body", "body": b"half", "more_body": True}
        await send(body)

    site.application = steps
    async with plugged(site.port) as client:
        assert (await refused(client))[::2] == (b"404", b"half")


async def test_an_application_that_accepts_and_closes_at_once(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})

    site.application = steps
    async with opened(site.port) as client:
        assert await client.frame() == (CLOSE, b"\x0f\xa0")
        # It is no matter what is said against it, or how.
        await client.send(wire(b"", 3))
        assert await client.ended() == b""


async def test_what_an_application_returns_is_an_error_of_its_own(
    site: Site, caplog: pytest.LogCaptureFixture
):
    async def returning(scope: Scope, receive: Receive, send: Send) -> Any:
        await accept(receive, send)
        await send({"type": "websocket.close"})
        return "something"

    caplog.set_level(logging.ERROR, "uvicorn.error")
    site.application = returning
    async with opened(site.port) as client:
        await client.frame()
        await client.send(close(1000))
        await client.ended()
    assert "returned 'something'" in caplog.text
