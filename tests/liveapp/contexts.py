"""The places inside a site that dispatch: each plays every outcome of outcomes.py.

Those of a process of their own are a management command (``outcomes``) and a Celery task
(tasks.py).
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections
from django.dispatch import Signal
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from broadcasting.exceptions import PublishError
from tests.liveapp.events import Happened, Rescued
from tests.liveapp.outcomes import OUTCOMES, Said, no_transaction, play, play_all

wished = Signal()


def tell(happening: Happened, **said: object) -> None:
    happening.dispatch()


wished.connect(tell, dispatch_uid="tests.liveapp.contexts.tell")


class Visit:
    """One request's wish: where its events go, and whether their failures are rescued."""

    def __init__(self, channel: str, rescue: bool) -> None:
        self.channel = channel
        self.kind = Rescued if rescue else Happened

    def event(self, number: int) -> Happened:
        return self.kind(self.channel, number)

    def dispatch(self, number: int) -> None:
        self.event(number).dispatch()

    async def adispatch(self, number: int) -> None:
        await self.event(number).adispatch()

    async def dispatch_from_loop(self, number: int) -> None:
        self.event(number).dispatch()


def sync_view(visit: Visit) -> list[Said]:
    return play_all(visit.dispatch)


def signal_receiver(visit: Visit) -> list[Said]:
    def send(number: int) -> None:
        wished.send(None, happening=visit.event(number))

    return play_all(send)


def thread(visit: Visit) -> list[Said]:
    """Of its own connection, as every thread."""
    said: list[Said] = []

    def work() -> None:
        try:
            said.extend(play_all(visit.dispatch))
        finally:
            connections.close_all()

    running = threading.Thread(target=work)
    running.start()
    running.join()
    return said


def awaited_below_sync_view(visit: Visit) -> list[Said]:
    """The transaction is that of the thread which waits for the loop."""
    return play_all(async_to_sync(visit.adispatch))


def called_below_sync_view(visit: Visit) -> list[Said]:
    """See above; nobody is left to raise at, so failures are logged."""
    return play_all(async_to_sync(visit.dispatch_from_loop))


async def async_view(visit: Visit) -> list[Said]:
    """Transactions are for sync code, in a thread; outside of them events are awaited."""
    began = time.perf_counter()
    error = None
    try:
        await visit.adispatch(1)
    except PublishError as problem:
        error = type(problem).__name__
    seconds = time.perf_counter() - began
    alone: Said = {"outcome": no_transaction.__name__, "error": error, "seconds": seconds}
    rest = [outcome for outcome in OUTCOMES if outcome is not no_transaction]
    return [alone, *[await sync_to_async(play)(outcome, visit.dispatch) for outcome in rest]]


async def async_task(visit: Visit) -> list[Said]:
    return await asyncio.create_task(async_view(visit))


SYNC: dict[str, Callable[[Visit], list[Said]]] = {
    "sync view": sync_view,
    "signal receiver": signal_receiver,
    "thread": thread,
    "awaited below a sync view": awaited_below_sync_view,
    "called below a sync view": called_below_sync_view,
}
ASYNC: dict[str, Callable[[Visit], Awaitable[list[Said]]]] = {
    "async view": async_view,
    "async task": async_task,
}


def _read(request: HttpRequest) -> tuple[str, Visit]:
    wish = json.loads(request.body)
    return wish["context"], Visit(wish["channel"], wish["rescue"])


@csrf_exempt
def sync_contexts(request: HttpRequest) -> JsonResponse:
    """Play every outcome in one of SYNC. JSON body: context, channel, rescue."""
    context, visit = _read(request)
    return JsonResponse({"said": SYNC[context](visit)})


@csrf_exempt
async def async_contexts(request: HttpRequest) -> JsonResponse:
    """See sync_contexts(); of ASYNC."""
    context, visit = _read(request)
    return JsonResponse({"said": await ASYNC[context](visit)})


@csrf_exempt
def task_contexts(request: HttpRequest) -> JsonResponse:
    """Have a Celery worker play every outcome. JSON body: channel, rescue, folder."""
    from tests.liveapp.tasks import outcomes

    wish = json.loads(request.body)
    outcomes.delay(wish["channel"], wish["rescue"], wish["folder"])
    return JsonResponse({"said": []})
