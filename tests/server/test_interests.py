"""Topics are joined with the first listener and left with the last, whatever interleaves."""

from __future__ import annotations

import asyncio

import pytest

from broadcasting.backplanes.base import Subscription
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.server.interests import Interests

TOPIC = ("app", "news")


class SlowSubscription(Subscription):
    """Joins and leaves when told to, and remembers in which order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def join(self, app_id: str, channel: str) -> None:
        self.calls.append("join")
        await self.gate.wait()
        if self.broken:
            raise BackplaneUnavailable("down")

    async def leave(self, app_id: str, channel: str) -> None:
        self.calls.append("leave")
        await self.gate.wait()

    async def close(self) -> None:
        self.calls.append("close")


async def test_many_listeners_join_once_and_leave_once():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    await asyncio.gather(*(interests.hold(TOPIC) for _ in range(50)))
    for _ in range(50):
        interests.release(TOPIC)
    await interests.settled()
    assert subscription.calls == ["join", "leave"]
    assert interests._topics == {}


async def test_nobody_is_told_yes_before_the_backplane_has_the_topic():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    subscription.gate.clear()
    first = asyncio.create_task(interests.hold(TOPIC))
    second = asyncio.create_task(interests.hold(TOPIC))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not first.done()
    assert not second.done()
    subscription.gate.set()
    await asyncio.gather(first, second)
    assert subscription.calls == ["join"]


async def test_a_listener_that_comes_while_the_topic_is_left_joins_again():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    await interests.hold(TOPIC)
    subscription.gate.clear()
    interests.release(TOPIC)
    await asyncio.sleep(0)
    coming = asyncio.create_task(interests.hold(TOPIC))
    await asyncio.sleep(0)
    subscription.gate.set()
    await asyncio.gather(coming, interests.settled())
    assert subscription.calls == ["join", "leave", "join"]


async def test_a_failed_join_is_told_to_all_and_tried_anew_by_the_next():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    subscription.broken = True
    for _ in range(2):
        with pytest.raises(BackplaneUnavailable):
            await interests.hold(TOPIC)
    subscription.broken = False
    await interests.hold(TOPIC)
    assert subscription.calls == ["join", "join", "join"]
    interests.release(TOPIC)
    await interests.settled()
    assert interests._topics == {}


async def test_a_failed_join_is_the_answer_to_everyone_who_waited_for_it():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    subscription.broken = True
    subscription.gate.clear()
    crowd = [asyncio.create_task(interests.hold(TOPIC)) for _ in range(10)]
    await asyncio.sleep(0)
    subscription.gate.set()
    answers = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(answer, BackplaneUnavailable) for answer in answers)
    assert subscription.calls == ["join"]
    assert interests._topics == {}


async def test_a_topic_is_left_by_itself():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    await interests.hold(TOPIC)
    subscription.gate.clear()
    interests.release(TOPIC)  # returns at once, though the backplane does not
    subscription.gate.set()
    await interests.settled()
    assert subscription.calls == ["join", "leave"]
    assert interests._topics == {}


async def test_a_cancelled_listener_leaves_no_hold_behind():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    subscription.gate.clear()
    waiting = asyncio.create_task(interests.hold(TOPIC))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert interests._topics == {}
