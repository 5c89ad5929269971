"""WebSocket frames, as RFC 6455 has them in section 5: built, and read as they come.

Pure: bytes in, messages out. What a client may not do is a Violation with its close code.
"""

from __future__ import annotations

import codecs
import struct
from typing import Any

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform; or no server in this process, which reads none

    def apply_mask(data: bytes, mask: bytes) -> bytes:  # type: ignore[misc]  # takes more there
        """Return ``data`` with each byte changed by one of the four of ``mask``."""
        size = len(data)
        key = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NO_CODE = 1005
"""What a close frame without a code means; never on the wire."""

CUT = 1006
"""What it means that there was no close frame; never on the wire."""

Event = tuple[int, Any]
"""An opcode with its payload: str of TEXT, bytes of the others."""

PART: Event = (CONTINUATION, b"")
"""A frame was read, and its message goes on."""

_FINAL = 0x80
_MASKED = 0x80
_new_utf8 = codecs.getincrementaldecoder("utf-8")


class Violation(Exception):
    """The client broke the protocol; its connection ends with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole message of the server in one frame."""
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", _FINAL | opcode, 126, size) + payload
    return struct.pack("!BBQ", _FINAL | opcode, 127, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; a reason of more than 123 bytes is cut, NO_CODE sends none."""
    if code == NO_CODE:
        return frame(CLOSE, b"")
    said = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + said)


def may_be_sent(code: int) -> bool:
    """Whether a close frame may carry this code (7.4, and what IANA added)."""
    return 3000 <= code < 5000 or 1000 <= code <= 1003 or 1007 <= code <= 1014


def read_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame; raise Violation for what none may say."""
    if not payload:
        return NO_CODE, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not may_be_sent(code):
        raise Violation(1002, "No such close code")
    return code, _decoded(payload[2:])


def _decoded(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation(1007, "Not UTF-8") from None


class Decoder:
    """Turns the bytes of one client into events, in whatever pieces they come."""

    __slots__ = (
        "_at",
        "_data",
        "_final",
        "_left",
        "_mask",
        "_max_size",
        "_message",
        "_opcode",
        "_over",
        "_utf8",
    )

    def __init__(self, max_size: int) -> None:
        """``max_size``: bytes of a message, over all of its frames."""
        self._max_size = max_size
        self._data = b""
        self._at = 0
        """Where in the data the next frame begins, or goes on."""

        self._over = False

        self._opcode = CONTINUATION
        """Of the message that has begun and not ended, if any."""

        self._message: bytearray | None = None
        """What has come of it, without the mask."""

        self._utf8: codecs.IncrementalDecoder | None = None
        """Knows in the middle of a text whether it can still be one."""

        self._left = 0
        """Bytes that are missing of a frame whose head was read."""

        self._mask = b""
        self._final = False

    @property
    def waiting(self) -> int:
        """How many bytes wait here that made no event yet."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Take what came from the client."""
        if not self._over:
            self._data = self._data[self._at :] + data if self.waiting else data
            self._at = 0

    def stop(self) -> None:
        """Forget everything: from here on nothing is read."""
        self._over = True
        self._left = self._at = 0
        self._data = b""
        self._message = None

    def next(self) -> Event | None:
        """Read one frame, or None if it is not whole yet; raise Violation once it cannot be."""
        event = self._rest_of_frame() if self._left else self._frame()
        if self._at == len(self._data):
            self._data, self._at = b"", 0
        return event

    def _frame(self) -> Event | None:
        data, at = self._data, self._at
        come = len(data)
        if come - at < 2:
            return None
        first, second = data[at], data[at + 1]
        self._check(first, second)
        size = second & 0x7F
        body = at + 6
        if size > 125:
            body += 2 if size == 126 else 8
            if come < body - 4:
                return None
            size = _long(size, data[at + 2 : body - 4])
        if first & 0x8 == 0:
            self._check_size(size)
        end = body + size
        if come < end:
            return self._begin(first, body, size)
        self._at = end
        payload = apply_mask(data[body:end], data[body - 4 : body])
        if first == _FINAL | TEXT:
            return TEXT, _decoded(payload)
        if first == _FINAL | BINARY or first & 0x8:
            return first & 0xF, payload
        self._opcode = first & 0xF or self._opcode
        self._add(payload)
        return self._message_of_parts() if first & _FINAL else PART

    def _check(self, first: int, second: int) -> None:
        """Raise Violation for what two bytes already give away."""
        opcode = first & 0xF
        if first & 0x70:
            raise Violation(1002, "Reserved bits are set")
        if not second & _MASKED:
            raise Violation(1002, "A client must mask its frames")
        if opcode > PONG or BINARY < opcode < CLOSE:
            raise Violation(1002, "No such opcode")
        if opcode >= CLOSE:
            if not first & _FINAL or second & 0x7F > 125:
                raise Violation(1002, "Control frames are short and whole")
        elif (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise Violation(1002, "Fragments are out of order")

    def _check_size(self, size: int) -> None:
        before = 0 if self._message is None else len(self._message)
        if before + size > self._max_size:
            raise Violation(1009, f"More than {self._max_size} bytes")

    def _begin(self, first: int, body: int, size: int) -> Event | None:
        """Begin a frame that has not come whole; control frames wait until they are."""
        if first & 0x8 or len(self._data) < body:
            return None
        self._opcode = first & 0xF or self._opcode
        self._final = bool(first & _FINAL)
        self._mask = self._data[body - 4 : body]
        self._at, self._left = body, size
        return self._rest_of_frame()

    def _rest_of_frame(self) -> Event | None:
        part = self._data[self._at : self._at + self._left]
        size = len(part)
        if not size:
            return None
        mask, turn = self._mask, size & 3
        self._mask = mask[turn:] + mask[:turn]
        self._at += size
        self._left -= size
        self._add(apply_mask(part, mask))
        if self._left:
            return None
        return self._message_of_parts() if self._final else PART

    def _add(self, part: bytes) -> None:
        """Keep a part of a message; of a text, at once see whether it is one."""
        if self._message is None:
            self._message = bytearray()
        self._message += part
        if self._opcode == TEXT:
            self._look_at(part, False)

    def _message_of_parts(self) -> Event:
        opcode, message = self._opcode, bytes(self._message or b"")
        if opcode == TEXT:
            self._look_at(b"", True)
        self._opcode, self._message, self._utf8 = CONTINUATION, None, None
        return (TEXT, message.decode()) if opcode == TEXT else (opcode, message)

    def _look_at(self, part: bytes, final: bool) -> None:
        if self._utf8 is None:
            self._utf8 = _new_utf8()
        try:
            self._utf8.decode(part, final)
        except UnicodeDecodeError:
            raise Violation(1007, "Not UTF-8") from None


def _long(kind: int, length: bytes) -> int:
    """Return a length of two or eight bytes, which must need as many."""
    size = int.from_bytes(length, "big")
    if size < (126 if kind == 126 else 65_536) or size >> 63:
        raise Violation(1002, "No such length")
    return size
