"""A WebSocket under uvicorn for any ASGI application: all of RFC 6455, and little else.

::

    uvicorn --ws broadcasting.server.websocket:WebSocketProtocol module:app

Here are its beginning in HTTP and its words in ASGI. It keeps what an idle socket needs and no
more: no request, no queue, no timer, no logger of its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from broadcasting.server import endpoint, framing, keepalive, upgrade
from broadcasting.server.endpoint import ASKED, DENYING, ENDED, HEAD, OPEN, Endpoint
from broadcasting.server.framing import BINARY, CUT, TEXT
from broadcasting.server.lane import LANE, Lane
from broadcasting.server.scopes import named, scope_of
from broadcasting.server.waiting import join
from broadcasting.typing import Message, Scope

logger = logging.getLogger("uvicorn.error")

MAX_HEAD = 65_536
"""Bytes of a handshake; the HTTP side before us has its own, usually lower bound."""

MESSAGES_A_TURN = 32
"""Messages that an application takes in a row before the other sockets have their turn."""


class WebSocketProtocol(Endpoint):
    """One socket, from its request to the end of its application."""

    __slots__ = (
        "_app_state",
        "_config",
        "_dismissed",
        "_in_a_row",
        "_kept",
        "_server_state",
        "scope",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn makes it."""
        if not config.loaded:
            config.load()
        super().__init__(_loop or asyncio.get_event_loop(), config.ws_max_size)
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self.scope: Scope = {}

        self._kept: Any = b""
        """What the next step of the handshake needs: a part of the request, the answer to its
        key, or status and headers of a denial."""

        self._dismissed = False
        """Whether the application itself said the last word."""

        self._in_a_row = 0
        """Messages that the application took without waiting."""

    # -- what uvicorn calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # it names its own

    def data_received(self, data: bytes) -> None:
        if self._state == HEAD:
            self._read_head(data)
        else:
            self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server_state.connections.discard(self)
        if (keeper := self._keeper()) is not None:
            keeper.remove(self)
        # Two that hold each other would wait for the garbage collector, which comes rarely.
        if self.scope:
            self.scope["extensions"].pop(LANE, None)

    def shutdown(self) -> None:
        """End with the server: 1012, "Service Restart"."""
        if self._state == ASKED:
            self._refuse(upgrade.response(503, [], b"The server stops\n"))
        elif self._state == OPEN:
            self._close(1012, "")
        else:
            self._hang_up()

    # -- the handshake ----------------------------------------------------------------------

    def _read_head(self, data: bytes) -> None:
        head, end, rest = (self._kept + data).partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD:
            self._refuse(upgrade.response(431, [], b""))
        elif not end:
            self._kept = head
        else:
            self._kept = b""
            try:
                self._ask(upgrade.read(head))
            except upgrade.Refused as refused:
                self._refuse(refused.answer)
            if rest:
                self._take(rest)

    def _ask(self, request: upgrade.Request) -> None:
        """Let the application decide about a good handshake."""
        self.scope = scope_of(request, self._config, self.transport, self._app_state)
        lane: Lane = self
        self.scope["extensions"][LANE] = lane
        self._kept = request.accept
        self._state = ASKED
        self._next = {"type": "websocket.connect"}
        tasks = self._server_state.tasks
        task = self._loop.create_task(self._run())
        task.add_done_callback(tasks.discard)
        tasks.add(task)

    def _refuse(self, answer: bytes) -> None:
        """Answer what is no handshake, or is not wanted, and hang up."""
        self.transport.write(answer)
        self._end_refused()

    def _end_refused(self) -> None:
        self.close_sent = True
        self._kept = None
        self._next = None
        self._decoder.stop()
        self._tell_end(CUT, "")
        self._hang_up()

    # -- the application --------------------------------------------------------------------

    async def _run(self) -> None:
        """Run the application, and end what it left open."""
        try:
            result: Any = await self._config.loaded_app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            self._leave()
            self._hang_up()
            raise
        except Exception:
            logger.exception("Exception in ASGI application\n")
        else:
            if self._state == ASKED:
                logger.error("ASGI callable returned without completing handshake.")
            elif result is not None:
                logger.error("ASGI callable should return None, but returned '%s'.", result)
        self._leave()

    def _leave(self) -> None:
        if self._state == ASKED or (self._state == DENYING and self._kept is not None):
            self._refuse(upgrade.response(500, [], b"Internal Server Error\n"))
        elif self._state == DENYING:
            self._end_refused()
        elif self._state == OPEN:
            self._close(1011, "")

    async def receive(self) -> Message:
        """Return the next message: ASGI's receive.

        What came behind it is looked at when this is called again, so that a message is handled,
        and perhaps answered, before the close that came with it.
        """
        # Before a message is taken: who is cancelled meanwhile must not take it along.
        self._in_a_row += 1
        if self._in_a_row > MESSAGES_A_TURN:
            self._in_a_row = 0
            await asyncio.sleep(0)
        while (message := self._next) is None:
            self._read_more()
            if self._next is not None:
                continue
            if self._end is not None and not self._scheduled:
                return self._end
            self._in_a_row = 0
            self._reader = join(self._loop, self._reader)
            await self._reader
        self._next = None
        return message

    async def send(self, message: Message) -> None:
        """Take a message of the application: ASGI's send.

        Raises RuntimeError for one that is out of order, ClientDisconnected (an OSError) once
        the peer is gone.
        """
        kind = message["type"]
        if self._state == OPEN and kind == "websocket.send":
            self.write(_framed(message))
        elif self._dismissed:
            raise RuntimeError(f"Unexpected {kind!r} behind the last message")
        elif self._state <= OPEN:
            self._obey(kind, message)
        elif kind != "websocket.close":  # which is no wish of its own any more
            raise ClientDisconnected
        # Written already, so that it keeps its place; only the next one has to wait.
        if self.paused and kind != "websocket.close":
            await self._drain()
            if self._state == ENDED and not self._dismissed:
                raise ClientDisconnected

    def _obey(self, kind: str, message: Message) -> None:
        """Do what can be asked at this point other than to send."""
        match self._state, kind:
            case (endpoint.ASKED, "websocket.accept"):
                self._accept(message)
            case (endpoint.ASKED, "websocket.close"):
                self._dismissed = True
                self._log("403")
                self._refuse(upgrade.response(403, [], b""))
            case (endpoint.ASKED, "websocket.http.response.start"):
                self._deny(message)
            case (endpoint.DENYING, "websocket.http.response.body"):
                self._denial(message)
            case (endpoint.OPEN, "websocket.close"):
                self._close_as(message)
            case _:
                raise RuntimeError(f"Expected {_EXPECTED[self._state]}, but got {kind!r}")

    def _accept(self, message: Message) -> None:
        headers = [*self._server_state.default_headers, *message.get("headers", ())]
        answer = upgrade.switching(self._kept, message.get("subprotocol"), headers)
        self._log("[accepted]")
        self._kept = answer
        self._state = OPEN
        self.write = self._begin
        # Most applications say something at once, and one write is cheaper than two.
        self._loop.call_soon(self._begin)
        if (keeper := self._keeper()) is not None:
            keeper.add(self)
        if not self._next:
            self._read()

    def _begin(self, wire: bytes = b"") -> None:
        """Answer the handshake, and send what the application says first behind it."""
        answer, self._kept = self._kept, None
        if answer is None or self._state != OPEN:
            self.write(wire)
            return
        self._open()
        self.write(answer + wire)
        if self.watcher is not None and not self.paused:
            self.watcher.resume()  # with a quicker way to write

    def _deny(self, message: Message) -> None:
        """Refuse in the application's own words. The head leaves with the first of the body."""
        status = message["status"]
        if not 200 <= status < 600:
            raise RuntimeError(f"A WebSocket cannot be denied with the status {status!r}")
        self._log(str(status))
        self._kept = (status, [*self._server_state.default_headers, *message.get("headers", ())])
        self._state = DENYING

    def _denial(self, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._kept is not None:
            status, headers = self._kept
            answer = upgrade.response_begun if more else upgrade.response
            body = answer(status, headers, body)
            self._kept = None
        self.transport.write(body)
        if not more:
            self._dismissed = True
            self._end_refused()

    def _close_as(self, message: Message) -> None:
        code, reason = message.get("code") or 1000, message.get("reason") or ""
        if not framing.may_be_sent(code) and code != framing.NO_CODE:
            raise RuntimeError(f"No close frame may carry the code {code!r}")
        self._dismissed = True
        self._close(code, reason)

    def _keeper(self) -> keepalive.Keepalive | None:
        return keepalive.keep(self._config, self._server_state, self._loop)

    def _log(self, outcome: str) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.info('%s - "WebSocket %s" %s', *named(self.scope), outcome)


_EXPECTED = {
    ASKED: "'websocket.accept', 'websocket.close' or 'websocket.http.response.start'",
    DENYING: "'websocket.http.response.body'",
    OPEN: "'websocket.send' or 'websocket.close'",
}


def _framed(message: Message) -> bytes:
    if (data := message.get("bytes")) is not None:
        return framing.frame(BINARY, data)
    if (text := message.get("text")) is not None:
        return framing.frame(TEXT, text.encode())
    raise RuntimeError("A 'websocket.send' needs 'text' or 'bytes'")
