"""The paths of the HTTP API: which there are, and which of them a request means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from broadcasting.api import channels, events, restarting, users
from broadcasting.api.requests import Request
from broadcasting.applications import get_applications
from broadcasting.typing import Scope

Endpoint = Callable[[Request], Awaitable[dict[str, Any]]]

ROUTES: dict[str, dict[str, Endpoint]] = {
    "/apps/{app_id}/events": {"POST": events.event},
    "/apps/{app_id}/batch_events": {"POST": events.batch},
    "/apps/{app_id}/channels": {"GET": channels.channels},
    "/apps/{app_id}/channels/{channel}": {"GET": channels.channel},
    "/apps/{app_id}/channels/{channel}/users": {"GET": channels.users},
    "/apps/{app_id}/connections": {"GET": channels.connections},
    "/apps/{app_id}/users/{user_id}/terminate_connections": {"POST": users.terminate_connections},
    "/apps/{app_id}/users/{user_id}/revoke": {"POST": users.revoke},
    "/apps/{app_id}/restart": {"POST": restarting.restart},
    # One library asks so, of the application whose key stands in the query.
    "/users/{user_id}/terminate_connections": {"POST": users.terminate_connections},
}


class Target(NamedTuple):
    """What a request is for."""

    methods: dict[str, Endpoint]
    app_id: str | None
    """None: the application that has the key in the query."""

    name: str
    """A channel or a user id; empty where the path names none."""


class Routes:
    """The routes under a prefix, such as ``/realtime``."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix.split("/")
        # By length and words: words and names take turns in all of our paths.
        self._methods = {
            (len(parts), *parts[::2]): ROUTES[path]
            for path, parts in ((path, path[1:].split("/")) for path in ROUTES)
        }

    def find(self, scope: Scope) -> Target | None:
        """Return what a request is for, or None if it is not for this API."""
        # Split before it is decoded: an escaped slash belongs to a name.
        path = raw_path(scope).removeprefix(scope.get("root_path", ""))
        parts = path.split("/")
        if "%" in path:
            parts = [unquote(part) for part in parts]
        depth = len(self._prefix)
        if parts[:depth] != self._prefix:
            return None
        del parts[:depth]
        if parts and not parts[-1]:
            parts.pop()
        methods = self._methods.get((len(parts), *parts[::2]))
        if methods is None or "" in parts:
            return None
        if parts[0] == "apps":
            # The site may have pages of its own there.
            if not is_signed(scope) and get_applications().by_id(parts[1]) is None:
                return None
            return Target(methods, parts[1], parts[3] if len(parts) > 3 else "")
        if scope["method"] in methods and is_signed(scope):
            return Target(methods, None, parts[1])
        return None


def is_signed(scope: Scope) -> bool:
    """Whether a request says whose it is; if that is true is not looked at."""
    query: bytes = scope["query_string"]
    return b"auth_key=" in query or b"auth_key=" in query.lower()


def raw_path(scope: Scope) -> str:
    """Return the path as it was sent, without the query."""
    raw = scope.get("raw_path")
    return raw.decode("latin-1").partition("?")[0] if raw else str(scope["path"])
