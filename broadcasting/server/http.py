"""uvicorn's HTTP side with bounds on what comes before a request, and a quick way to ours.

A peer that never ends its headers, or sends them without end, loses its connection; so does
one that is slow about a WebSocket's handshake, which begins as HTTP. There is one timer for
each connection, whatever it carries.

A plain request for which there is a ``quick`` answer gets it in one step: the same
ASGI, but no task, no events, and one write.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from httptools import HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from broadcasting.server import plain
from broadcasting.server.exchange import Exchange, exchange
from broadcasting.server.limits import Door
from broadcasting.server.node import get_node
from broadcasting.typing import AsgiApplication, Scope

MAX_WAITING = 32
"""Requests of one connection that wait for the answer to one before them: each takes about 2 KB,
and one read may bring a thousand. Whoever sends more loses the connection."""

Quick = Callable[[Scope], AsgiApplication | None]


class HttpProtocol(HttpToolsProtocol):
    """One connection, until it becomes a WebSocket or ends."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        quick: Quick | None = None,
        door: Door | None = None,
    ) -> None:
        """``quick`` returns what answers a request without ever waiting, if anything does.

        ``door`` says whether there is room for one more.
        """
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self._node = get_node()
        self._max_head = self._node.settings.max_head_bytes
        """Chunks may have as many bytes in a row, and the body as many behind it, that add nothing
        to what the application reads."""

        usual = not (config.access_log or self.root_path or self.limit_concurrency)
        self._quick = quick if usual else None
        self._between = True
        """Whether the next byte begins a request."""

        self._received = 0
        """Bytes since anything was complete, or a body went on: of a head, or what is dropped."""

        self._moved = False
        """Whether something was complete, or a body went on, in what has come just now."""

        self._stuck_since: float | None = None
        """Since when a body's framing comes, and nothing of the body."""

        self._data = b""
        """What is read right now."""

        self._over = False
        """Whether what still comes is none of our business: refused, or a WebSocket's."""

        self._head_since: float | None = None
        """When the head began that is not complete."""

        self._idle_since: float | None = None
        """Since when there is nothing to do, unless uvicorn's own timer runs."""

        self._timer: asyncio.TimerHandle | None = None

    # -- what uvicorn calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # of uvicorn's own servers
        if self._door is not None and not self._door.admits(len(self.connections)):
            self.transport.abort()
            return
        self._head_since = self.loop.time()
        self._look_after(self._node.settings.handshake_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_looking()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._over or (self._between and self._answered(data)):
            return
        self._received += len(data)
        self._moved = False
        self._data = data
        super().data_received(data)
        self._data = b""
        if not self._over:
            self._take_stock()

    def _take_stock(self) -> None:
        """See where the connection stands after what has come."""
        in_head = self._head_since is not None
        if self._moved:
            self._stuck_since = None
            # How much of it was before this head is not known; the next bytes are all its own.
            self._received = self._head_size() if in_head else 0
        elif not (in_head or self._between or self._stuck_since is not None):
            self._stuck_since = self.loop.time()
        if self._received > self._max_head:
            self._refuse()
        # Line breaks between requests, or the rest of one that is answered, stop uvicorn's timer.
        elif not in_head and self._is_done() and (self._moved or self._idle_since is None):
            self._rest()

    def handle_websocket_upgrade(self) -> None:
        self._stop_looking()
        if self._over:
            return
        self._over = True
        if not self._is_done():
            # The answer that is under way would run into the frames.
            self.transport.close()
            return
        if self.scope["http_version"] != "1.1":
            # What uvicorn hands on always says 1.1.
            self.send_400_response("A WebSocket begins with HTTP/1.1")
            return
        # uvicorn catches this and calls us; behind the head there may be the first frames.
        upgrade = sys.exc_info()[1]
        end = upgrade.args[0] if isinstance(upgrade, HttpParserUpgrade) else len(self._data)
        super().handle_websocket_upgrade()
        if rest := self._data[end:]:
            self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]
        # The parser holds us: together we would wait for the garbage collector.
        self.parser = self.cycle = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between = False
        self._idle_since = None
        self._head_since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Those that come behind a body are nobody's business.
        if self._head_since is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_since = None
        self._moved = True
        # Most requests come in fewer bytes than a head may have.
        if self._received > self._max_head and self._head_size() > self._max_head:
            self._refuse()
        if len(self.pipeline) >= MAX_WAITING:
            self._over = True
            self._node.counters.heads_too_many += 1
            self.transport.close()
        if not self._over:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        if not self._over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._between = self._moved = True
        if not self._over:
            super().on_message_complete()

    # -- quick answers ----------------------------------------------------------------------

    def _answered(self, data: bytes) -> bool:
        """Answer the request that ``data`` is, if that is possible in one step."""
        # Before anything is read: most requests of a site are for its pages.
        if self._quick is None or data.find(b"/apps/", 0, 256) < 0 or not self._is_free():
            return False
        request = plain.read(data)
        if request is None:
            return False
        path = request.raw_path.decode("ascii")
        scope = {
            "type": "http",
            "method": request.method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": request.raw_path,
            "query_string": request.query_string,
        }
        answer = self._quick(scope)
        if answer is None:
            return False
        self._unset_keepalive_if_required()
        self._write(exchange(answer, scope, request.body))
        return True

    def _is_free(self) -> bool:
        """Whether nothing is under way here."""
        done = self._is_done() and not self.flow.write_paused
        return done and not self.transport.is_closing()

    def _is_done(self) -> bool:
        # uvicorn has no cycle before the first request, whatever its annotations say.
        return getattr(self.cycle, "response_complete", True)

    def _is_busy(self) -> bool:
        """Whether somebody waits for us, and not we for the peer."""
        if self._stuck_since is not None:
            return bool(self.pipeline)  # whose bodies are not read either
        return not self._is_done()

    def _write(self, exchange: Exchange) -> None:
        self.server_state.total_requests += 1
        self.transport.write(exchange.encoded(self.server_state.default_headers))
        self._head_since = None
        self._received = 0
        self._rest()

    def _rest(self) -> None:
        """Wait for the next request, as long as uvicorn would."""
        self._idle_since = self.loop.time()
        if self._timer is None:
            self._look_after(self.timeout_keep_alive)

    # -- bounds -----------------------------------------------------------------------------

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self) -> None:
        """Answer 431 and hang up."""
        if self._over or self.transport.is_closing():
            return
        self._over = True
        self._node.counters.heads_too_large += 1
        # In the middle of another answer nothing can be said.
        if self._is_done():
            said = b"content-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[431] + said)
        self.transport.close()

    def _look_after(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._look)

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Hang up on a peer that took too long; otherwise look again when it could have."""
        self._timer = None
        patience, since = self._node.settings.handshake_timeout, self._head_since
        if since is None:
            since = self._stuck_since
        slow = since is not None
        if since is None:
            patience, since = float(self.timeout_keep_alive), self._idle_since
        now = self.loop.time()
        if since is None or self._is_busy():
            self._look_after(patience)
        elif now < since + patience:
            self._look_after(since + patience - now)
        elif not self.transport.is_closing():
            self._node.counters.heads_too_slow += slow
            self.transport.close()
