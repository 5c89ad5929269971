"""What Pusher's HTTP API is asked: values, signed as it wants them. Sends nothing.

The time is passed in. The path is signed without the prefix that a proxy may want.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from broadcasting.encryption import encrypt
from broadcasting.protocol.application import Application
from broadcasting.protocol.names import ChannelKind, is_socket_id, kind_of
from broadcasting.protocol.signing import request_text, sign

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

CHANNELS_AT_ONCE = 100
EVENTS_AT_ONCE = 10
"""Events in one batch."""

Events: TypeAlias = "list[tuple[Broadcast, dict[str, Any]]]"
"""Events for one channel each, and whose they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, not yet signed."""

    method: str
    path: str
    """Below ``/apps/{id}``."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    """The very bytes that are hashed and sent."""


def signed(application: Application, request: Request, now: float) -> tuple[str, dict[str, str]]:
    """Return the path and the query of ``request``, made at ``now`` in Unix seconds."""
    path = f"/apps/{quote(application.id, safe='')}{request.path}"
    parameters = {
        **request.parameters,
        "auth_key": application.key,
        "auth_timestamp": str(int(now)),
        "auth_version": "1.0",
    }
    if request.body:
        # What the protocol asks for; the signature is what protects.
        digest = hashlib.md5(request.body, usedforsecurity=False)
        parameters["body_md5"] = digest.hexdigest()
    text = request_text(request.method, path, parameters)
    parameters["auth_signature"] = sign(application.secret, text)
    return path, parameters


def events(application: Application, broadcast: Broadcast) -> Iterator[Request]:
    """Yield what sends one broadcast: a hundred plain channels at once, encrypted ones alone."""
    plain = [name for name in broadcast.channels if kind_of(name) is not ChannelKind.ENCRYPTED]
    for start in range(0, len(plain), CHANNELS_AT_ONCE):
        some = plain[start : start + CHANNELS_AT_ONCE]
        where = {"channel": some[0]} if len(some) == 1 else {"channels": some}
        yield _post("/events", _event(broadcast, broadcast.data, where))
    for name in broadcast.channels:
        if kind_of(name) is ChannelKind.ENCRYPTED:
            data = encrypt(application, name, broadcast.data)
            yield _post("/events", _event(broadcast, data, {"channel": name}))


def batches(application: Application, broadcasts: Iterable[Broadcast]) -> Iterator[Events]:
    """Yield the events of several broadcasts in their order, as many as go at once."""
    waiting = list(_single_events(application, broadcasts))
    for start in range(0, len(waiting), EVENTS_AT_ONCE):
        yield waiting[start : start + EVENTS_AT_ONCE]


def batch(together: Events) -> Request:
    """Return what sends several events."""
    return _post("/batch_events", {"batch": [event for _, event in together]})


def channels(prefix: str) -> Request:
    """Return what lists the occupied channels."""
    return Request(
        method="GET",
        path="/channels",
        parameters={"filter_by_prefix": prefix} if prefix else {},
    )


def channel(name: str, info: Sequence[str] = ()) -> Request:
    """Return what describes one channel."""
    return Request(
        method="GET",
        path=f"/channels/{_quoted(name)}",
        parameters={"info": ",".join(info)} if info else {},
    )


def members(name: str) -> Request:
    """Return what lists the users of a presence channel."""
    return Request(method="GET", path=f"/channels/{_quoted(name)}/users")


def disconnect(user_id: str, *, reconnect: bool = False) -> Request:
    """Return what ends a user's connections.

    Our own server understands the parameters, and others leave them alone.
    """
    parameters = {"members": "1", **({"reconnect": "1"} if reconnect else {})}
    return _post(f"/users/{_quoted(user_id)}/terminate_connections", {}, parameters)


def revoke(user_id: str, name: str) -> Request:
    """Return what takes a user out of a channel: our own server's, Pusher has none."""
    return _post(f"/users/{_quoted(user_id)}/revoke", {"channel": name})


def _single_events(
    application: Application, broadcasts: Iterable[Broadcast]
) -> Iterator[tuple[Broadcast, dict[str, Any]]]:
    for broadcast in broadcasts:
        for name in broadcast.channels:
            data = broadcast.data
            if kind_of(name) is ChannelKind.ENCRYPTED:
                data = encrypt(application, name, data)
            yield broadcast, _event(broadcast, data, {"channel": name})


def _event(broadcast: Broadcast, data: str, where: Mapping[str, Any]) -> dict[str, Any]:
    event = {"name": broadcast.name, "data": data, **where}
    if is_socket_id(broadcast.except_socket):
        event["socket_id"] = broadcast.except_socket
    return event


def _post(
    path: str, content: Mapping[str, Any], parameters: Mapping[str, str] | None = None
) -> Request:
    body = json.dumps(content, separators=(",", ":")).encode()
    return Request(method="POST", path=path, parameters=parameters or {}, body=body)


def _quoted(name: str) -> str:
    return quote(name, safe="=@,;")
