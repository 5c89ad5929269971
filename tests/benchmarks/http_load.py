"""The load of the HTTP benchmark: clients that each wait for an answer and ask again.

One thread and raw sockets, so that it costs far less than any server it measures. The requests
are signed beforehand.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import select
import socket
import time

BODY = json.dumps(
    {"name": "bench-event", "channels": ["bench"], "data": json.dumps({"pad": "x" * 200})}
).encode()


def signed_request(port: int) -> bytes:
    """Return one request, head and body."""
    md5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    query = f"auth_key=app-key&auth_timestamp={int(time.time())}&auth_version=1.0&body_md5={md5}"
    text = f"POST\n/apps/app/events\n{query}"
    signature = hmac.new(b"app-secret", text.encode(), "sha256").hexdigest()
    return (
        f"POST /apps/app/events?{query}&auth_signature={signature} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY


def run(port: int, clients: int, seconds: float) -> dict[str, float]:
    """Keep ``clients`` requests under way; return how it went once ``seconds`` are over."""
    request, poll = signed_request(port), select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}

    def connect() -> None:
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(client, select.EPOLLIN)
        number = client.fileno()
        sockets[number] = client
        sent[number] = clock()
        client.sendall(request)

    clock, latencies = time.perf_counter, []
    began = clock()
    ends = began + seconds
    for _ in range(clients):
        connect()
    while (now := clock()) < ends:
        for number, _ in poll.poll(1):
            client = sockets[number]
            answer = client.recv(4_096)
            # Head and body may come one by one; all of these answers are objects.
            while not answer.endswith(b"}"):
                if not (more := client.recv(4_096)):
                    raise SystemExit(f"the server hung up after {answer!r}")
                answer += more
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"refused: {answer!r}")
            now = clock()
            latencies.append(now - sent[number])
            if b"Connection: close" in answer:
                client.close()
                connect()
            else:
                sent[number] = now
                client.sendall(request)
    late = sorted(latencies)
    return {
        "requests_s": len(late) / (now - began),
        "p50_ms": late[len(late) // 2] * 1000,
        "p99_ms": late[int(len(late) * 0.99)] * 1000,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("clients", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    result = run(options.port, options.clients, options.seconds)
    if not options.quiet:
        print(json.dumps(result))
