from __future__ import annotations

import asyncio
import threading

import pytest
from django.db import transaction

import broadcasting
from broadcasting.testing import FakeBroadcasts
from tests.testapp.events import Ticked


def numbers(broadcasts: FakeBroadcasts) -> list[int]:
    return [record.payload["number"] for record in broadcasts.sent]


def test_nothing_leaves_while_it_is_muted(broadcasts: FakeBroadcasts, caplog) -> None:
    caplog.set_level("DEBUG", "broadcasting.dispatching")
    with broadcasting.muted():
        Ticked(1).dispatch()
        with broadcasting.muted():
            broadcasting.on("news").send()
        Ticked(2).dispatch()
    Ticked(3).dispatch()
    assert numbers(broadcasts) == [3]
    assert caplog.text.count("inside muted()") == 3


def test_an_exception_ends_it(broadcasts: FakeBroadcasts) -> None:
    with pytest.raises(KeyError), broadcasting.muted():
        raise KeyError
    Ticked(1).dispatch()
    assert numbers(broadcasts) == [1]


def test_other_threads_are_not_meant(broadcasts: FakeBroadcasts) -> None:
    with broadcasting.muted():
        thread = threading.Thread(target=Ticked(1).dispatch)
        thread.start()
        thread.join()
    assert numbers(broadcasts) == [1]


async def test_other_tasks_are_not_meant(broadcasts: FakeBroadcasts) -> None:
    quiet, done = asyncio.Event(), asyncio.Event()

    async def muted() -> None:
        with broadcasting.muted():
            quiet.set()
            await done.wait()
            await Ticked(1).adispatch()

    task = asyncio.create_task(muted())
    await quiet.wait()
    await Ticked(2).adispatch()
    done.set()
    await task
    assert numbers(broadcasts) == [2]


@pytest.mark.django_db(transaction=True)
def test_what_was_said_before_is_sent_all_the_same(broadcasts: FakeBroadcasts) -> None:
    with transaction.atomic():
        Ticked(1).dispatch()
        with broadcasting.muted():
            Ticked(2).dispatch()
    assert numbers(broadcasts) == [1]
