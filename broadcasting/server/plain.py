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
_LENGTH = re.compile(rb"(?:\A|\n)content-length: *([0-9]{1,5}) *\r")
_UNUSUAL = re.compile(rb"transfer-|expect|upgrade|close")


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
    headers = head[3].lower()
    lengths = headers.count(b"content-length")
    length = _LENGTH.search(headers) if lengths == 1 else None
    if (length is None and lengths) or _UNUSUAL.search(headers):
        return None
    begins = head.end()
    if len(data) - begins != (int(length[1]) if length else 0):
        return None
    raw_path, _, query_string = head[2].partition(b"?")
    return PlainRequest(head[1].decode(), raw_path, query_string, data[begins:])
