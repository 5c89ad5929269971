"""The server's end of one WebSocket: frames from and to the transport, and how it all ends.

Knows nothing of HTTP or ASGI. Frames are read when somebody asks for them, so nothing is queued
here: one message lies ready, and what came behind it waits as it came.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from broadcasting.server import framing
from broadcasting.server.framing import CUT, PING, PONG, Violation
from broadcasting.server.kernel import Borrowed, borrow, limit_window, reset
from broadcasting.server.lane import Watcher
from broadcasting.server.waiting import join, wake
from broadcasting.typing import Message

BEHIND = 4_096
"""Bytes behind the message that lies ready, beyond which no more are read."""

HIGH_WATER = 16_384
"""Bytes in a transport from which on a sender waits, where it waits for any at all otherwise.

uvloop keeps 800 bytes for each write that the kernel refused: with frames of 240 bytes, a peer that
reads nothing costs 54 KB at this limit, and 210 KB at the usual one of 64 KB."""

FRAMES_A_TURN = 64
"""Frames of one socket that are read before the others have their turn."""

# How far it is. From OPEN on frames are read; from CLOSING on none is written.
HEAD, ASKED, DENYING, OPEN, CLOSING, ENDED = range(6)

_PING = framing.frame(PING, b"")


def _nowhere(_wire: bytes) -> None:
    """Take what comes too early or too late."""


class Endpoint(asyncio.Protocol):
    """One socket, as a Lane. See WebSocketProtocol for how it begins."""

    __slots__ = (
        "_decoder",
        "_drained",
        "_end",
        "_kernel",
        "_loop",
        "_next",
        "_pong",
        "_reader",
        "_scheduled",
        "_state",
        "_timer",
        "asked_at",
        "close_sent",
        "heard_at",
        "held",
        "paused",
        "send_now",
        "transport",
        "watcher",
        "write",
    )

    close_timeout = 10.0
    """Seconds that a peer may take to answer our close, or to read what waits before the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_size: int) -> None:
        """``max_size``: bytes of a message that the peer may send."""
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # from its beginning
        self._loop = loop
        self._state = HEAD
        self._decoder = framing.Decoder(max_size)

        self.write: Callable[[bytes], None] = _nowhere
        """See Lane."""

        self.send_now: Callable[[bytes], int] | None = None
        """See Lane."""

        self._kernel: Borrowed | None = None

        self.paused = False
        self.watcher: Watcher | None = None
        self.heard_at: float | None = None
        self.asked_at: float | None = None
        """When keepalive sent a ping that is not answered yet."""

        self.close_sent = False
        """Whether the last word was said here: a close frame, or a refusal."""

        self._next: Message | None = None
        """The message that lies ready."""

        self._end: Message | None = None
        """What is told behind the last message, again and again."""

        self._reader: asyncio.Future[None] | None = None
        """What the newest of those waits on who want a message; it wakes the others."""

        self._drained: asyncio.Future[None] | None = None
        """The same for those who write."""

        self.held = False
        """Whether reading is paused, so that nothing of the peer is heard."""

        self._scheduled = False
        """Whether reading goes on in the next turn of the loop."""

        self._pong: bytes | None = None
        """The newest ping of a peer that did not read, and was not answered."""

        self._timer: asyncio.TimerHandle | None = None

    # -- what the transport calls -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvicorn's servers have streams
        self.transport.set_write_buffer_limits(HIGH_WATER)
        limit_window(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._state < OPEN:
            self._decoder.stop()
        self._state = ENDED
        self.paused = False
        self._lose()
        self._tell_end(CUT, "")
        wake(self._drained)

    def pause_writing(self) -> None:
        self.paused = True
        if self.watcher is not None:
            self.watcher.pause()

    def resume_writing(self) -> None:
        self.paused = False
        if self._pong is not None:
            self.write(framing.frame(PONG, self._pong))
            self._pong = None
        wake(self._drained)
        if self.watcher is not None:
            self.watcher.resume()

    # -- the lane ---------------------------------------------------------------------------

    def ask(self) -> None:
        """See Lane."""
        self.write(_PING)

    def waiting(self) -> int:
        """See Lane."""
        return self.transport.get_write_buffer_size()

    def _open(self) -> None:
        """Let everybody write."""
        self.write = self.transport.write
        self._kernel = borrow(self.transport)
        # Of an answer before the handshake; whoever gave it was told of the pause, and not we.
        held = self.transport.get_write_buffer_size()
        if self._kernel is not None:
            # Pauses tell then that it holds something, and resuming that it does not.
            self.paused = held > 0
            self.transport.set_write_buffer_limits(0)
            self.write = self._write
            self.send_now = self._kernel.send
        elif held:
            # TLS: the first ends any pause, the second begins ours.
            self.transport.set_write_buffer_limits(held + 1, held + 1)
            self.transport.set_write_buffer_limits(HIGH_WATER)

    def _write(self, wire: bytes) -> None:
        sent = 0
        if not self.paused and self.send_now is not None:
            # If nothing was taken, the transport finds out why.
            with contextlib.suppress(OSError):
                sent = self.send_now(wire)
        if sent < len(wire):
            self.transport.write(wire[sent:])

    def _lose(self) -> None:
        """Let nobody write any more."""
        self.write = _nowhere
        self.send_now = self._kernel = None
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher.lose()

    # -- reading ----------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Read what came, or keep it until the message before it is taken."""
        self._decoder.feed(data)
        if self._state < OPEN or self._next is not None or self._scheduled:
            self._hold()
            return
        self._read()
        # Between two messages none lies ready, and whatever came then would be added.
        if self._is_full():
            self._hold()

    def _is_full(self) -> bool:
        """Whether a message lies ready, and much of what comes behind it is here already."""
        return self._next is not None and self._decoder.waiting > BEHIND

    def _read(self) -> None:
        """Read frames until a message lies ready, or none is whole."""
        try:
            for _ in range(FRAMES_A_TURN):
                if self._next is not None:
                    return
                event = self._decoder.next()
                if event is None:
                    self._listen()
                    return
                self._handle(*event)
        except Violation as violation:
            self._fail(violation.code, violation.reason)
        else:
            # Pings or tiny parts by the thousand.
            self._hold()
            self._scheduled = True
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._scheduled = False
        self._read()
        if self._end is not None:
            wake(self._reader)

    def _read_more(self) -> None:
        """Go on where reading stopped, because a message was not taken."""
        if (self.held or self._decoder.waiting) and self._state >= OPEN and not self._scheduled:
            self._read()

    def _handle(self, opcode: int, payload: Any) -> None:
        match opcode:
            case framing.TEXT:
                self._put({"type": "websocket.receive", "text": payload})
            case framing.BINARY:
                self._put({"type": "websocket.receive", "bytes": payload})
            case framing.PING:
                self._hear()
                if self.paused:
                    self._pong = payload
                else:
                    self.write(framing.frame(PONG, payload))
            case framing.PONG:
                self._hear()
            case framing.CLOSE:
                self._closed_by_peer(*framing.read_close(payload))

    def _put(self, message: Message) -> None:
        # Behind our close it is nobody's; where the connection is just lost, it came before.
        if not self.close_sent:
            self._next = message
            wake(self._reader)

    def _hear(self) -> None:
        self.heard_at = self._loop.time()
        self.asked_at = None

    def _hold(self) -> None:
        if not self.held and not self.transport.is_closing():
            self.held = True
            self.transport.pause_reading()

    def _listen(self) -> None:
        if self.held and not self.transport.is_closing():
            self.held = False
            self.transport.resume_reading()

    async def _drain(self) -> None:
        """Wait until the transport has room."""
        while self.paused:
            self._drained = join(self._loop, self._drained)
            await self._drained

    # -- the end ----------------------------------------------------------------------------

    def _say_close(self, code: int, reason: str) -> None:
        """Write a close frame, behind whatever waits."""
        self.write(framing.close_frame(code, reason))
        self._state = CLOSING
        self.close_sent = True
        self._lose()

    def _close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        self._say_close(code, reason)
        self._next = None
        self._tell_end(code, reason)
        self._set_timer()
        # What comes before the peer's own close is dropped.
        if not self._scheduled:
            self._read()

    def _closed_by_peer(self, code: int, reason: str) -> None:
        """Answer the peer's close, or take it as the answer to ours."""
        self._decoder.stop()
        if self._state == ENDED:
            # Nobody had asked for it before the connection was gone.
            self._end = _disconnect(code, reason)
            return
        if self._state == OPEN:
            self._say_close(code, "")
        self._tell_end(code, reason)
        self._hang_up()

    def _fail(self, code: int, reason: str) -> None:
        """End the connection of a peer that broke the protocol."""
        self._decoder.stop()
        if self._state == CLOSING:
            self._hang_up()
        if self._state != OPEN:
            return
        self._say_close(code, reason)
        self._tell_end(code, reason)
        # A connection that closes with bytes unread is reset, and our close frame with it. So only
        # our half ends, and what still comes is dropped.
        self._listen()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._set_timer()
        else:
            self._hang_up()

    def fail(self, code: int, reason: str) -> None:
        """End an open socket at once; the peer is told ``code`` if it still reads."""
        if self._state == OPEN:
            self._fail(code, reason)

    def _tell_end(self, code: int, reason: str) -> None:
        if self._end is None:
            self._end = _disconnect(code, reason)
        wake(self._reader)

    def _hang_up(self) -> None:
        """End the connection once everything is written."""
        self._state = ENDED
        # asyncio's transport under TLS falls apart when it is closed twice.
        if not self.transport.is_closing():
            self.transport.close()
        if self.transport.get_write_buffer_size():
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self.close_timeout, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        if self.transport.get_write_buffer_size():
            reset(self.transport)
        else:
            self.transport.abort()


def _disconnect(code: int, reason: str) -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}
