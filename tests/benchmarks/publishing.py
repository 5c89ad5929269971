"""The publisher: signed events at a steady rate, as a library of Pusher's would send them.

Each carries the time at which it was begun in its data; the load reads it from the frames.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.benchmarks.running import LOAD_CORE, Server, on_core

EVENT = "bench-event"


class Refused(Exception):
    """The server did not take an event; the text is its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How well the publisher kept to its times."""

    rate: float
    """Events a second, at most what was asked for."""

    late_ms: float
    """By how much the latest was late, because the server or the machine was busy."""


def publish(
    server: Server,
    messages: int,
    rate: float,
    size: int,
    *,
    channel: str = "bench",
    connections: int = 1,
) -> Published:
    """Send ``messages`` events, ``rate`` a second, each when the one before it is answered.

    ``size`` is that of the frame which clients get, in bytes. Raises Refused.
    """
    begin = time.monotonic() + 0.01
    turns = [
        [(number, begin + number / rate) for number in range(first, messages, connections)]
        for first in range(connections)
    ]
    # All on one core, so that the server keeps the other for itself.
    with on_core(LOAD_CORE), ThreadPoolExecutor(connections) as pool:
        late = list(pool.map(lambda times: send(server, channel, times, size), turns))
    seconds = time.monotonic() - begin
    return Published(rate=messages / max(seconds, messages / rate), late_ms=max(late) * 1000)


def send(server: Server, channel: str, times: Sequence[tuple[int, float]], size: int) -> float:
    """Send one event at each time over one connection; return the longest delay in seconds."""
    client = http.client.HTTPConnection(server.host, server.port, timeout=60)
    latest = 0.0
    for _, due in times:
        now = time.monotonic()
        if now < due:
            time.sleep(due - now)
        latest = max(latest, time.monotonic() - due)
        body = event(channel, size, int(time.time() * 1e6))
        target = signed(server, f"/apps/{server.application.id}/events", body)
        client.request("POST", target, body, {"Content-Type": "application/json"})
        response = client.getresponse()
        answer = response.read()
        if response.status != 200:
            raise Refused(f"{response.status} {answer[:200]!r}")
    client.close()
    return latest


def event(channel: str, size: int, stamp: int) -> bytes:
    """Return the body of a request whose frame has ``size`` bytes."""
    frame = {"event": EVENT, "channel": channel, "data": data(stamp, 0)}
    pad = max(0, size - len(json.dumps(frame, separators=(",", ":"))))
    return json.dumps({"name": EVENT, "channels": [channel], "data": data(stamp, pad)}).encode()


def data(stamp: int, pad: int) -> str:
    """Return what the event carries, a string of JSON as Pusher demands."""
    return json.dumps({"ts": stamp, "pad": "x" * pad}, separators=(",", ":"))


def signed(server: Server, path: str, body: bytes, method: str = "POST") -> str:
    """Return path and query of a request with its signature."""
    application = server.application
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    query = (
        f"auth_key={application.key}&auth_timestamp={int(time.time())}"
        f"&auth_version=1.0&body_md5={md5}"
    )
    text = f"{method}\n{path}\n{query}"
    signature = hmac.new(application.secret.encode(), text.encode(), "sha256").hexdigest()
    return f"{path}?{query}&auth_signature={signature}"
