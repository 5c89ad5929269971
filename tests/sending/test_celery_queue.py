"""Jobs through Celery against a real broker, up, refused and frozen."""

from __future__ import annotations

import asyncio
import json
import os
import time
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery, current_app
from celery.exceptions import QueueNotFound, Reject, Retry
from kombu.transport.redis import Channel

from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BackplaneUnavailable, QueueUnavailable
from broadcasting.queues import JobOptions, get_queue, register
from broadcasting.queues.celery import CeleryQueue
from broadcasting.tasks import run_job
from tests.conftest import PUBLISH_LIMIT, Valkey, frozen, running_valkey
from tests.testapp.events import OrderCancelled, Ticked
from tests.testapp.models import Order

TIMEOUT = PUBLISH_LIMIT
SLACK = 0.2


@contextmanager
def celery_app(broker: str) -> Iterator[Celery]:
    before = current_app._get_current_object()  # type: ignore[attr-defined]
    app = Celery("tests", broker=broker)
    app.set_default()
    app.set_current()
    try:
        yield app
    finally:
        before.set_default()
        before.set_current()
        app.close()


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """Not the session's: workers of other tests would take the jobs, and lose theirs here."""
    yield from running_valkey()


@pytest.fixture
def app(valkey: Valkey, configure: Any) -> Iterator[Celery]:
    valkey.server.client().flushall()
    with celery_app(valkey.celery_url) as app:
        configure(QUEUE={"BACKEND": "celery"})
        yield app


@pytest.fixture
def own_app(own_valkey: Valkey, configure: Any) -> Iterator[Celery]:
    with celery_app(own_valkey.celery_url) as app:
        # What Celery imports on first use is not the broker's doing.
        CeleryQueue({}).push("broadcast", {"v": 1}, JobOptions(queue="warm"))
        configure(QUEUE={"BACKEND": "celery"})
        yield app


def jobs(valkey: Valkey, queue: str) -> list[dict[str, Any]]:
    return [json.loads(job) for job in valkey.server.client().lrange(queue, 0, -1)]


def push(expected: type[Exception] | None = QueueUnavailable) -> float:
    """Push a job, tell how long it took in seconds."""
    began = time.perf_counter()
    if expected is None:
        get_queue().push("broadcast", {"v": 1}, JobOptions())
    else:
        with pytest.raises(expected):
            get_queue().push("broadcast", {"v": 1}, JobOptions())
    return time.perf_counter() - began


class TestMessages:
    def test_an_event_becomes_one_json_message(self, app: Celery, valkey: Valkey) -> None:
        OrderCancelled(Order(pk=1)).to_others("1.2").dispatch()
        (message,) = jobs(valkey, "realtime")
        assert message["content-type"] == "application/json"
        assert message["headers"]["task"] == "broadcasting.run"
        assert message["headers"]["ignore_result"] is True
        assert message["headers"]["shadow"] == "tests.testapp.events.OrderCancelled"
        (job, payload, tries, backoff), _, _ = json.loads(b64decode(message["body"]))
        assert (job, tries, backoff) == ("broadcast", 3, [1, 5])
        assert Broadcast.from_payload(payload).data == '{"order":{"id":1}}'

    def test_the_payload_is_not_shown_to_monitors(self, app: Celery, valkey: Valkey) -> None:
        Ticked(4711).dispatch()
        (message,) = jobs(valkey, "broadcasts")
        assert "4711" not in json.dumps(message["headers"])

    def test_jobs_expire(self, app: Celery, valkey: Valkey) -> None:
        Ticked(1).dispatch()
        (message,) = jobs(valkey, "broadcasts")
        assert message["headers"]["expires"] is not None

    def test_how_long_they_may_wait_is_an_option_and_the_events(
        self, app: Celery, valkey: Valkey, configure: Any
    ) -> None:
        class Lasting(Ticked):
            class Meta:
                expires = 3_000

        configure(QUEUE={"BACKEND": "celery", "OPTIONS": {"expires": 600}})
        Ticked(1).dispatch()
        Lasting(2).dispatch()
        waits = [
            datetime.fromisoformat(message["headers"]["expires"]) - datetime.now(UTC)
            for message in jobs(valkey, "broadcasts")
        ]
        assert [round(wait.total_seconds() / 100) for wait in waits] == [30, 6]

    def test_the_default_queue_is_an_option(
        self, app: Celery, valkey: Valkey, configure: Any
    ) -> None:
        configure(QUEUE={"BACKEND": "celery", "OPTIONS": {"queue": "elsewhere"}})
        Ticked(1).dispatch()
        assert len(jobs(valkey, "elsewhere")) == 1

    async def test_async_code_pushes_without_blocking_its_loop(
        self, app: Celery, valkey: Valkey
    ) -> None:
        await asyncio.gather(*(Ticked(n).adispatch() for n in range(20)))
        assert len(jobs(valkey, "broadcasts")) == 20

    def test_now_needs_no_broker(self, outbox: list[Broadcast], configure: Any) -> None:
        with celery_app("redis+socket:///nowhere"):
            configure(QUEUE={"BACKEND": "celery"})
            Ticked(1).now().dispatch()
        assert len(outbox) == 1


@pytest.mark.usefixtures("limited")
class TestOutage:
    def test_a_frozen_broker_costs_one_timeout_then_nothing(
        self, own_app: Celery, own_valkey: Valkey
    ) -> None:
        push(None)
        with frozen(own_valkey):
            assert TIMEOUT * 0.8 < push() < TIMEOUT + SLACK
            assert push() < 0.05
        recover()
        assert push(None) < TIMEOUT

    def test_a_broker_that_was_never_reached_costs_no_more(
        self, own_app: Celery, own_valkey: Valkey
    ) -> None:
        with frozen(own_valkey):
            assert push() < TIMEOUT + SLACK
            assert push() < 0.05

    def test_a_refusing_broker_fails_at_once_and_recovers(
        self, configure: Any, tmp_path: Any
    ) -> None:
        with celery_app(f"redis+socket://{tmp_path}/nobody"):
            configure(QUEUE={"BACKEND": "celery"})
            assert push() < TIMEOUT
            assert push() < 0.05

    def test_a_request_raises_or_is_rescued_within_the_bound(
        self, own_app: Celery, own_valkey: Valkey, configure: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        with frozen(own_valkey):
            began = time.perf_counter()
            with pytest.raises(QueueUnavailable, match="did not take the job"):
                Ticked(1).dispatch()
            configure(QUEUE={"BACKEND": "celery"}, RESCUE=True)
            Ticked(1).dispatch()
            assert time.perf_counter() - began < 2 * (TIMEOUT + SLACK)
        assert "QueueUnavailable" in caplog.text

    async def test_the_loop_turns_while_the_broker_is_silent(
        self, own_app: Celery, own_valkey: Valkey
    ) -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        turning = asyncio.create_task(turn())
        with frozen(own_valkey), pytest.raises(QueueUnavailable):
            await Ticked(1).adispatch()
        turning.cancel()
        assert turns > 5

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_forked_child_has_connections_of_its_own(self, app: Celery, valkey: Valkey) -> None:
        queue = get_queue()
        assert isinstance(queue, CeleryQueue)
        push(None)
        child = os.fork()
        if child == 0:  # pragma: no cover - the child ends without telling
            try:
                os._exit(0 if queue._pool is None and push(None) else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        push(None)
        assert len(jobs(valkey, "broadcasts")) == 3

    def test_a_mistake_of_the_program_is_no_outage(self, app: Celery, valkey: Valkey) -> None:
        app.conf.task_create_missing_queues = False
        app.conf.task_queues = {"broadcasts": {}, "celery": {}}
        with pytest.raises(QueueNotFound, match="typo"):
            Ticked(1).on_queue("typo").dispatch()
        Ticked(2).dispatch()
        assert len(jobs(valkey, "broadcasts")) == 1

    def test_a_crowd_is_held_no_longer_than_one(
        self, own_app: Celery, own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("broadcasting.queues.celery.POOL_SIZE", 2)
        configured = get_queue()
        assert isinstance(configured, CeleryQueue)
        asked: list[float] = []
        publish = own_app.amqp.send_task_message

        def counting(*args: Any, **kwargs: Any) -> Any:
            asked.append(time.perf_counter())
            return publish(*args, **kwargs)

        monkeypatch.setattr(own_app.amqp, "send_task_message", counting)
        with frozen(own_valkey), ThreadPoolExecutor(8) as threads:
            held = [*threads.map(lambda _: push(), range(8))]
        # Those who waited for their turn did not ask the broker that had failed the others.
        assert len(asked) <= 4
        assert max(held) < 0.5

    def test_a_connection_that_timed_out_is_not_used_again(
        self, own_app: Celery, own_valkey: Valkey
    ) -> None:
        queue = get_queue()
        assert isinstance(queue, CeleryQueue)
        push(None)
        before = queue._pool
        with frozen(own_valkey):
            push()
        recover()
        assert queue._pool is not before

    def test_a_connection_to_redis_keeps_one_client(
        self, app: Celery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[Any] = []
        acquire = Channel.conn_or_acquire

        @contextmanager
        def counting(channel: Channel, client: Any = None) -> Iterator[Any]:
            if client is None:
                made.append(channel)
            with acquire(channel, client) as acquired:
                yield acquired

        monkeypatch.setattr(Channel, "conn_or_acquire", counting)
        for _ in range(3):
            push(None)
        assert len(made) == len(set(made)) == 1

    def test_what_an_eager_task_raises_is_its_own(self, app: Celery, configure: Any) -> None:
        def fail(payload: dict[str, Any]) -> None:
            raise ConnectionError("kafka is down")

        register("failing", fail)
        configure(QUEUE={"BACKEND": "celery"})
        app.conf.update(task_always_eager=True, task_eager_propagates=True)
        queue = get_queue()
        assert isinstance(queue, CeleryQueue)
        with pytest.raises(ConnectionError, match="kafka"):
            queue.push("failing", {}, JobOptions())
        assert not queue._outage.down

    def test_eager_tasks_stay_in_the_process(
        self, app: Celery, valkey: Valkey, outbox: list[Broadcast], configure: Any
    ) -> None:
        configure(QUEUE={"BACKEND": "celery"}, DEFAULT_BROADCASTER="locmem")
        assert get_queue().leaves_process
        app.conf.task_always_eager = True
        assert not get_queue().leaves_process
        Ticked(1).dispatch()
        assert len(outbox) == 1


class TestTask:
    """The body, run eagerly; a worker process is another test's."""

    def test_it_runs_the_job(self, app: Celery, outbox: list[Broadcast]) -> None:
        sent = Broadcast(name="A", channels=("a",), data="{}", broadcaster="locmem")
        run_job.apply(("broadcast", sent.to_payload(), 3, [1, 5])).get()
        assert outbox == [sent]

    def test_transport_errors_are_tried_again_up_to_tries(self, app: Celery) -> None:
        """App 11: retries."""
        attempts = []

        def fail(payload: dict[str, Any]) -> None:
            attempts.append(payload)
            raise BackplaneUnavailable("down")

        register("failing", fail)
        result = run_job.apply(("failing", {"a": 1}, 3, [0]))
        assert attempts == [{"a": 1}] * 3
        assert isinstance(result.result, BackplaneUnavailable)

    def test_a_mistake_of_the_program_is_not(self, app: Celery) -> None:
        attempts = []

        def fail(payload: dict[str, Any]) -> None:
            attempts.append(payload)
            raise LookupError

        register("mistaken", fail)
        run_job.apply(("mistaken", {}, 3, [0]))
        assert len(attempts) == 1

    @pytest.mark.parametrize(("retries", "countdown"), [(0, 1), (1, 5), (2, 5)])
    @pytest.mark.usefixtures("given_up")
    def test_the_waits_are_those_of_the_event(
        self, app: Celery, valkey: Valkey, retries: int, countdown: float
    ) -> None:
        """App 11: backoff."""
        with in_worker(retries=retries, shadow="shop.OrderShipped"), pytest.raises(Retry) as raised:
            run_job.run("failing", {"data": "4711"}, 9, [1, 5])
        assert raised.value.when == countdown
        (message,) = jobs(valkey, "realtime")
        assert message["headers"]["shadow"] == "shop.OrderShipped"
        assert "4711" not in json.dumps(message["headers"])
        assert message["headers"]["retries"] == retries + 1

    def test_what_would_expire_by_then_is_given_up_at_once(
        self, app: Celery, valkey: Valkey, given_up: list[dict[str, Any]]
    ) -> None:
        """App 11: no attempt that would come too late."""
        get_queue().push("failing", {"a": 1}, JobOptions(queue="realtime", expires=5))
        (message,) = jobs(valkey, "realtime")
        expires = message["headers"]["expires"]
        with in_worker(expires=expires), pytest.raises(Retry):
            run_job.run("failing", {"a": 1}, 3, [1])
        assert given_up == []
        with in_worker(expires=expires), pytest.raises(BackplaneUnavailable):
            run_job.run("failing", {"a": 1}, 3, [10])
        assert given_up == [{"a": 1}]

    def test_what_the_broker_does_not_take_again_is_given_up(
        self, tmp_path: Any, given_up: list[dict[str, Any]]
    ) -> None:
        with (
            celery_app(f"redis+socket://{tmp_path}/nobody"),
            in_worker(),
            pytest.raises(Reject),
        ):
            run_job.run("failing", {"a": 1}, 3, [1])
        assert given_up == [{"a": 1}]


@contextmanager
def in_worker(**request: Any) -> Iterator[None]:
    """Stand where a worker runs the task."""
    run_job.push_request(
        **{
            "retries": 0,
            "called_directly": False,
            "args": ("failing", {}, 9, [1, 5]),
            "kwargs": {},
            "delivery_info": {"exchange": "", "routing_key": "realtime"},
            **request,
        }
    )
    try:
        yield
    finally:
        run_job.pop_request()


def recover() -> None:
    """Push until the second is over in which an outage refuses without trying."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(QueueUnavailable):
            get_queue().push("broadcast", {"v": 1}, JobOptions())
            return
        time.sleep(0.02)
    raise AssertionError("the queue did not recover")
