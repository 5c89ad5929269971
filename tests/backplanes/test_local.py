from __future__ import annotations

import asyncio
import os
import threading
import warnings

import pytest

from broadcasting.backplanes.local import LocalBackplane
from broadcasting.exceptions import NoServerHere
from tests.backplanes.contract import ENVELOPE, BackplaneContract, Inbox


class TestLocal(BackplaneContract):
    async def make(self) -> LocalBackplane:
        return LocalBackplane({})


def test_publishing_where_no_node_lives_names_both_cures():
    with pytest.raises(NoServerHere, match=r"channel_layer.*broadcaster 'pusher'"):
        LocalBackplane({}).publish(ENVELOPE)


async def test_async_publishing_where_no_node_lives_raises_too():
    with pytest.raises(NoServerHere):
        await LocalBackplane({}).apublish(ENVELOPE)


def test_a_process_that_routes_sockets_but_has_none_yet_is_silent():
    backplane = LocalBackplane({})
    backplane.expect_node()
    backplane.publish(ENVELOPE)


def test_a_node_whose_loop_was_closed_does_not_count():
    backplane = LocalBackplane({})

    async def connect() -> None:
        backplane.connect(Inbox())

    asyncio.run(connect())
    with pytest.raises(NoServerHere):
        backplane.publish(ENVELOPE)


async def test_on_the_loop_of_the_node_delivery_is_immediate():
    backplane, inbox = LocalBackplane({}), Inbox()
    backplane.connect(inbox)
    await backplane.apublish(ENVELOPE)
    assert inbox.queue.get_nowait() == ENVELOPE


async def test_delivery_happens_on_the_thread_of_the_node():
    backplane = LocalBackplane({})
    threads: asyncio.Queue[int] = asyncio.Queue()
    backplane.connect(lambda envelope: threads.put_nowait(threading.get_ident()))
    await asyncio.to_thread(backplane.publish, ENVELOPE)
    assert await threads.get() == threading.get_ident()


async def test_a_fork_does_not_take_its_parents_node_for_one_of_its_own():
    backplane = LocalBackplane({})
    backplane.connect(Inbox())
    with warnings.catch_warnings():
        # Of other threads in this process; the child needs none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            backplane.publish(ENVELOPE)
        except NoServerHere:
            os._exit(0)
        os._exit(1)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0
