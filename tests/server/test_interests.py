"""Topics are joined with the first listener and left with the last, whatever interleaves."""

from __future__ import annotations

import asyncio
import random

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


async def test_a_quick_change_of_mind_leaves_nothing_to_leave_twice():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    await interests.hold(TOPIC)
    interests.release(TOPIC)
    await interests.hold(TOPIC)
    interests.release(TOPIC)
    # The next comes when the topic has just been left, and must not lose it to the second.
    while "leave" not in subscription.calls:
        await asyncio.sleep(0)
    await interests.hold(TOPIC)
    await interests.settled()
    assert subscription.calls == ["join", "leave", "join"]
    interests.release(TOPIC)
    await interests.settled()
    assert subscription.calls == ["join", "leave", "join", "leave"]
    assert interests._topics == {}


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_interleaves_who_holds_a_topic_has_it(seed: int):
    chance = random.Random(seed)
    wanted: set[tuple[str, str]] = set()

    class Wavering(SlowSubscription):
        async def join(self, app_id: str, channel: str) -> None:
            await self._wait()
            wanted.add((app_id, channel))

        async def leave(self, app_id: str, channel: str) -> None:
            wanted.discard((app_id, channel))
            await self._wait()

        async def _wait(self) -> None:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)

    interests = Interests(Wavering())
    topics = [("app", name) for name in "ab"]

    async def visitor() -> None:
        for _ in range(20):
            topic = chance.choice(topics)
            await interests.hold(topic)
            for _ in range(chance.randrange(3)):
                assert topic in wanted
                await asyncio.sleep(0)
            interests.release(topic)

    await asyncio.gather(*(visitor() for _ in range(6)))
    await interests.settled()
    assert wanted == set()
    assert interests._topics == {}


async def test_where_everything_arrives_nobody_joins():
    class Whole(SlowSubscription):
        selective = False

    subscription = Whole()
    interests = Interests(subscription)
    await interests.hold(TOPIC)
    interests.release(TOPIC)
    assert subscription.calls == []
    assert interests._topics == {}


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
    # Nobody knows whether the backplane did it: it is told to leave.
    subscription.gate.set()
    await interests.settled()
    assert subscription.calls == ["join", "leave"]
    assert interests._topics == {}


async def test_a_join_that_was_cancelled_is_no_join_for_those_who_wait():
    subscription = SlowSubscription()
    interests = Interests(subscription)
    subscription.gate.clear()
    first = asyncio.create_task(interests.hold(TOPIC))
    second = asyncio.create_task(interests.hold(TOPIC))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    subscription.gate.set()
    await second
    assert subscription.calls == ["join", "join"]
    interests.release(TOPIC)
    await interests.settled()
    assert subscription.calls == ["join", "join", "leave"]
    assert interests._topics == {}
