"""One application at a server of Pusher's HTTP API: every request is signed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from broadcasting.broadcasters.http import HttpClient
from broadcasting.broadcasters.pusher.requests import Request, signed
from broadcasting.protocol.application import Application

if TYPE_CHECKING:
    import httpx2


class Client(HttpClient[Request]):
    """Sends requests for one application."""

    def __init__(self, application: Application, base_url: str, timeout: float) -> None:
        super().__init__(base_url, timeout)
        self.application = application

    def build(self, client: httpx2.Client | httpx2.AsyncClient, request: Request) -> httpx2.Request:
        path, parameters = signed(self.application, request, time.time())
        return client.build_request(
            request.method,
            f"{self.base_url}{path}",
            params=parameters,
            content=request.body,
            headers={"Content-Type": "application/json"},
        )

    def said_status(self, content: Any) -> int | None:
        # soketi answers everything with 200, and says in the body what it did not do.
        match content:
            case {"error": _, "code": int(code)} if code >= 400:
                return code
        return None
