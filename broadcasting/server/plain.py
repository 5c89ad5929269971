"""Whole requests of the plainest kind, read without a parser.

Whatever is the least bit unusual is left to uvicorn: what is taken here means the same to
every parser there is. Pure: bytes in, values out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_REQUEST = 65_536
"""Bytes; larger ones are left to uvicorn."""

_HEAD = re.compile(
    rb"(GET|POST) (/[!-\"$-~]*) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9_-]+:[ -~]*\r\n)+)\r\n"
)
_LENGTH = b"content-length:"
_UNUSUAL = (b"transfer-", b"expect", b"upgrade", b"close")


class PlainRequest(NamedTuple):
    method: str
    raw_path: bytes
    query_string: bytes
    body: bytes


def read(data: bytes) -> PlainRequest | None:
    """Return the one request that ``data`` is, nothing before or behind it; None if unsure."""
    head = _HEAD.match(data) if len(data) <= MAX_REQUEST else None
    if head is None:
        return None
    headers = b"\n" + head[3].lower()
    for word in _UNUSUAL:
        if word in headers:
            return None
    body = data[head.end() :]
    if len(body) != _length(headers):
        return None
    raw_path, _, query_string = head[2].partition(b"?")
    return PlainRequest(head[1].decode(), raw_path, query_string, body)


def _length(headers: bytes) -> int | None:
    """Return what the headers say of the body's length, if that is beyond doubt."""
    before, said, behind = headers.partition(_LENGTH)
    if not said:
        return 0
    digits = behind.partition(b"\r")[0].strip(b" ")
    sure = before.endswith(b"\n") and _LENGTH not in behind and digits.isdigit()
    return int(digits) if sure and len(digits) < 6 else None
