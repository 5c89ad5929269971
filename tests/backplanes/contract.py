"""What every backplane promises. Subclass it and write ``make``."""

from __future__ import annotations

import asyncio
import threading

from broadcasting.backplanes.base import BaseBackplane
from broadcasting.backplanes.envelope import Envelope

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
