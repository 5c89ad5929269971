"""The load: many sockets that subscribe, count frames and measure how late each one comes.

Parses just enough of WebSocket framing for a server's short, unmasked text frames.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import time


class Client(asyncio.Protocol):
    """One socket."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""
        self.upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(  # type: ignore[attr-defined]
            f"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: 127.0.0.1:{self.load.port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.upgraded:
            _, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self.upgraded, self.buffer = True, rest
        while (frame := self.next_frame()) is not None:
            self.load.received(self, frame)

    def next_frame(self) -> bytes | None:
        buffer = self.buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 127, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < start + length:
            return None
        self.buffer = buffer[start + length :]
        return buffer[start : start + length]

    def send(self, message: object) -> None:
        payload = json.dumps(message).encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else b""
        self.transport.write(head + mask + masked)  # type: ignore[attr-defined]


class Load:
    """What all clients saw."""

    def __init__(self, port: int, sockets: int) -> None:
        self.port = port
        self.sockets = sockets
        self.subscribed = 0
        self.latencies: list[float] = []
        self.ready = asyncio.Event()

    def received(self, client: Client, frame: bytes) -> None:
        if b"connection_established" in frame:
            data = {"channel": "bench", "auth": ""}
            client.send({"event": "pusher:subscribe", "data": data})
        elif b"subscription_succeeded" in frame:
            self.subscribed += 1
            if self.subscribed == self.sockets:
                self.ready.set()
        elif b"bench-event" in frame:
            sent = float(json.loads(json.loads(frame)["data"])["ts"])
            self.latencies.append(time.time() - sent)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        started = time.monotonic()
        for _ in range(self.sockets):
            await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port)
        await asyncio.wait_for(self.ready.wait(), 60)
        print(json.dumps({"ready": time.monotonic() - started}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        late = sorted(self.latencies) or [0.0]
        answer = {
            "frames": len(self.latencies),
            "p50_ms": statistics.median(late) * 1000,
            "p99_ms": late[int(len(late) * 0.99)] * 1000,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("sockets", type=int)
    options = parser.parse_args()
    asyncio.run(Load(options.port, options.sockets).run())
