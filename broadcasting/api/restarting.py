"""Restart this server, for a deployment whose backplane does not leave the process.

Elsewhere the command ``websockets_restart`` goes through the backplane, and nobody can ask here.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from broadcasting.api.requests import Request
from broadcasting.api.responses import ApiError
from broadcasting.applications import default_application
from broadcasting.server.node import get_node

LONGEST = 86_400
"""Seconds over which servers may spread."""


async def restart(request: Request) -> dict[str, Any]:
    """Have the process end well. Raises ApiError(403) for all but the first application."""
    node = get_node()
    if node.backplane.crosses_processes:
        raise ApiError(403, "Servers with a backplane are restarted through it")
    # Its secret is that of the deployment; other tenants must not stop each other's server.
    if request.application.id != default_application().id:
        raise ApiError(403, "This application may not restart the server")
    if node.orders.restart is None:
        raise ApiError(403, "Only websockets_serve can be restarted so")
    node.orders.restart(uuid4().hex, _seconds(request.parameters.get("over", "0")))
    return {}


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise ApiError(400, f"'over' must be a number of seconds, at most {LONGEST}")
    return seconds
