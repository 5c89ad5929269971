"""What is sent to sockets, finished for both ways out: as bytes, and as ASGI messages."""

from __future__ import annotations

from collections.abc import Sequence

from broadcasting.server import framing
from broadcasting.typing import Message


class Frame:
    """Finished texts, built once per broadcast and shared by all sockets."""

    __slots__ = ("messages", "wire")

    def __init__(self, text: str) -> None:
        self.messages: tuple[Message, ...] = ({"type": "websocket.send", "text": text},)
        """What ASGI calls them: one for each text."""

        # A lone surrogate of some other program's must not cost anybody the socket.
        self.wire = framing.frame(framing.TEXT, text.encode("utf-8", "replace"))
        """What goes over the wire: a whole WebSocket frame, or several."""

    @classmethod
    def join(cls, frames: Sequence[Frame]) -> Frame:
        """Return one that is all of ``frames``, in their order."""
        if len(frames) == 1:
            return frames[0]
        joined = cls.__new__(cls)
        joined.messages = tuple(message for frame in frames for message in frame.messages)
        joined.wire = b"".join([frame.wire for frame in frames])
        return joined

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.wire)
