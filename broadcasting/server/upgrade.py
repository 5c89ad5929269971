"""The opening handshake of RFC 6455, section 4.2: a request read, checked and answered.

Pure: a head in, bytes out. No extension is ever agreed to, permessage-deflate among them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

Headers = list[tuple[bytes, bytes]]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BREAKS = re.compile(rb"[\r\n\0]")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# One object for each of what nearly every browser sends, whoever holds however many sockets.
_USUAL = {
    word: word
    for word in (
        *(b"host", b"connection", b"upgrade", b"origin", b"cookie", b"user-agent", b"pragma"),
        *(b"sec-websocket-version", b"sec-websocket-key", b"sec-websocket-extensions"),
        *(b"sec-websocket-protocol", b"accept-encoding", b"accept-language", b"cache-control"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip"),
        *(b"Upgrade", b"upgrade", b"websocket", b"13", b"no-cache", b"keep-alive, Upgrade"),
        *(b"gzip, deflate", b"gzip, deflate, br", b"gzip, deflate, br, zstd", b"en-US,en;q=0.9"),
        *(b"permessage-deflate; client_max_window_bits", b"permessage-deflate", b"https"),
    )
}


class Request(NamedTuple):
    """What a good handshake says."""

    target: str
    """Path and query, as sent."""

    headers: Headers
    subprotocols: list[str]
    accept: bytes
    """What must be answered to its key."""


class Refused(Exception):
    """The request is no handshake; ``answer`` is the whole response."""

    def __init__(self, status: int, reason: str, headers: Headers | None = None) -> None:
        super().__init__(status, reason)
        self.answer = response(status, headers or [], f"{reason}\n".encode())


def read(head: bytes) -> Request:
    """Return the handshake that ``head`` is, without the empty line; raise Refused."""
    line, *fields = head.split(b"\r\n")
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    headers = [_header(field) for field in fields]
    if method != b"GET":
        raise Refused(405, "A WebSocket is opened with GET", [(b"allow", b"GET")])
    if version != b"HTTP/1.1":
        raise Refused(400, "A WebSocket is opened with HTTP/1.1")
    try:
        path = target.decode("ascii")
    except UnicodeDecodeError:
        raise Refused(400, "The path is not ASCII") from None
    if len(_all(headers, b"host")) != 1:
        raise Refused(400, "There must be one Host")
    if len(_all(headers, b"origin")) > 1:
        raise Refused(400, "There may be one Origin")
    if _all(headers, b"transfer-encoding") or _all(headers, b"content-length") not in ([], [b"0"]):
        # A proxy may take the first frames for its body, or a body for a request of its own.
        raise Refused(400, "A handshake has no body")
    _check_words(headers)
    offered = _words(headers, b"sec-websocket-protocol")
    return Request(path, headers, offered, accept_for(_key(headers)))


def accept_for(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def switching(
    accept: bytes, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the response that opens the socket; ``headers`` are the application's."""
    lines: Headers = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", accept),
        *headers,
    ]
    if subprotocol:
        lines.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
    return _head(101, lines)


def response(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return a whole response, after which the connection closes."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    if b"content-type" not in names:
        given.append((b"content-type", b"text/plain; charset=utf-8"))
    if b"content-length" not in names:
        given.append((b"content-length", b"%d" % len(body)))
    return response_begun(status, given, body)


def response_begun(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return the beginning of a response whose body ends with the connection."""
    # Ours says how the body ends.
    ours = (b"connection", b"transfer-encoding")
    kept = [(name, value) for name, value in headers if name.lower() not in ours]
    return _head(status, [*kept, (b"connection", b"close")]) + body


def _head(status: int, headers: Headers) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}".encode()]
    for name, value in headers:
        if not _NAME.fullmatch(name) or _BREAKS.search(value):
            raise ValueError(f"This header would break the response: {name!r}")
        lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def _header(field: bytes) -> tuple[bytes, bytes]:
    name, colon, value = field.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        raise Refused(400, "A header has no name")
    name, value = name.lower(), value.strip(b" \t")
    return _USUAL.get(name, name), _USUAL.get(value, value)


def _check_words(headers: Headers) -> None:
    """Raise Refused unless these headers ask for a WebSocket of our version."""
    if "upgrade" not in (word.lower() for word in _words(headers, b"connection")):
        raise Refused(400, "Connection does not say Upgrade")
    if "websocket" not in (word.lower() for word in _words(headers, b"upgrade")):
        raise Refused(426, "Upgrade does not say websocket", [(b"upgrade", b"websocket")])
    versions = _all(headers, b"sec-websocket-version")
    if len(versions) != 1:
        raise Refused(400, "There must be one Sec-WebSocket-Version")
    if versions != [b"13"]:
        ours = [(b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")]
        raise Refused(426, "The version of WebSocket here is 13", ours)


def _key(headers: Headers) -> bytes:
    keys = _all(headers, b"sec-websocket-key")
    try:
        good = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except binascii.Error:
        good = False
    if not good:
        raise Refused(400, "There must be one Sec-WebSocket-Key, of 16 bytes in base64")
    return keys[0]


def _all(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _words(headers: Headers, wanted: bytes) -> list[str]:
    """Return the words of a list that may be spread over several headers."""
    listed = b",".join(_all(headers, wanted)).decode("latin-1")
    return [word.strip() for word in listed.split(",") if word.strip()]
