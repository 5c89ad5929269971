"""What every broadcaster promises, as tests for the authors of drivers. Runs under pytest alone.

::

    class TestKafka(BroadcasterContract):
        def make(self): return KafkaBroadcaster({"servers": [...]})
        def heard(self, number): return [Heard(channel=..., name=..., data=...), ...]

Both colours are tried, the async one on loops that begin and end, as sites on WSGI have them.
"""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BroadcastingError, NotSupported, PublishError

__all__ = ["BroadcasterContract", "Heard"]

DATA = {"id": 1, "name": "é \u2028 \"'<&> 😀", "items": [None, True, 1.5, {"deep": []}]}

DEEDS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("channels", ("contract-nobody",)),
    ("channel", ("contract-nobody",)),
    ("members", ("presence-contract-nobody",)),
    ("revoke", ("contract-nobody", "private-contract-nobody")),
    ("disconnect", ("contract-nobody",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One event as it arrived on one channel."""

    channel: str
    """Its wire name."""

    name: str
    data: Any
    """Decoded."""


class BroadcasterContract:
    """Subclass it, as ``Test...``, and write ``make()`` and ``heard()``.

    Fixtures of the subclass with ``autouse=True`` start and stop what the driver talks to.
    """

    secrets: ClassVar[Sequence[str]] = ()
    """Texts of the options that may stand in no repr and no error."""

    patience: ClassVar[float] = 10.0
    """Seconds after which a test gives up."""

    def make(self) -> BaseBroadcaster:
        """Return a broadcaster whose server is there."""
        raise NotImplementedError

    def make_unreachable(self) -> BaseBroadcaster | None:
        """Return one whose server is away; None if it talks to nobody."""
        return None

    def listen(self, *channels: str) -> None:
        """Begin to hear these channels: called before anything is sent to them."""

    def heard(self, number: int) -> Sequence[Heard]:
        """Return all that arrived since listen(), once it is ``number`` events or more.

        Returns fewer when ``patience`` is over. Those of one channel stand in their order.
        """
        raise NotImplementedError

    # -- for the tests ----------------------------------------------------------------------

    @pytest.fixture
    def broadcaster(self) -> Iterator[BaseBroadcaster]:
        """One of make(), closed afterwards."""
        made = self.make()
        yield made
        made.close()

    @pytest.fixture(params=["sync", "async"])
    def colour(self, request: pytest.FixtureRequest) -> str:
        """Which of the twins is called."""
        colour: str = request.param
        return colour

    @pytest.fixture
    def channels(self) -> list[str]:
        """Three channels that nobody used before, and that are listened to."""
        unused = uuid4().hex
        channels = [f"contract-{unused}-{number}" for number in range(3)]
        self.listen(*channels)
        return channels

    def call(self, broadcaster: BaseBroadcaster, colour: str, deed: str, *values: Any) -> Any:
        """Return what a method, or its twin, returns; the twin on a loop of its own."""
        if colour == "sync":
            return getattr(broadcaster, deed)(*values)

        async def on_a_loop() -> Any:
            try:
                async with asyncio.timeout(self.patience):
                    return await getattr(broadcaster, f"a{deed}")(*values)
            finally:
                await broadcaster.aclose()

        return asyncio.run(on_a_loop())

    # -- what is promised -------------------------------------------------------------------

    def test_an_event_arrives_on_each_of_its_channels(
        self, broadcaster: BaseBroadcaster, colour: str, channels: list[str]
    ) -> None:
        self.call(broadcaster, colour, "broadcast", made(*channels, data=DATA))
        heard = self.heard(len(channels))
        for channel in channels:
            assert Heard(channel=channel, name="contract", data=DATA) in heard
        assert len(heard) == len(channels)

    def test_events_arrive_in_their_order(
        self, broadcaster: BaseBroadcaster, colour: str, channels: list[str]
    ) -> None:
        for number in range(5):
            self.call(broadcaster, colour, "broadcast", made(channels[0], data=number))
        assert [one.data for one in self.heard(5)] == [*range(5)]

    def test_several_at_once_arrive_in_their_order(
        self, broadcaster: BaseBroadcaster, colour: str, channels: list[str]
    ) -> None:
        several = [made(channels[0], data=number) for number in range(12)]
        self.call(broadcaster, colour, "broadcast_many", several)
        assert [one.data for one in self.heard(12)] == [*range(12)]

    def test_none_at_all_are_no_mistake(
        self, broadcaster: BaseBroadcaster, colour: str, channels: list[str]
    ) -> None:
        self.call(broadcaster, colour, "broadcast_many", [])
        self.call(broadcaster, colour, "broadcast", made())
        self.call(broadcaster, colour, "broadcast", made(channels[0], data="after"))
        assert [one.data for one in self.heard(1)] == ["after"]

    def test_threads_send_at_the_same_time(
        self, broadcaster: BaseBroadcaster, colour: str, channels: list[str]
    ) -> None:
        def send(number: int) -> None:
            self.call(broadcaster, colour, "broadcast", made(channels[0], data=number))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(send, range(12)))
        assert sorted(one.data for one in self.heard(12)) == [*range(12)]

    def test_tasks_of_one_loop_send_at_the_same_time(
        self, broadcaster: BaseBroadcaster, channels: list[str]
    ) -> None:
        async def send() -> None:
            try:
                async with asyncio.timeout(self.patience), asyncio.TaskGroup() as tasks:
                    for number in range(12):
                        event = made(channels[0], data=number)
                        tasks.create_task(broadcaster.abroadcast(event))
            finally:
                await broadcaster.aclose()

        asyncio.run(send())
        assert sorted(one.data for one in self.heard(12)) == [*range(12)]

    @pytest.mark.parametrize("socket_id", ["", "undefined", '1"2', "1.2\n", "\N{SNOWMAN}" * 200])
    def test_a_socket_id_that_is_none_keeps_nothing_from_anybody(
        self, broadcaster: BaseBroadcaster, colour: str, channels: list[str], socket_id: str
    ) -> None:
        event = made(channels[0], data=1, except_socket=socket_id)
        self.call(broadcaster, colour, "broadcast", event)
        assert [one.data for one in self.heard(1)] == [1]

    def test_closing_lets_the_next_one_open_again(
        self, broadcaster: BaseBroadcaster, colour: str, channels: list[str]
    ) -> None:
        broadcaster.close()
        for number in range(2):
            self.call(broadcaster, colour, "broadcast", made(channels[0], data=number))
            broadcaster.close()
            broadcaster.close()
        assert [one.data for one in self.heard(2)] == [0, 1]

    def test_a_check_sends_nothing(self, broadcaster: BaseBroadcaster, channels: list[str]) -> None:
        broadcaster.check(made(channels[0], data="checked"))
        broadcaster.broadcast(made(channels[0], data="sent"))
        assert [one.data for one in self.heard(1)] == ["sent"]

    @pytest.mark.parametrize(("deed", "values"), DEEDS)
    def test_both_colours_can_do_the_same(
        self, broadcaster: BaseBroadcaster, deed: str, values: tuple[str, ...]
    ) -> None:
        """Ask and take away: of a server that cannot, that is said by an error of ours."""
        outcomes = [
            outcome(lambda colour=colour: self.call(broadcaster, colour, deed, *values))  # type: ignore[misc]
            for colour in ("sync", "async")
        ]
        assert outcomes[0] == outcomes[1]

    def test_a_server_that_is_away_is_told_by_an_error_of_ours(self, colour: str) -> None:
        broadcaster = self.make_unreachable()
        if broadcaster is None:
            return
        try:
            # The second may be refused at once.
            for _ in range(2):
                with pytest.raises(PublishError) as raised:
                    self.call(broadcaster, colour, "broadcast", made("contract"))
                # Workers hand it on to their monitors.
                again = pickle.loads(pickle.dumps(raised.value))
                assert str(again) == str(raised.value)
                self.assert_discreet(f"{raised.value!r} {raised.value}")
            several = [made("contract"), made("contract")]
            with pytest.raises(PublishError):
                self.call(broadcaster, colour, "broadcast_many", several)
        finally:
            broadcaster.close()

    def test_secrets_are_not_shown(self, broadcaster: BaseBroadcaster) -> None:
        self.assert_discreet(f"{broadcaster!r} {broadcaster}")

    def assert_discreet(self, text: str) -> None:
        """Fail if ``text`` holds a secret."""
        assert not any(secret in text for secret in self.secrets), "a secret is shown"


def made(*channels: str, data: Any = None, except_socket: str | None = None) -> Broadcast:
    """Return a broadcast called ``contract``; ``data`` is anything that JSON can be made of."""
    return Broadcast(
        name="contract",
        channels=channels,
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":")),
        broadcaster="contract",
        except_socket=except_socket,
    )


def outcome(act: Callable[[], object]) -> object:
    """Return what ``act`` returns, or which of our errors it raises."""
    try:
        return act()
    except NotSupported:
        return NotSupported
    except BroadcastingError as error:
        return type(error)
