"""What every backplane promises. Subclass it and write ``make``."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest

from broadcasting.backplanes.base import BaseBackplane
from broadcasting.backplanes.envelope import Envelope
from broadcasting.backplanes.remote import RemoteBackplane
from broadcasting.exceptions import BackplaneUnavailable
from tests.conftest import PUBLISH_LIMIT

GRACE = 0.5
"""Seconds that a busy machine may add to a timeout."""

ENVELOPE = Envelope(
    app_id="app", channel="private-a=@,.;_-b", frame='{"event":"é"}', except_socket="1.2"
)


class Inbox:
    """A node that only remembers."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Envelope] = asyncio.Queue()

    def __call__(self, envelope: Envelope) -> None:
        self.queue.put_nowait(envelope)

    async def next(self) -> Envelope:
        async with asyncio.timeout(10):
            return await self.queue.get()


class BackplaneContract:
    """Run against each backplane by subclass."""

    async def make(self) -> BaseBackplane:
        raise NotImplementedError

    async def test_an_envelope_reaches_a_node_unchanged(self):
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        await backplane.apublish(ENVELOPE)
        assert await inbox.next() == ENVELOPE
        await node.close()

    async def test_every_node_gets_its_own_copy(self):
        backplane = await self.make()
        inboxes = [Inbox(), Inbox()]
        nodes = [backplane.connect(inbox) for inbox in inboxes]
        for node in nodes:
            await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        await backplane.apublish(ENVELOPE)
        assert [await inbox.next() for inbox in inboxes] == [ENVELOPE, ENVELOPE]
        for node in nodes:
            await node.close()

    async def test_order_is_kept(self):
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await node.join("app", "c")
        for number in range(100):
            await backplane.apublish(Envelope(app_id="app", channel="c", frame=str(number)))
        frames = [(await inbox.next()).frame for _ in range(100)]
        assert frames == [str(number) for number in range(100)]
        await node.close()

    async def test_sync_code_in_another_thread_publishes_too(self):
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        thread = threading.Thread(target=backplane.publish, args=[ENVELOPE])
        thread.start()
        assert await inbox.next() == ENVELOPE
        thread.join()
        await node.close()

    async def test_a_closed_node_gets_nothing(self):
        backplane, gone, here = await self.make(), Inbox(), Inbox()
        closed, node = backplane.connect(gone), backplane.connect(here)
        for each in (closed, node):
            await each.join(ENVELOPE.app_id, ENVELOPE.channel)
        await closed.close()
        await backplane.apublish(ENVELOPE)
        assert await here.next() == ENVELOPE
        assert gone.queue.empty()
        await node.close()


class RemoteContract(BackplaneContract):
    """What those promise that have a server elsewhere. Write ``inject`` as well."""

    async def make(self) -> RemoteBackplane:
        raise NotImplementedError

    async def inject(self, backplane: Any, app_id: str, channel: str, text: str) -> None:
        """Publish ``text`` as it is, where envelopes for the channel travel."""
        raise NotImplementedError

    async def test_a_channel_that_was_left_is_silent_until_it_is_joined_again(self):
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await node.join("app", "left")
        await node.join("app", "kept")
        await node.leave("app", "left")
        await backplane.apublish(Envelope(app_id="app", channel="left", frame="no"))
        await backplane.apublish(Envelope(app_id="app", channel="kept", frame="yes"))
        assert (await inbox.next()).frame == "yes"
        await node.join("app", "left")
        await backplane.apublish(Envelope(app_id="app", channel="left", frame="again"))
        assert (await inbox.next()).frame == "again"
        await node.close()

    async def test_an_envelope_of_another_version_is_counted_and_skipped(self):
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await node.join("app", "c")
        for text in ('{"v":2,"app_id":"app","channel":"c","frame":"{}"}', "nonsense"):
            await self.inject(backplane, "app", "c", text)
        await backplane.apublish(Envelope(app_id="app", channel="c", frame="good"))
        assert (await inbox.next()).frame == "good"
        assert backplane.unreadable == 2
        await node.close()

    async def test_any_loop_may_publish(self):
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        await asyncio.to_thread(lambda: asyncio.run(backplane.apublish(ENVELOPE)))
        assert await inbox.next() == ENVELOPE
        await node.close()

    async def test_hundreds_may_publish_at_once(self):
        """No matter how many connections a client may have."""
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await node.join("app", "c")
        frames = [str(number) for number in range(300)]
        envelopes = [Envelope(app_id="app", channel="c", frame=frame) for frame in frames]
        await asyncio.gather(*map(backplane.apublish, envelopes))
        heard = [(await inbox.next()).frame for _ in frames]
        assert sorted(heard) == sorted(frames)
        await node.close()


async def published(backplane: BaseBackplane, envelope: Envelope = ENVELOPE) -> None:
    """Publish as soon as the server takes it."""
    async with asyncio.timeout(10):
        while True:
            try:
                await asyncio.to_thread(backplane.publish, envelope)
            except BackplaneUnavailable:
                await asyncio.sleep(0.05)  # until the next probe is due
            else:
                return


async def check_both_colours(backplane: BaseBackplane) -> None:
    """What either colour publishes reaches a node."""
    inbox = Inbox()
    node = backplane.connect(inbox)
    await node.join("app", "c")
    await asyncio.to_thread(backplane.publish, Envelope(app_id="app", channel="c", frame="sync"))
    await backplane.apublish(Envelope(app_id="app", channel="c", frame="async"))
    assert [(await inbox.next()).frame for _ in range(2)] == ["sync", "async"]
    await node.close()


async def check_a_frozen_server(backplane: BaseBackplane, pid: int) -> None:
    """A publisher is held for the timeout, in either colour, and delivery resumes."""
    inbox = Inbox()
    node = backplane.connect(inbox)
    await node.join(ENVELOPE.app_id, ENVELOPE.channel)
    await asyncio.to_thread(backplane.publish, ENVELOPE)
    assert await inbox.next() == ENVELOPE
    os.kill(pid, signal.SIGSTOP)
    try:
        for publish in (lambda e: asyncio.to_thread(backplane.publish, e), backplane.apublish):
            started = time.monotonic()
            with pytest.raises(BackplaneUnavailable):
                await publish(ENVELOPE)
            assert time.monotonic() - started < PUBLISH_LIMIT + GRACE
    finally:
        os.kill(pid, signal.SIGCONT)
    await published(backplane)
    assert await inbox.next() == ENVELOPE
    await node.close()


def check_a_refused_server(backplane: BaseBackplane) -> str:
    """One bounded try, then nothing until the next probe; return what was said."""
    for limit in (PUBLISH_LIMIT + GRACE, 0.05):
        started = time.monotonic()
        with pytest.raises(BackplaneUnavailable) as refused:
            backplane.publish(ENVELOPE)
        assert time.monotonic() - started < limit
    return str(refused.value)
