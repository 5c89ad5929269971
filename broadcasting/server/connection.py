"""One live socket: the only place that knows how bytes leave.

The ASGI ``send`` coroutine is stepped once by hand, which costs a fraction of a task.
Servers finish it in that step unless the peer reads slowly; only then is it handed to a
task, and later frames wait in a bounded outbox behind it, so that order always holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import types
import typing
from collections import deque
from collections.abc import Generator
from typing import Any

from broadcasting.conf import ServerSettings
from broadcasting.protocol.errors import HandshakeRefused, TryAgain
from broadcasting.protocol.messages import error as error_frame
from broadcasting.protocol.protocol import Protocol
from broadcasting.server.counters import Counters
from broadcasting.typing import Message, Send

logger = logging.getLogger("broadcasting.server")


# Shared by all sockets that read fast enough, which is nearly all of them, nearly always.
_NO_OUTBOX: deque[tuple[Message, int]] = deque(maxlen=0)


class Frame:
    """A finished text, built once per broadcast and shared by all sockets."""

    __slots__ = ("message", "size", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        # Bytes, counted only where they are not as many as the characters.
        self.size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        self.message: Message = {"type": "websocket.send", "text": text}


CONTROL_FRAMES = "broadcasting.control_frames"
"""The extension of the scope under which a server offers ControlFrames."""


class ControlFrames(typing.Protocol):
    """A socket's WebSocket pings and pongs, where the server lets them be seen."""

    heard_at: float | None
    """When the last one came, in seconds of the loop's clock; None: never."""

    def ask(self) -> None:
        """Send a ping."""


class Connection:
    """A socket that completed its handshake. Used on the node's event loop only."""

    __slots__ = (
        "_asgi_send",
        "_counters",
        "_outbox",
        "_outbox_bytes",
        "_settings",
        "_task",
        "_writer",
        "closing",
        "closing_since",
        "control",
        "protocol",
        "revocations_before",
        "socket_id",
    )

    def __init__(
        self,
        protocol: Protocol,
        send: Send,
        settings: ServerSettings,
        counters: Counters,
        task: asyncio.Task[Any] | None = None,
        control: ControlFrames | None = None,
    ) -> None:
        """``task`` is the consumer's, cancelled when a peer does not even read our close."""
        self.protocol = protocol
        self.socket_id = protocol.socket_id
        self.control = control
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
        self._outbox: deque[tuple[Message, int]] = _NO_OUTBOX
        self._outbox_bytes = 0

    def send(self, frame: Frame) -> None:
        """Write a broadcast, or keep it for a slow reader. Never blocks, never raises.

        With the policy ``drop`` it may be lost.
        """
        if self.closing:
            return
        if self._writer is not None:
            self._wait_in_line(frame, self._settings.slow_policy == "drop")
            return
        self._step(frame.message)

    def reply(self, frame: Frame) -> None:
        """See send(). A frame of the protocol itself is never dropped: the peer counts on it."""
        if self.closing:
            return
        if self._writer is not None:
            self._wait_in_line(frame, may_drop=False)
            return
        self._step(frame.message)

    def reply_text(self, text: str) -> None:
        """See reply()."""
        self.reply(Frame(text))

    def refuse(self, problem: HandshakeRefused) -> None:
        """Tell the peer why, then close with the same code."""
        self.reply_text(error_frame(problem))
        self.close(problem.code, problem.message)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame behind whatever waits; nothing is sent after it."""
        if self.closing:
            return
        self.closing = True
        message = _close_message(code, reason)
        if self._writer is not None:
            self._outbox.append((message, 0))
        else:
            self._step(message)

    async def aclose(self, code: int, reason: str = "") -> None:
        """See close(). Raises what the server raises that cannot send this code.

        Such a server ends the socket itself when it sees the exception.
        """
        if self.closing or self._writer is not None:
            self.close(code, reason)
            return
        self.closing = True
        await self._asgi_send(_close_message(code, reason))

    def abandon(self) -> None:
        """End the consumer of a peer that reads nothing, not even a close frame."""
        self.closing = True
        if self._task is not None:
            self._task.cancel()

    def detach(self) -> None:
        """Let the consumer end by itself: nobody may cut it short while it cleans up."""
        self.closing = True
        self._task = None

    def release(self) -> None:
        """End the consumer's coroutine when no loop runs any more that could."""
        if self._task is not None and (coroutine := self._task.get_coro()) is not None:
            # It may wait again while it forgets its channels; nobody is left to tell.
            with contextlib.suppress(RuntimeError):
                coroutine.close()

    def _step(self, message: Message) -> None:
        try:
            # Not every server's send is a coroutine; what it awaits as is at least an iterator.
            sending = self._asgi_send(message).__await__()
            waits_for = next(sending)
        except StopIteration:
            return
        except Exception as problem:  # servers differ in what a vanished peer raises
            self._lost(problem)
            return
        self._outbox = deque()
        self._writer = asyncio.get_running_loop().create_task(self._write(sending, waits_for))

    async def _write(self, sending: Any, waits_for: Any) -> None:
        try:
            await finish(sending, waits_for)
            while self._outbox:
                message, size = self._outbox.popleft()
                self._outbox_bytes -= size
                await self._asgi_send(message)
        except Exception as problem:  # servers differ in what a vanished peer raises
            self._lost(problem)
        finally:
            self._writer = None
            self._outbox = _NO_OUTBOX
            self._outbox_bytes = 0

    def _wait_in_line(self, frame: Frame, may_drop: bool) -> None:
        if self._outbox_bytes + frame.size <= self._settings.outbox_bytes:
            self._outbox.append((frame.message, frame.size))
            self._outbox_bytes += frame.size
        elif may_drop:
            self._counters.slow_dropped += 1
        else:
            self._counters.slow_closed += 1
            logger.info("Closing %s: it reads too slowly, its outbox is full", self.socket_id)
            # Instead of what waits: a peer that still reads learns so why, and returns. One
            # that does not is given up by the node's sweep.
            self._outbox.clear()
            self._outbox_bytes = 0
            self.close(TryAgain.code, "Reads too slowly")

    def _lost(self, problem: Exception) -> None:
        logger.debug("Cannot write to %s: %s", self.socket_id, problem)
        # Usually the peer is gone; if not, an open socket that stays silent is worse.
        self.abandon()


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
