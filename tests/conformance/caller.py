"""A caller of the HTTP API that signs by hand, so that it can sign wrongly.

Imports nothing of the package, for the same reason as the raw socket client.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.live import PATIENCE, Server


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


def md5_of(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Caller:
    """Credentials, and where to use them."""

    server: Server
    app_id: str = "app"
    key: str = "app-key"
    secret: str = "app-secret"

    def path(self, resource: str = "events") -> str:
        return f"/apps/{self.app_id}/{resource}"

    def sign(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        extra: Mapping[str, str] | None = None,
        now: float | None = None,
        changes: Mapping[str, str | None] | None = None,
    ) -> list[tuple[str, str]]:
        """Return the query's pairs; ``changes`` replaces or (None) leaves out, before signing."""
        values: dict[str, str | None] = {
            "auth_key": self.key,
            "auth_timestamp": str(int(time.time() if now is None else now)),
            "auth_version": "1.0",
            "body_md5": md5_of(body) if body else None,
            **(extra or {}),
            **(changes or {}),
        }
        pairs = [(name, value) for name, value in values.items() if value is not None]
        signed = "&".join(f"{k}={v}" for k, v in sorted((k.lower(), v) for k, v in pairs))
        text = f"{method}\n{path}\n{signed}".encode()
        digest = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        return [*pairs, ("auth_signature", digest)]

    def trigger(self, channels: str | list[str], name: str, data: object, **more: Any) -> Answer:
        """Publish; ``data`` goes as it is."""
        where = {"channel": channels} if isinstance(channels, str) else {"channels": channels}
        return self.post({"name": name, **where, "data": data, **more})

    def post(self, content: object, resource: str = "events", **signing: Any) -> Answer:
        """Send ``content`` as JSON (bytes as they are), signed."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        path = self.path(resource)
        return self.send("POST", path, self.sign("POST", path, body, **signing), body)

    def get(self, resource: str, **parameters: str) -> Answer:
        """Read, signed; ``parameters`` go into the query."""
        path = self.path(resource)
        return self.send("GET", path, self.sign("GET", path, extra=parameters))

    def send(
        self,
        method: str,
        path: str,
        query: Iterable[tuple[str, str]] | str = "",
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request on a connection of its own; pairs are percent-encoded."""
        connection = self.connect()
        try:
            return ask(connection, method, path, query, body, headers)
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    query: Iterable[tuple[str, str]] | str = "",
    body: bytes | Iterable[bytes] = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Make one request on ``connection``."""
    if not isinstance(query, str):
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query)
    content = {"Content-Type": "application/json", **(headers or {})}
    connection.request(method, f"{path}?{query}", body=body, headers=content)
    response = connection.getresponse()
    text = response.read().decode()
    received = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, received, text)
