"""One live socket: the only place that knows how bytes leave.

Where the server lends its lane, the bytes of a frame are built once and go to each transport
as they are; what a slow reader cannot take waits here, in a bounded outbox, as references to
bytes that all sockets share.

Elsewhere the ASGI ``send`` coroutine is stepped once by hand, which costs a fraction of a task.
Servers finish it in that step unless the peer reads slowly; only then is it handed to a
task, and later frames wait in the outbox behind it. Order always holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import types
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

from broadcasting.conf import ServerSettings
from broadcasting.protocol.errors import HandshakeRefused, TryAgain
from broadcasting.protocol.messages import error as error_frame
from broadcasting.protocol.protocol import Protocol
from broadcasting.server.counters import Counters
from broadcasting.server.frames import Frame
from broadcasting.server.lane import Lane
from broadcasting.server.unread import Unread
from broadcasting.typing import Message, Send

logger = logging.getLogger("broadcasting.server")


# Shared by all sockets that read fast enough, which is nearly all of them, nearly always.
_NO_OUTBOX: deque[Frame] = deque(maxlen=0)

CHUNK = 65_536
"""Bytes of a slow reader's outbox that are given to its transport at once."""


def send_all(connections: Iterable[Connection], frame: Frame) -> None:
    """Write a broadcast to every socket. See Connection.send().

    This loop is what a fan-out costs: one system call for each socket, and nothing else.
    """
    wire = frame.wire
    size = len(wire)
    for connection in connections:
        send_now = connection.send_now
        if send_now is None:
            connection.send(frame)
            continue
        try:
            sent = send_now(wire)
        except OSError:  # full, or gone: its transport finds out which
            sent = 0
        if sent != size:
            connection.write(wire[sent:])


class Connection:
    """A socket that completed its handshake. Used on the node's event loop only."""

    __slots__ = (
        "_asgi_send",
        "_close_message",
        "_counters",
        "_outbox",
        "_outbox_bytes",
        "_settings",
        "_task",
        "_unread",
        "_writer",
        "closing",
        "closing_since",
        "lane",
        "protocol",
        "revocations_before",
        "send_now",
        "socket_id",
    )

    def __init__(
        self,
        protocol: Protocol,
        send: Send,
        settings: ServerSettings,
        counters: Counters,
        task: asyncio.Task[Any] | None = None,
        lane: Lane | None = None,
    ) -> None:
        """``task`` is the consumer's, cancelled when a peer does not even read our close."""
        self.protocol = protocol
        self.socket_id = protocol.socket_id
        self.lane = lane
        self.send_now: Callable[[bytes], int] | None = None
        """See Lane; None: see send()."""

        self.revocations_before = 0
        """How many its node had heard when it came; newer ones count for its answers."""

        self.closing = False
        """Whether a close was sent or decided; nothing is sent any more."""

        self.closing_since: float | None = None
        """When the node's sweep first saw it closing, in seconds of its clock."""

        self._asgi_send = send
        self._settings = settings
        self._counters = counters
        self._task = task
        self._writer: asyncio.Task[None] | None = None
        self._outbox: deque[Frame] = _NO_OUTBOX
        self._outbox_bytes = 0
        self._unread: Unread | None = None
        """Of one that is behind."""

        self._close_message: Message | None = None
        """Sent behind the outbox."""

        if lane is not None:
            lane.watcher = self
            self.resume()

    def send(self, frame: Frame) -> None:
        """Write a broadcast, or keep it for a slow reader. Never blocks, never raises.

        With the policy ``drop`` it may be lost.
        """
        if self._writer is None and self.lane is None and not self.closing:
            self._step(frame.messages)
        else:
            self._send(frame, may_drop=self._settings.slow_policy == "drop")

    def reply(self, frame: Frame) -> None:
        """See send(). A frame of the protocol itself is never dropped: the peer counts on it."""
        self._send(frame, may_drop=False)
        if self._outbox:
            if self._unread is None:
                self._unread = Unread()
            self._unread.add(frame.size)

    def reply_text(self, text: str) -> None:
        """See reply()."""
        self.reply(Frame(text))

    @property
    def asks_too_much(self) -> bool:
        """Whether so many answers wait for the peer to read them that it must do so first."""
        return self._unread is not None and self._unread.is_too_much and not self.closing

    async def answers_read(self) -> None:
        """Return once what waits now has left, or is given up."""
        if self._unread is not None:
            await self._unread.read(len(self._outbox))

    def refuse(self, problem: HandshakeRefused) -> None:
        """Tell the peer why, then close with the same code."""
        self.reply_text(error_frame(problem))
        self.close(problem.code, problem.message)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame behind whatever waits; nothing is sent after it."""
        if self.closing:
            return
        self._stop_sending()
        message = _close_message(code, reason)
        if self._is_behind():
            self._close_message = message
        else:
            self._step((message,))

    async def aclose(self, code: int, reason: str = "") -> None:
        """See close(). Raises what the server raises that cannot send this code.

        Such a server ends the socket itself when it sees the exception.
        """
        if self.closing or self._is_behind():
            self.close(code, reason)
            return
        self._stop_sending()
        await self._asgi_send(_close_message(code, reason))

    def abandon(self) -> None:
        """End the consumer of a peer that reads nothing, not even a close frame."""
        self._stop_sending()
        if self._task is not None:
            self._task.cancel()

    def detach(self) -> None:
        """Let the consumer end by itself: nobody may cut it short while it cleans up."""
        self._stop_sending()
        self._task = None
        if self.lane is not None:
            self.lane.watcher = None
            self.lane = None

    def release(self) -> None:
        """End the consumer's coroutine when no loop runs any more that could."""
        if self._task is not None and (coroutine := self._task.get_coro()) is not None:
            # It may wait again while it forgets its channels; nobody is left to tell.
            with contextlib.suppress(RuntimeError):
                coroutine.close()

    def lost(self, problem: Exception) -> None:
        """Nothing can be written."""
        logger.debug("Cannot write to %s: %s", self.socket_id, problem)
        # Usually the peer is gone; if not, an open socket that stays silent is worse.
        self.abandon()

    # -- what the lane tells ----------------------------------------------------------------

    def pause(self) -> None:
        self.send_now = None

    def resume(self) -> None:
        lane = self.lane
        while self._outbox and lane is not None and not lane.paused:
            self.write(self._next_chunk())
        if lane is None or lane.paused or self._outbox:
            return
        self._outbox = _NO_OUTBOX
        self._unread = None
        if self._close_message is not None:
            self._step((self._close_message,))
            self._close_message = None
        elif not self.closing:
            self.send_now = lane.send_now

    def lose(self) -> None:
        self._stop_sending()
        self._forget_outbox()

    def write(self, wire: bytes) -> None:
        """Write to the lane, which is not paused."""
        try:
            if self.lane is not None:
                self.lane.write(wire)
        except Exception as problem:  # a transport that is gone, before anybody was told
            self.lost(problem)

    # -- how bytes leave --------------------------------------------------------------------

    def _send(self, frame: Frame, *, may_drop: bool) -> None:
        lane = self.lane
        if self.closing:
            return
        if lane is not None and not lane.paused and not self._outbox:
            self.write(frame.wire)
        elif lane is not None or self._writer is not None:
            self._wait_in_line(frame, may_drop)
        else:
            self._step(frame.messages)

    def _step(self, messages: tuple[Message, ...]) -> None:
        for number, message in enumerate(messages, 1):
            try:
                # Not every server's send is a coroutine; what it awaits as is at least an iterator.
                sending = self._asgi_send(message).__await__()
                waits_for = next(sending)
            except StopIteration:
                continue
            except Exception as problem:  # servers differ in what a vanished peer raises
                self.lost(problem)
                return
            self._outbox = deque()
            writing = self._write_slowly(sending, waits_for, messages[number:])
            self._writer = asyncio.get_running_loop().create_task(writing)
            return

    async def _write_slowly(
        self, sending: Any, waits_for: Any, messages: tuple[Message, ...]
    ) -> None:
        """Send what was begun, ``messages`` behind it, and then all that waits."""
        try:
            await finish(sending, waits_for)
            for message in messages:
                await self._asgi_send(message)
            while behind := self._next_messages():
                for message in behind:
                    await self._asgi_send(message)
        except Exception as problem:  # servers differ in what a vanished peer raises
            self.lost(problem)
        finally:
            self._writer = None
            self._forget_outbox()

    def _next_messages(self) -> tuple[Message, ...]:
        if self._outbox:
            frame = self._outbox.popleft()
            self._outbox_bytes -= frame.size
            self._has_left(1)
            return frame.messages
        message, self._close_message = self._close_message, None
        return () if message is None else (message,)

    def _next_chunk(self) -> bytes:
        """Take frames from the outbox that are worth one write."""
        chunk, size = [], 0
        while self._outbox and size < CHUNK:
            frame = self._outbox.popleft()
            chunk.append(frame.wire)
            size += frame.size
        self._outbox_bytes -= size
        self._has_left(len(chunk))
        return b"".join(chunk)

    def _has_left(self, frames: int) -> None:
        if self._unread is not None:
            self._unread.has_left(frames)

    def _is_behind(self) -> bool:
        return self._writer is not None or bool(self._outbox)

    def _wait_in_line(self, frame: Frame, may_drop: bool) -> None:
        waiting = self._outbox_bytes + (self.lane.waiting() if self.lane is not None else 0)
        if waiting + frame.size <= self._settings.outbox_bytes:
            if self._outbox is _NO_OUTBOX:
                self._outbox = deque()
            self._outbox.append(frame)
            self._outbox_bytes += frame.size
        elif may_drop:
            self._counters.slow_dropped += len(frame.messages)
        else:
            self._counters.slow_closed += 1
            logger.info("Closing %s: it reads too slowly, its outbox is full", self.socket_id)
            # Instead of what waits: a peer that still reads learns so why, and returns. One
            # that does not is given up by the node's sweep.
            self._has_left(len(self._outbox))
            self._outbox.clear()
            self._outbox_bytes = 0
            self.close(TryAgain.code, "Reads too slowly")

    def _stop_sending(self) -> None:
        self.closing = True
        self.send_now = None

    def _forget_outbox(self) -> None:
        self._has_left(len(self._outbox))
        self._unread = None
        self._outbox = _NO_OUTBOX
        self._outbox_bytes = 0
        self._close_message = None


def _close_message(code: int, reason: str) -> Message:
    # The reason of a close frame may take 123 bytes.
    return {"type": "websocket.close", "code": code, "reason": reason[:120]}


@types.coroutine
def finish(sending: Any, waits_for: Any) -> Generator[Any, Any, None]:
    """Finish what was stepped by hand and waits for ``waits_for``."""
    while True:
        problem: BaseException | None = None
        try:
            yield waits_for
        except BaseException as thrown:  # a cancelled task, passed on to the coroutine
            if not isinstance(sending, Generator):
                raise
            problem = thrown
        try:
            waits_for = sending.throw(problem) if problem else next(sending)
        except StopIteration:
            return
