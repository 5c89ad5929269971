"""Jobs through Django's tasks, or the backport where Django has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.exceptions import BackplaneUnavailable, PublishError, QueueUnavailable
from broadcasting.queues import JobOptions, get_queue, register
from broadcasting.queues.tasks import TasksQueue, framework, run_job
from broadcasting.signals import broadcast_skipped
from tests.sending.test_workers import hearing
from tests.testapp.events import OrderCancelled, Ticked
from tests.testapp.models import Order

NAME = framework.__name__
DUMMY = f"{NAME}.backends.dummy.DummyBackend"
IMMEDIATE = f"{NAME}.backends.immediate.ImmediateBackend"


class Burst(Ticked):
    class Meta:
        debounce = 3600


@pytest.fixture
def tasks(settings: Any, configure: Any) -> Iterator[Any]:
    """Enqueued tasks, kept by the framework's own dummy backend."""
    settings.TASKS = {
        "default": {"BACKEND": IMMEDIATE},
        "kept": {"BACKEND": DUMMY, "QUEUES": []},
    }
    configure(QUEUE={"BACKEND": "tasks", "OPTIONS": {"backend": "kept"}})
    backend = framework.task_backends["kept"]
    backend.clear()
    yield backend
    backend.clear()


@pytest.fixture
def immediate(settings: Any, configure: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE}}
    configure(QUEUE={"BACKEND": "tasks"})


class TestEnqueueing:
    def test_an_event_becomes_one_task_on_its_queue(self, tasks: Any) -> None:
        OrderCancelled(Order(pk=1)).dispatch()
        (result,) = tasks.results
        assert result.task.queue_name == "realtime"
        assert result.task.module_path == "broadcasting.queues.tasks.run_job"
        job, payload, tries, backoff, expires_at = json.loads(json.dumps(result.args))
        assert (job, tries, backoff) == ("broadcast", 3, [1, 5])
        assert Broadcast.from_payload(payload).name == "order.cancelled"
        assert expires_at > 0

    async def test_so_it_is_in_async_code(self, tasks: Any) -> None:
        await Ticked(1).adispatch()
        (result,) = tasks.results
        assert result.task.queue_name == "broadcasts"

    def test_a_queue_that_the_backend_does_not_have_is_a_mistake(self, immediate: None) -> None:
        with pytest.raises(Exception, match="Queue 'realtime' is not valid"):
            OrderCancelled(Order(pk=1)).dispatch()

    def test_a_backend_that_refuses_is_an_outage(
        self, tasks: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise OSError("no database")

        monkeypatch.setattr(tasks, "enqueue", refuse)
        with pytest.raises(QueueUnavailable, match="OSError: no database"):
            Ticked(1).dispatch()


class TestRunning:
    def test_without_a_worker_it_runs_at_once_and_its_failure_shows(
        self, immediate: None, outbox: list[Broadcast]
    ) -> None:
        queue = get_queue()
        assert isinstance(queue, TasksQueue)
        assert not queue.leaves_process
        assert queue.default_name == "default"
        Ticked(1).dispatch()
        assert len(outbox) == 1
        with pytest.raises(PublishError, match=r"broadcasting\.exceptions\.NoServerHere"):
            Ticked(1).via("default").dispatch()

    def test_a_backend_with_workers_leaves_the_process(self, tasks: Any) -> None:
        assert get_queue().leaves_process

    def test_old_news_is_dropped(self, tasks: Any, outbox: list[Broadcast]) -> None:
        get_queue().push("broadcast", {"v": 1}, JobOptions(expires=-1))
        (result,) = tasks.results
        run_job.func(SimpleNamespace(task_result=result), *result.args)
        assert outbox == []

    def test_a_backend_that_cannot_wait_says_so(
        self, tasks: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is held back waits in the process then."""
        monkeypatch.setattr(tasks, "supports_defer", False)
        with pytest.raises(ImproperlyConfigured, match="a delay needs a queue that can wait"):
            Ticked(1).delay(5).dispatch()
        with hearing(broadcast_skipped) as replaced:
            Burst(1).dispatch()
            Burst(2).dispatch()
        assert tasks.results == []
        assert len(replaced) == 1
        assert flush(5)

    def test_what_would_be_too_old_by_then_is_given_up_at_once(
        self, tasks: Any, given_up: list[dict[str, Any]]
    ) -> None:
        """App 11: no attempt that would come too late."""
        get_queue().push("failing", {"a": 1}, JobOptions(expires=5, backoff=(10,)))
        (result,) = tasks.results
        with pytest.raises(BackplaneUnavailable):
            run_job.func(SimpleNamespace(task_result=result), *result.args)
        assert given_up == [{"a": 1}]

    def test_what_is_not_taken_again_is_given_up(
        self, tasks: Any, given_up: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        get_queue().push("failing", {"a": 1}, JobOptions())
        (result,) = tasks.results

        def refuse(*args: Any, **kwargs: Any) -> None:
            raise OSError("the database is away")

        monkeypatch.setattr(tasks, "enqueue", refuse)
        with pytest.raises(OSError, match="away"):
            run_job.func(SimpleNamespace(task_result=result), *result.args)
        assert given_up == [{"a": 1}]

    def test_a_transport_error_is_tried_again_where_tasks_can_wait(
        self, tasks: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(payload: dict[str, Any]) -> None:
            raise BackplaneUnavailable("down")

        register("failing", fail)
        get_queue().push("failing", {}, JobOptions(tries=3, backoff=(10, 20)))
        for attempt in (1, 2):
            result = tasks.results[-1]
            assert len(tasks.results) == attempt
            run_job.func(SimpleNamespace(task_result=result), *result.args)
            assert tasks.results[-1].task.run_after is not None
        last = tasks.results[-1]
        with pytest.raises(BackplaneUnavailable):
            run_job.func(SimpleNamespace(task_result=last), *last.args)
        monkeypatch.setattr(tasks, "supports_defer", False)
        with pytest.raises(BackplaneUnavailable):
            run_job.func(SimpleNamespace(task_result=result), *tasks.results[0].args)
