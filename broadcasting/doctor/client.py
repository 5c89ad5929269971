"""A browser and a publisher, reduced to what a canary needs: one real socket, one signed POST."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from broadcasting.doctor.report import Failed, described
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import request_text, sign

SETTINGS_DIFFER = (
    "The server runs with other settings than this command: compare APPLICATIONS, and"
    " SECRET_KEY if there are none (the secret derives from it)."
)


class Unreachable(Failed):
    """Nobody listens there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is: ``http`` or ``https``, a host, a port, a path prefix."""

    secure: bool
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, url: str, prefix: str = "") -> Address:
        """Return the server at ``url`` (ws, wss, http or https); Failed for anything else.

        A path in the URL is the whole prefix, or the whole path of a socket.
        """
        try:
            parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
            port = parts.port
        except ValueError as error:
            raise Failed(
                f"{url!r} is not a URL ({error})", "Such as ws://127.0.0.1:6001"
            ) from error
        if parts.scheme not in ("ws", "wss", "http", "https") or not parts.hostname:
            raise Failed(f"{url!r} is not the URL of a server", "Such as ws://127.0.0.1:6001")
        secure = parts.scheme in ("wss", "https")
        path = parts.path.partition("/app/")[0].rstrip("/")
        return cls(
            secure=secure,
            host=parts.hostname,
            port=port or (443 if secure else 80),
            prefix=path or prefix,
        )

    @property
    def netloc(self) -> str:
        """Host and port, an IPv6 address in its brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def socket_url(self, key: str) -> str:
        """Return where browsers connect."""
        scheme = "wss" if self.secure else "ws"
        return f"{scheme}://{self.netloc}{self.prefix}/app/{key}"

    def __str__(self) -> str:
        return f"{'wss' if self.secure else 'ws'}://{self.netloc}{self.prefix}"


class Socket:
    """One socket, as pusher-js would open it. Times in seconds; raises Failed with a cure."""

    def __init__(self, address: Address, application: Application, timeout: float) -> None:
        self.address = address
        self.application = application
        self.timeout = timeout
        self._stack = ExitStack()
        self._socket: ClientConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def open(self, origin: str | None = None) -> str:
        """Connect and wait for the greeting; return the socket id."""
        url = f"{self.address.socket_url(self.application.key)}?protocol=7&client=doctor&version=1"
        # A TCP socket of our own: no proxy of the environment stands in its way.
        tcp = self._reach()
        try:
            self._socket = self._stack.enter_context(
                connect(
                    url,
                    sock=tcp,
                    origin=None if origin is None else Origin(origin),
                    compression=None,
                    open_timeout=self.timeout,
                    close_timeout=1,
                )
            )
        except (InvalidHandshake, InvalidMessage, EOFError) as error:
            raise Failed(
                f"{self.address} answers, but opens no WebSocket ({described(error)})",
                "Another server lives there, or a proxy drops the Upgrade header, or runserver"
                ' runs without "daphne" in INSTALLED_APPS, or SERVER["PATH"] differs.',
            ) from error
        except TimeoutError as error:
            raise self._silent() from error
        except OSError as error:
            raise Failed(
                f"{self.address} breaks off ({described(error)})",
                "Check whether it speaks TLS (wss://) or not (ws://), and its certificate.",
            ) from error
        greeting = self._next(self.timeout)
        if greeting["event"] != "pusher:connection_established":
            self._refused(greeting)
        return str(json.loads(greeting["data"])["socket_id"])

    def subscribe(self, channel: str) -> None:
        """Join a public channel and wait for the answer."""
        self._send({"event": "pusher:subscribe", "data": {"channel": channel}})
        deadline = time.monotonic() + self.timeout
        while True:
            frame = self._next(deadline - time.monotonic())
            if frame["event"] == "pusher_internal:subscription_succeeded":
                return
            if frame["event"] in ("pusher:error", "pusher:subscription_error"):
                self._refused(frame)

    def wait_for(self, event: str, number: str) -> None:
        """Return once ``event`` with ``number`` has arrived. Raises TimeoutError."""
        deadline = time.monotonic() + self.timeout
        while (left := deadline - time.monotonic()) > 0:
            frame = self._receive(left)
            if frame["event"] == event and json.loads(frame["data"]).get("number") == number:
                return
        raise TimeoutError

    def _reach(self) -> socket.socket:
        try:
            tcp = socket.create_connection((self.address.host, self.address.port), self.timeout)
        except OSError as error:
            raise Unreachable(
                f"nothing answers at {self.address} ({described(error)})",
                "Start `manage.py runserver` or `manage.py websockets_serve`, or say where the"
                " server is with --url; browsers learn it from"
                ' BROADCASTING["SERVER"]["PUBLIC_URL"].',
            ) from error
        # The timeout was for reaching it: older websockets take a silence on it for a broken line.
        tcp.settimeout(None)
        self._stack.callback(tcp.close)
        return tcp

    def _silent(self) -> Failed:
        return Failed(
            f"{self.address} keeps silent for {self.timeout:g} s",
            "A proxy may hold frames back, or another program listens there; with a"
            " crossing backplane, the server may not reach its Redis: see its log.",
        )

    def _refused(self, frame: dict[str, Any]) -> None:
        data = frame.get("data")
        data = data if isinstance(data, dict) else {}
        code = data.get("code")
        cures = {
            4001: SETTINGS_DIFFER,
            4003: SETTINGS_DIFFER,
            4009: 'Add the origin to ALLOWED_HOSTS, or to "allowed_origins" of the application.',
            4004: 'The application is at its "capacity".',
        }
        raise Failed(
            f"the server says {code}: {data.get('message') or frame['event']}",
            cures.get(code or 0, "See the log of the server."),
        )

    def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            raise RuntimeError("open() comes first")
        self._socket.send(json.dumps(message))

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            return self._receive(seconds)
        except TimeoutError:
            raise self._silent() from None

    def _receive(self, seconds: float) -> dict[str, Any]:
        """Return the next frame that is not a ping. Raises TimeoutError, Failed."""
        if self._socket is None:
            raise RuntimeError("open() comes first")
        deadline = time.monotonic() + seconds
        while True:
            try:
                text = self._socket.recv(timeout=max(0.0, deadline - time.monotonic()))
                frame = json.loads(text)
                event = frame["event"]
            except ConnectionClosed as error:
                raise Failed(
                    f"the server closed the socket ({described(error)})",
                    "See the log of the server.",
                ) from error
            except (ValueError, TypeError, KeyError) as error:
                raise Failed(
                    f"{self.address} does not speak the Pusher protocol",
                    "Another WebSocket server lives there: give its own URL with --url.",
                ) from error
            if event != "pusher:ping":
                return dict(frame)
            self._send({"event": "pusher:pong", "data": {}})


def publish(
    address: Address, application: Application, body: dict[str, Any], timeout: float
) -> None:
    """POST an event to the HTTP API of the server, signed. Raises Failed with a cure."""
    content = json.dumps(body).encode()
    # Signed as seen behind a proxy that takes the prefix off or leaves it on: servers take both.
    path = f"{address.prefix}/apps/{application.id}/events"
    query = {
        "auth_key": application.key,
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }
    query["auth_signature"] = sign(application.secret, request_text("POST", path, query))
    target = quote(path) + "?" + "&".join(f"{key}={value}" for key, value in query.items())
    kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=timeout)
    try:
        connection.request("POST", target, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        status, answer = response.status, response.read(2_000)
    except (OSError, http.client.HTTPException) as error:
        raise Failed(
            f"the HTTP API does not answer ({described(error)})",
            "The sockets are there, so a proxy or a firewall keeps requests to /apps/ away.",
        ) from error
    finally:
        connection.close()
    if status != 200:
        raise Failed(f"the HTTP API answers {status}: {_message(answer)}", _cure(status))


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])[:200]
    except (ValueError, KeyError, TypeError):
        return "not in words of ours"


def _cure(status: int) -> str:
    match status:
        case 401:
            return SETTINGS_DIFFER + " Or one of the two clocks is wrong by minutes."
        case 404 | 405:
            return "Let the proxy pass /apps/ on to the same server as /app/."
        case 503:
            return "The server cannot reach its own backplane: see its log."
        case _:
            return "See the log of the server."
