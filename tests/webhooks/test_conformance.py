"""5.14: what endpoints are told, by both servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pusher
import pytest

from tests import live
from tests.conformance.peer import join
from tests.live import Server
from tests.processes.sites import dispatch
from tests.webhooks.receiver import DIE, HANG, Event, Receiver, receiving
from tests.webhooks.site import application, environment


@pytest.fixture(scope="module")
def told() -> Iterator[Receiver]:
    """Who is told by ``teller``; tests have channels of their own."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def teller(request: pytest.FixtureRequest, live_database: Path, told: Receiver) -> Iterator[Server]:
    apps = [
        application(
            told,
            {"headers": {"X-Custom": "yes", "Authorization": "Basic abc"}},
            {"url": "members", "event_types": ["member_added", "member_removed"]},
            {
                "url": "orders",
                "filter": {
                    "channel_name_starts_with": "private-orders.",
                    "channel_name_ends_with": ".eu",
                },
            },
        ),
        application(told, {"url": "counts"}, id="counting", enable_subscription_count=True),
        application(told, {"url": "second"}, id="second", previous_secret="older-secret"),
    ]
    # Long enough for a return in time, on a machine that is busy with other tests.
    with live.serving(request.param, environment(live_database, apps, GRACE=1)) as running:
        yield running


@pytest.fixture
def name() -> str:
    """The end of a channel's name that no other test uses."""
    return uuid4().hex


def of(receiver: Receiver, channel: str, path: str = "/") -> list[Event]:
    return [event for event in receiver.events(path) if event["channel"] == channel]


async def expect(receiver: Receiver, channel: str, *expected: Event, path: str = "/") -> None:
    """Prove that these are the events of ``channel``, in this order."""
    events = [{"channel": channel, **event} for event in expected]
    await asyncio.to_thread(receiver.wait, lambda r: len(of(r, channel, path)) >= len(events))
    assert of(receiver, channel, path) == events


async def test_occupied_once_and_vacated_after_the_grace(
    teller: Server, told: Receiver, name: str
) -> None:
    """200, 201."""
    async with join(teller) as ada, join(teller) as bob:
        await ada.subscribe(name)
        await expect(told, name, {"name": "channel_occupied"})
        await bob.subscribe(name)
        await ada.leave(name)
        await bob.leave(name)
    await expect(told, name, {"name": "channel_occupied"}, {"name": "channel_vacated"})


async def test_who_returns_within_the_grace_never_left(
    teller: Server, told: Receiver, name: str
) -> None:
    """201, 202."""
    presence = f"presence-{name}"
    async with join(teller) as ada:
        await ada.enter(presence, 7)
        await ada.leave(presence)
        await ada.enter(presence, 7)
        await ada.leave(presence)
    await expect(
        told,
        presence,
        {"name": "channel_occupied"},
        {"name": "member_added", "user_id": "7"},
        {"name": "member_removed", "user_id": "7"},
        {"name": "channel_vacated"},
    )


async def test_members_are_told_once_per_user_as_strings(
    teller: Server, told: Receiver, name: str
) -> None:
    """202, 209."""
    presence = f"presence-{name}"
    async with join(teller) as ada, join(teller) as again, join(teller) as bob:
        await ada.enter(presence, 42)
        await again.enter(presence, 42)
        await bob.enter(presence, "b")
        added = [{"name": "member_added", "user_id": user} for user in ("42", "b")]
        removed = [{"name": "member_removed", "user_id": user} for user in ("42", "b")]
        await ada.send("pusher:unsubscribe", {"channel": presence})
        await again.send("pusher:unsubscribe", {"channel": presence})
        await expect(told, presence, *added, removed[0], path="/members")
    await expect(told, presence, *added, *removed, path="/members")


async def test_client_events_carry_who_and_what(teller: Server, told: Receiver, name: str) -> None:
    """203."""
    private, presence = f"private-{name}", f"presence-{name}"
    async with join(teller) as ada, join(teller) as bob:
        await bob.subscribe(private)
        await bob.enter(presence, 6)
        await ada.subscribe(private)
        await ada.enter(presence, 5)
        await ada.send("client-x", {"a": [1, "é"]}, channel=private)
        await ada.send("client-y", "plain", channel=presence)
        await ada.silence()
        await asyncio.to_thread(
            told.wait,
            lambda r: (
                {"client_event"} <= {e["name"] for e in of(r, private)}
                and {"client_event"} <= {e["name"] for e in of(r, presence)}
            ),
        )
        (in_private,) = [e for e in of(told, private) if e["name"] == "client_event"]
        (in_presence,) = [e for e in of(told, presence) if e["name"] == "client_event"]
        assert in_private == {
            "name": "client_event",
            "channel": private,
            "event": "client-x",
            "data": '{"a":[1,"é"]}',
            "socket_id": ada.socket_id,
        }
        assert in_presence == {
            "name": "client_event",
            "channel": presence,
            "event": "client-y",
            "data": "plain",
            "socket_id": ada.socket_id,
            "user_id": "5",
        }


async def test_a_cache_miss_is_told_a_replay_is_not(
    teller: Server, told: Receiver, name: str
) -> None:
    """204."""
    empty, full = f"cache-{name}", f"cache-{name}-full"
    await dispatch(teller, full, 1)
    async with join(teller) as ada:
        await ada.subscribe(full)
        assert (await ada.receive())["event"] == "Happened"
        await ada.subscribe(empty)
        assert (await ada.receive())["event"] == "pusher:cache_miss"
        occupied = {"name": "channel_occupied"}
        await expect(told, empty, occupied, {"name": "cache_miss"})
        await expect(told, full, occupied)


async def test_subscription_counts_are_told_when_on(
    teller: Server, told: Receiver, name: str
) -> None:
    """205."""
    async with join(teller, "counting") as ada, join(teller) as other:
        await ada.subscribe(name)
        await other.subscribe(name)
        occupied = {"name": "channel_occupied"}
        counted = {"name": "subscription_count", "subscription_count": 1}
        await expect(told, name, occupied, counted, path="/counts")
        await expect(told, name, occupied)


async def test_pushers_library_verifies_what_is_sent(
    teller: Server, told: Receiver, name: str
) -> None:
    """206, 222."""
    async with join(teller) as ada, join(teller, "second") as other:
        await ada.subscribe(name)
        await other.subscribe(name)
        await asyncio.to_thread(
            told.wait, lambda r: bool(of(r, name)) and bool(of(r, name, "/second"))
        )
    for path, key, secret in (
        ("/", "app-key", "app-secret"),
        ("/second", "second-key", "older-secret"),
    ):
        client = pusher.Pusher(app_id="1", key=key, secret=secret)
        for request in told.taken(path):
            valid = client.validate_webhook(
                request.headers["x-pusher-key"],
                request.headers["x-pusher-signature"],
                request.body.decode(),
            )
            assert valid == request.content
            assert request.headers["content-type"] == "application/json"
            assert b" " not in request.body.split(b'"events"')[0]


async def test_filters_by_name_and_headers_of_the_endpoint(
    teller: Server, told: Receiver, name: str
) -> None:
    """209, 210."""
    channels = [
        f"private-orders.{name}.eu",
        f"private-orders.{name}.us",
        f"private-other.{name}.eu",
    ]
    async with join(teller) as ada:
        for channel in channels:
            await ada.subscribe(channel)
        await expect(told, channels[0], {"name": "channel_occupied"}, path="/orders")
        await expect(told, channels[2], {"name": "channel_occupied"})
    assert not of(told, channels[1], "/orders")
    assert not of(told, channels[2], "/orders")
    assert all(r.headers["x-custom"] == "yes" for r in told.taken("/"))
    assert all(r.headers["authorization"] == "Basic abc" for r in told.taken("/"))
    assert not any("x-custom" in r.headers for r in told.taken("/orders"))


async def test_two_applications_never_mix(teller: Server, told: Receiver, name: str) -> None:
    """208, 218."""
    async with join(teller) as ada, join(teller, "second") as bob:
        await asyncio.gather(ada.subscribe(name), bob.subscribe(name))
        await expect(told, name, {"name": "channel_occupied"})
        await expect(told, name, {"name": "channel_occupied"}, path="/second")
        await bob.ask_signed(f"private-{name}")
        await expect(told, f"private-{name}", {"name": "channel_occupied"}, path="/second")
    assert not of(told, f"private-{name}")


@pytest.fixture(params=["uvicorn", "daphne"])
def serve(request: pytest.FixtureRequest, live_database: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of each kind with applications of the test's own."""
    running: list[Any] = []

    def start(applications: list[dict[str, Any]], **settings: Any) -> Server:
        context = live.serving(request.param, environment(live_database, applications, **settings))
        server = context.__enter__()
        running.append(context)
        return server

    yield start
    for context in running:
        context.__exit__(None, None, None)


def wait_for_rows(database: Path, webhook_id: str, attempts: int) -> None:
    """Return once the log holds that it arrived with that attempt."""
    deadline = time.monotonic() + live.PATIENCE
    found = None
    while time.monotonic() < deadline:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            found = connection.execute(
                "select status, attempts, last_status from broadcasting_webhookdelivery"
                " where uuid = ?",
                [webhook_id.replace("-", "")],
            ).fetchone()
        if found == ("delivered", attempts, 204):
            return
        time.sleep(0.05)  # another process's database
    raise AssertionError(found)


async def test_a_refused_request_is_repeated_as_it_was(
    serve: Callable[..., Server], name: str, live_database: Path
) -> None:
    """207."""
    with receiving(lambda number, path, _: [500, 302, DIE, 404, 204][min(number, 5) - 1]) as told:
        server = serve([application(told)])
        async with join(server) as ada:
            await ada.subscribe(name)
            await expect(told, name, {"name": "channel_occupied"})
            await asyncio.to_thread(wait_for_rows, live_database, told.requests[0].id, 5)
    first, *others = told.requests[:5]
    assert [r.answer for r in others] == [302, DIE, 404, 204]
    for request in others:
        assert request.body == first.body
        assert request.id == first.id
        assert request.headers["x-pusher-signature"] == first.headers["x-pusher-signature"]
    waits = [float(w) for w in re.findall(r"again in ([0-9.]+) s", server.log.read_text())]
    assert len(waits) == 4
    assert waits == sorted(waits)
    assert waits[3] > waits[0]
    assert all(r.path == "/" for r in told.requests)


async def test_it_gives_up_in_the_end_and_goes_on(serve: Callable[..., Server], name: str) -> None:
    """207."""
    failing = {"": True}
    with receiving(lambda number, path, _: 500 if failing[""] else 200) as told:
        server = serve([application(told)], RETRY_SECONDS=0.4, BATCH_SECONDS=0)
        async with join(server) as ada:
            await ada.subscribe(name)
            await asyncio.to_thread(live.wait_for_line, server.log, "Gave up webhook")
            failing[""] = False
            await ada.subscribe(f"{name}-b")
            await expect(told, f"{name}-b", {"name": "channel_occupied"})
        assert not of(told, name)


async def test_each_event_has_a_request_of_its_own_without_batches(
    serve: Callable[..., Server], name: str
) -> None:
    """208."""
    with receiving() as told:
        server = serve([application(told)], BATCH_SECONDS=0)
        async with join(server) as ada:
            for number in range(5):
                await ada.subscribe(f"{name}-{number}")
            await asyncio.to_thread(told.wait_for, 5)
    assert [len(r.events) for r in told.taken()[:5]] == [1] * 5
    assert [e["channel"] for e in told.events()[:5]] == [f"{name}-{n}" for n in range(5)]


async def test_events_of_one_moment_share_a_request(
    serve: Callable[..., Server], name: str
) -> None:
    """208."""
    with receiving() as told:
        server = serve([application(told)], BATCH_SECONDS=60, BATCH_SIZE=3)
        async with join(server) as ada:
            for number in range(3):
                await ada.subscribe(f"{name}-{number}")
            await asyncio.to_thread(told.wait_for, 3)
    assert len(told.taken()[0].events) == 3


async def test_a_dead_endpoint_delays_neither_sockets_nor_other_endpoints(
    serve: Callable[..., Server], name: str
) -> None:
    """211, 244."""
    with receiving(lambda number, path, _: HANG if path == "/dead" else 200) as told:
        server = serve([application(told, {"url": "dead"}, {"url": "good"})])
        async with join(server) as ada, join(server) as bob:
            await ada.subscribe(f"private-{name}")
            await bob.subscribe(f"private-{name}")
            await asyncio.to_thread(told.wait, lambda r: any(q.path == "/dead" for q in r.requests))
            for number in range(8):
                await ada.send("client-x", number, channel=f"private-{name}")
                assert await bob.expect("client-x", f"private-{name}") == number
            await asyncio.to_thread(told.wait_for, 9, "/good")
        assert not told.taken("/dead")


async def test_an_endpoint_that_fails_half_gets_everything_in_order_and_once(
    serve: Callable[..., Server], name: str
) -> None:
    """207, 244."""

    def half(number: int, path: str, webhook_id: str) -> int:
        return (500, 200, DIE, 200)[number % 4]

    with receiving(half) as told:
        server = serve([application(told, max_client_events_per_second=None)], BATCH_SIZE=5)
        async with join(server) as ada, join(server) as bob:
            channels = [f"private-{name}-{letter}" for letter in "abc"]
            for channel in channels:
                await ada.subscribe(channel)
                await bob.subscribe(channel)
            for number in range(40):
                for channel in channels:
                    await ada.send("client-n", number, channel=channel)
            await ada.silence()
            await asyncio.to_thread(told.wait_for, 3 + 120)
    delivered = told.taken()
    assert len({r.id for r in delivered}) == len(delivered)
    for channel in channels:
        numbers = [e["data"] for e in of(told, channel) if e["name"] == "client_event"]
        assert numbers == [json.dumps(n) for n in range(40)]


async def test_a_stopping_server_delivers_what_waits(
    serve: Callable[..., Server], name: str
) -> None:
    """201."""
    with receiving() as told:
        server = serve([application(told)], BATCH_SECONDS=60, GRACE=60)
        async with join(server) as ada:
            await ada.subscribe(name)
            assert await asyncio.to_thread(server.stop) == 0
        expected = [{"name": "channel_occupied"}]
        if server.kind == "uvicorn":
            expected.append({"name": "channel_vacated"})
        await expect(told, name, *expected)


async def test_a_stopping_server_says_what_is_lost(serve: Callable[..., Server], name: str) -> None:
    with receiving(lambda number, path, _: HANG) as told:
        server = serve([application(told)], TIMEOUT=0.5)
        async with join(server) as ada:
            await ada.subscribe(name)
            await asyncio.to_thread(told.wait, lambda r: bool(r.requests))
            await asyncio.to_thread(server.stop)
        said = server.log.read_text()
        assert "webhook events were not delivered" in said or "Gave up webhook" in said
