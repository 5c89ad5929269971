"""The ASGI scope of a WebSocket, as uvicorn makes it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.utils import (
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)

from broadcasting.server.upgrade import Request
from broadcasting.typing import Scope


def scope_of(
    request: Request, config: Config, transport: asyncio.Transport, app_state: dict[str, Any]
) -> Scope:
    """Return the scope of a good handshake; the headers are kept in it, and nowhere else."""
    root_path = config.root_path
    path, _, query = request.target.partition("?")
    return {
        "type": "websocket",
        "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if is_ssl(transport) else "ws",
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "root_path": root_path,
        "path": root_path + (unquote(path) if "%" in path else path),
        "raw_path": (root_path + path).encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": request.headers,
        "subprotocols": request.subprotocols,
        "state": app_state.copy(),
        "extensions": {"websocket.http.response": {}},
    }


def named(scope: Any) -> tuple[str, str]:
    """Return what a line of the log calls a socket: its client and its path."""
    return get_client_addr(scope), get_path_with_query_string(scope)
