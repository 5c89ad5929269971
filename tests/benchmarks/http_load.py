"""The load of the HTTP benchmark: clients that each wait for an answer and ask again.

One thread and raw sockets, so that it costs far less than any server it measures. The requests
are signed beforehand.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import time

from tests.benchmarks.contenders import Application
from tests.benchmarks.publishing import event, signed
from tests.benchmarks.running import Server


def signed_request(server: Server, size: int) -> bytes:
    """Return one request, head and body."""
    body = event("bench", size, int(time.time() * 1e6))
    target = signed(server, f"/apps/{server.application.id}/events", body)
    return (
        f"POST {target} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
        f"Connection: keep-alive\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def run(server: Server, size: int, clients: int, seconds: float) -> dict[str, float]:
    """Keep ``clients`` requests under way; return how it went once ``seconds`` are over."""
    request, poll = signed_request(server, size), select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}

    def connect() -> None:
        client = socket.create_connection((server.host, server.port))
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
        "requests": len(late),
        "requests_s": len(late) / (now - began),
        "p50_ms": late[len(late) // 2] * 1000,
        "p99_ms": late[int(len(late) * 0.99)] * 1000,
    }


def main() -> None:
    """Read the command line and print the result as JSON."""
    parser = argparse.ArgumentParser()
    for name, kind in (("host", str), ("port", int), ("id", str), ("key", str), ("secret", str)):
        parser.add_argument(name, type=kind)
    parser.add_argument("size", type=int)
    parser.add_argument("clients", type=int)
    parser.add_argument("seconds", type=float)
    words = parser.parse_args()
    application = Application(id=words.id, key=words.key, secret=words.secret)
    server = Server(host=words.host, port=words.port, pid=None, application=application)
    print(json.dumps(run(server, words.size, words.clients, words.seconds)))


if __name__ == "__main__":
    main()
