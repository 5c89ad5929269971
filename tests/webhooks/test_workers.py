"""Webhooks through Celery: workers run side by side, and endpoints are told in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pusher
import pytest

from tests import live
from tests.conformance.peer import join
from tests.conftest import Valkey, running_valkey
from tests.live import Server
from tests.webhooks.receiver import DIE, HANG, Receiver, receiving
from tests.webhooks.site import application, environment

Env = dict[str, str]
SIDE_BY_SIDE = ("--concurrency", "4")
NO_LIMIT: dict[str, Any] = {"max_client_events_per_second": None}


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """Not the session's: workers of other tests would take these jobs."""
    yield from running_valkey()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return live.make_database(tmp_path)


@pytest.fixture
def make_env(valkey: Valkey, database: Path) -> Callable[..., Env]:
    """Make the environment of a server and its workers."""
    valkey.server.client().flushall()

    def make(applications: list[dict[str, Any]], **settings: Any) -> Env:
        return environment(database, applications, **settings) | {
            "REDIS_URL": valkey.url,
            "CELERY_BROKER_URL": valkey.celery_url,
            "BROADCAST_QUEUE": "celery",
        }

    return make


@contextlib.contextmanager
def mortal_worker(env: Env) -> Iterator[Callable[[], None]]:
    """A worker that is ready; call it to kill the worker and its children at once."""
    log = Path(tempfile.mkstemp(suffix=".log")[1])
    command = [sys.executable, "-m", "celery", "-A", "tests.liveapp.celery", "worker"]
    command += ["--loglevel", "info", "-Q", "broadcasts,celery", *SIDE_BY_SIDE]
    process = live.spawn([*command, "--without-mingle", "--without-gossip"], env, log)

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    try:
        live.wait_for_line(log, " ready.", process)
        yield kill
    finally:
        kill()
        log.unlink()


def rows(database: Path) -> list[tuple[Any, ...]]:
    """What the log holds: uuid, status, attempts, last answer."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "select uuid, status, attempts, last_status from broadcasting_webhookdelivery"
            " order by number"
        ).fetchall()


def manage(env: Env, *arguments: str) -> subprocess.CompletedProcess[str]:
    return live.run(env, "-m", "django", *arguments)


async def whisper_in(server: Server, channels: list[str], numbers: range) -> None:
    """Occupy ``channels`` and whisper ``numbers`` in each."""
    async with join(server) as ada:
        for channel in channels:
            await ada.subscribe(channel)
        for number in numbers:
            for channel in channels:
                await ada.send("client-n", number, channel=channel)
        await ada.silence()


def assert_in_order(told: Receiver, channels: list[str], numbers: range) -> None:
    delivered = told.taken()
    assert len({r.id for r in delivered}) == len(delivered)
    for channel in channels:
        events = [e for e in told.events() if e["channel"] == channel]
        assert events[0]["name"] == "channel_occupied"
        whispers = [e["data"] for e in events if e["name"] == "client_event"]
        assert whispers == [str(n) for n in numbers]


@pytest.mark.parametrize("kind", ["uvicorn", pytest.param("daphne", marks=pytest.mark.full)])
async def test_an_endpoint_that_fails_half_gets_everything_in_order_and_once(
    kind: live.Kind, make_env: Callable[..., Env], database: Path
) -> None:
    """207, 222."""
    answers = (500, 200, DIE, 200)
    channels = [f"private-{uuid4().hex}" for _ in range(3)]
    numbers = range(40)
    with receiving(lambda number, path, _: answers[number % 4]) as told:
        app = application(told, previous_secret="older-secret", **NO_LIMIT)
        env = make_env([app], BATCH_SIZE=5)
        with live.serving(kind, env) as server, live.working(env, *SIDE_BY_SIDE):
            await whisper_in(server, channels, numbers)
            await asyncio.to_thread(told.wait_for, 3 * (len(numbers) + 1))
            # Departures too, so that nothing is under way when the worker stops.
            await asyncio.to_thread(told.wait_for, 3 * (len(numbers) + 2))
    assert_in_order(told, channels, numbers)
    assert {r.headers["x-pusher-key"] for r in told.requests} == {"app-key"}
    client = pusher.Pusher(app_id="1", key="app-key", secret="older-secret")
    for request in told.requests:
        assert client.validate_webhook(
            "app-key", request.headers["x-pusher-signature"], request.body.decode()
        )


async def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    make_env: Callable[..., Env], database: Path
) -> None:
    """207."""
    hanging = {"now": True}
    channels = [f"private-{uuid4().hex}" for _ in range(2)]
    numbers = range(10)
    with receiving(lambda number, path, _: HANG if hanging["now"] else 200) as told:
        env = make_env([application(told, **NO_LIMIT)], BATCH_SIZE=4)
        with live.serving("uvicorn", env) as server:
            with mortal_worker(env) as kill:
                await whisper_in(server, channels, numbers)
                await asyncio.to_thread(told.wait, lambda r: bool(r.requests))
                kill()
            hanging["now"] = False
            with live.working(env, *SIDE_BY_SIDE):
                await asyncio.to_thread(told.wait_for, 2 * (len(numbers) + 2))
    assert_in_order(told, channels, numbers)


@pytest.mark.full
async def test_a_dead_endpoint_is_given_up_and_what_failed_can_be_replayed(
    make_env: Callable[..., Env], database: Path
) -> None:
    """207, 211."""
    dead = {"now": True}
    name = uuid4().hex

    def answer(number: int, path: str, webhook_id: str) -> int:
        return 500 if path == "/dead" and dead["now"] else 200

    with receiving(answer) as told:
        app = application(told, {"url": "dead"}, {"url": "good"})
        env = make_env([app], RETRY_SECONDS=4, BATCH_SECONDS=0)
        with live.serving("uvicorn", env) as server, live.working(env, *SIDE_BY_SIDE) as log:
            async with join(server) as ada:
                await ada.subscribe(name)
                await asyncio.to_thread(told.wait_for, 1, "/good")
                await asyncio.to_thread(live.wait_for_line, log, "Gave up webhook")
                tried = [r for r in told.requests if r.path == "/dead"]
                assert len(tried) > 1
                assert {(r.id, r.body) for r in tried} == {(tried[0].id, tried[0].body)}
                failed = [row for row in rows(database) if row[1] == "failed"]
                assert [(row[2], row[3]) for row in failed] == [(len(tried), 500)]
                dead["now"] = False
                done = manage(env, "webhook_replay", "--failed", "--app", "app", "--since", "1:0:0")
                assert done.returncode == 0, done.stderr
                (again,) = await asyncio.to_thread(told.wait_for, 1, "/dead")
                assert again == {"name": "channel_occupied", "channel": name}
    replayed = told.taken("/dead")[0]
    assert replayed.id == tried[0].id
    assert replayed.content["time_ms"] > tried[0].content["time_ms"]
    client = pusher.Pusher(app_id="1", key="app-key", secret="app-secret")
    signature = replayed.headers["x-pusher-signature"]
    assert client.validate_webhook("app-key", signature, replayed.body.decode())


async def test_a_server_without_the_table_delivers_by_itself(
    make_env: Callable[..., Env], tmp_path: Path
) -> None:
    """244."""
    with receiving() as told:
        env = make_env([application(told)]) | {
            "BROADCASTING_TEST_DATABASE": str(tmp_path / "empty.sqlite3")
        }
        with live.serving("uvicorn", env) as server:
            async with join(server) as ada:
                for number in range(3):
                    await ada.subscribe(f"channel-{number}")
                    await asyncio.to_thread(told.wait_for, number + 1)
            text = server.log.read_text()
    assert text.count("cannot be kept in the database") == 1
