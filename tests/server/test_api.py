"""The HTTP API in memory: what needs a clock, a broken backplane or another way in."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from broadcasting.api import Api, limits
from broadcasting.api.authentication import authenticate, check_body, parse_query
from broadcasting.api.counters import counters
from broadcasting.api.responses import ApiError
from broadcasting.applications import Application
from broadcasting.backplanes import Envelope
from broadcasting.backplanes.local import LocalBackplane
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.protocol.signing import request_text, sign
from broadcasting.registry import Cached
from broadcasting.server.node import get_node
from tests.settings import BROADCASTING

EVENT = {"name": "n", "channel": "c", "data": "{}"}
VECTORS = Application(id="3", key="278d425bdf160c739803", secret="7ad3773142a6692b25b8")
AT = 1353088179


class Frozen(LocalBackplane):
    """A backplane that answers when it is told to, and how."""

    may: asyncio.Event
    fails = False
    broken: str | None = None
    """The one channel that cannot be reached."""

    published: list[Envelope]

    async def apublish(self, envelope: Envelope) -> None:
        await self.may.wait()
        if self.fails or envelope.channel == self.broken:
            raise BackplaneUnavailable("it is down")
        self.published.append(envelope)


@pytest.fixture
def frozen() -> Iterator[type[Frozen]]:
    Frozen.may, Frozen.fails, Frozen.published = asyncio.Event(), False, []
    Frozen.broken = None
    Frozen.may.set()
    backplane = {"BACKEND": f"{__name__}.Frozen"}
    with override_settings(BROADCASTING=BROADCASTING | {"BACKPLANE": backplane}):
        yield Frozen


async def ask(
    method: str, path: str, query: str = "", body: bytes = b"", **more: Any
) -> dict[str, Any]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), **more}
    receive = scope.pop("receive", receive)
    api = Api(more.get("prefix", ""))
    target = api.find(scope)
    assert target is not None
    await api.answer(target, scope, receive, send)
    return {
        "status": sent[0]["status"],
        "headers": dict(sent[0]["headers"]),
        "body": json.loads(sent[1]["body"]),
    }


async def post(content: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(content).encode()
    parameters = {
        "auth_key": "app-key",
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
    }
    text = request_text("POST", "/apps/app/events", parameters)
    parameters["auth_signature"] = sign("app-secret", text)
    query = "&".join(f"{key}={value}" for key, value in parameters.items())
    return await ask("POST", "/apps/app/events", query, body)


async def test_another_method_is_told_which_one_is_allowed():
    for method in ("GET", "PUT", "OPTIONS"):
        answer = await ask(method, "/apps/app/events")
        assert answer["status"] == 405
        assert answer["headers"][b"allow"] == b"POST"
    assert (await ask("HEAD", "/apps/app/channels"))["headers"][b"allow"] == b"GET"


async def test_every_answer_has_its_length():
    """176."""
    answer = await ask("POST", "/apps/nobody/events", "auth_key=app-key")
    assert answer["status"] == 404
    assert int(answer["headers"][b"content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "digest"),
    [
        (
            "POST",
            "/apps/3/events",
            "body_md5=ec365a775a4cd0599faeb73354201b6f",
            b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}',
            "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
        ),
        (
            "GET",
            "/apps/3/channels",
            "filter_by_prefix=presence-&info=user_count",
            b"",
            "16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291",
        ),
    ],
)
def test_pushers_own_examples(method: str, path: str, query: str, body: bytes, digest: str):
    """164, 165: to the second."""
    own = f"auth_key={VECTORS.key}&auth_timestamp={AT}&auth_version=1.0"
    query = f"{query}&{own}&auth_signature={digest}"
    scope = {"method": method, "path": path}
    parameters = parse_query(query.encode())
    check_body(parameters.get("body_md5"), body)
    for now in (AT, AT - 600.0, AT + 600.0):
        authenticate(VECTORS, scope, parameters, now)
    for now in (AT - 600.5, AT + 600.5):
        with pytest.raises(ApiError, match="600 seconds"):
            authenticate(VECTORS, scope, parameters, now)
    with pytest.raises(ApiError, match="should have signed"):
        authenticate(VECTORS, {**scope, "query_string": b""}, {**parameters, "x": "1"}, AT)


@pytest.mark.parametrize("path", ["", "/apps", "/apps/", "/apps/app", "/apps/app/", "/apps/app/x"])
def test_what_is_not_ours(path: str):
    more = {"method": "POST", "query_string": b"auth_key=x"}
    for other in (path, f"/apps{path}", f"/apps/app{path}/x", "/apps//events", "/users//x"):
        assert Api().find({"path": other, **more}) is None
    assert Api("/realtime").find({"path": "/apps/app/events", **more}) is None


async def test_a_dead_backplane_is_503_and_uses_no_key_up(frozen: type[Frozen]):
    """242: and the publisher is told when to come again."""
    before = counters.failed
    frozen.fails = True
    for _ in range(2):
        answer = await post({**EVENT, "idempotency_key": "dead"})
        assert answer["status"] == answer["body"]["code"] == 503
        assert answer["headers"][b"retry-after"] == b"1"
    assert counters.failed == before + 2
    frozen.fails = False
    for _ in range(2):
        assert (await post({**EVENT, "idempotency_key": "dead"}))["status"] == 200
    assert len(frozen.published) == 1


async def test_a_repeat_is_for_what_was_not_reached(frozen: type[Frozen]):
    """242: of three channels, one was away."""
    event = {"name": "n", "channels": ["a", "b", "c"], "data": "{}", "idempotency_key": "parts"}
    frozen.broken = "b"
    for _ in range(2):
        assert (await post(event))["status"] == 503
    frozen.broken = None
    for _ in range(2):
        assert (await post(event))["status"] == 200
    assert [envelope.channel for envelope in frozen.published] == ["a", "b", "c"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_repeat_waits_for_what_becomes_of_the_first(frozen: type[Frozen], fails: bool):
    """242."""
    frozen.may.clear()
    event = {**EVENT, "idempotency_key": "waiting"}
    first, second = (asyncio.ensure_future(post(event)) for _ in range(2))
    await asyncio.wait([first, second], timeout=0.02)
    assert not second.done()
    frozen.fails = fails
    frozen.may.set()
    statuses = [answer["status"] for answer in await asyncio.gather(first, second)]
    assert statuses == ([503, 503] if fails else [200, 200])
    assert len(frozen.published) == (0 if fails else 1)


async def test_a_server_that_stops_takes_nothing():
    """It is 503, since what it took would reach nobody."""
    await get_node().stop()
    answer = await post(EVENT)
    assert answer["status"] == 503
    assert answer["headers"][b"retry-after"] == b"1"


@pytest.mark.parametrize(
    ("path", "query", "headers", "status"),
    [
        ("/apps/app/events", "", [], 401),
        ("/apps/app/events", "auth_key=app-key", [], 401),
        ("/apps/nobody/events", "auth_key=app-key", [], 404),
        ("/apps/app/events", "", [(b"content-length", b"99999999")], 413),
        (
            "/apps/app/events",
            f"auth_key=app-key&auth_timestamp={AT}&auth_version=1.0&auth_signature=x",
            [],
            401,
        ),
    ],
)
async def test_the_body_of_a_stranger_is_not_read(
    path: str, query: str, headers: list[tuple[bytes, bytes]], status: int
):
    """An answer comes although the body never does."""

    async def never() -> dict[str, Any]:
        raise AssertionError

    answer = await ask("POST", path, query, headers=headers, receive=never)
    assert answer["status"] == status


def test_what_may_wait_has_no_quick_answer(frozen: type[Frozen]):
    scope = {"method": "POST", "path": "/apps/app/events", "query_string": b"auth_key=app-key"}
    assert Api().quick(scope) is None
    with override_settings(BROADCASTING=BROADCASTING):
        assert Api().quick(scope) is not None
        assert Api().quick(scope | {"query_string": b""}) is None
        assert Api().quick(scope | {"method": "GET"}) is None
        assert Api().quick(scope | {"path": "/"}) is None


async def test_what_says_that_it_never_waits_never_does():
    node = get_node()
    backplane, registry = node.backplane, node.registry
    assert not backplane.waits
    assert not registry.waits
    last = Cached(frame="{}", id="1", ttl=1)
    for coroutine in (
        backplane.apublish(Envelope(app_id="app", channel="c", frame="{}")),
        registry.occupancy("app", "c"),
        registry.channels("app"),
        registry.members("app", "presence-c"),
        registry.connections("app"),
        registry.aremember("app", "cache-c", last),
        registry.recall("app", "cache-c"),
        registry.claim("app", "key", 1),
        registry.release("app", "key"),
    ):
        with pytest.raises(StopIteration):
            coroutine.send(None)


def test_a_rate_that_changes_counts_anew():
    """199, 220."""
    slow = Application(id="x", key="x", secret="x", max_backend_events_per_second=2)
    limits.take_events(slow, 5)  # lent
    with pytest.raises(ApiError) as refused:
        limits.take_events(slow, 1)
    assert refused.value.status == 429
    assert refused.value.headers == ((b"retry-after", b"2"),)
    limits.take_read(slow)
    limits.take_events(Application(id="y", key="y", secret="y"), 1_000)
    faster = Application(id="x", key="x", secret="x", max_backend_events_per_second=3)
    limits.take_events(faster, 1)
