from __future__ import annotations

import dataclasses
import enum
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import pytest

from broadcasting import (
    Channel,
    Dispatch,
    PrivateChannel,
    ShouldBroadcast,
    ShouldBroadcastNow,
    abroadcast,
    broadcast,
)
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching.options import _PARSERS, EventOptions, options_of
from broadcasting.exceptions import InvalidChannelName, InvalidEventName, PayloadError
from broadcasting.testing import fake
from tests.testapp.events import OrderCancelled, Ticked
from tests.testapp.models import Order

Outbox = list[Broadcast]


class Public(ShouldBroadcast):
    def broadcast_on(self) -> Any:
        return "orders"


class TestPayload:
    def test_annotations_make_a_dataclass(self, outbox: Outbox) -> None:
        class Placed(Public):
            number: int
            tags: list[str] = field(default_factory=list)
            _note: str = "hidden"
            cost: int = field(default=1, metadata={"broadcast": False})

        assert [f.name for f in dataclasses.fields(Placed)] == ["number", "tags", "_note", "cost"]
        Placed(7, tags=["new"]).dispatch()
        assert outbox[0].data == '{"number":7,"tags":["new"]}'
        assert Placed(7) == Placed(7)

    def test_a_decorator_of_ones_own_is_respected(self, outbox: Outbox) -> None:
        @dataclass(frozen=True, kw_only=True)
        class Placed(Public):  # type: ignore[misc]
            number: int
            tags: list[str] = field(default_factory=list)

        class PlacedTwice(Placed):
            again: bool = True

        PlacedTwice(number=7).dispatch()
        assert outbox[0].data == '{"number":7,"tags":[],"again":true}'
        with pytest.raises(dataclasses.FrozenInstanceError):
            PlacedTwice(number=7).number = 8  # type: ignore[misc]

    def test_so_is_one_with_slots_which_makes_the_class_twice(self, outbox: Outbox) -> None:
        @dataclass(frozen=True, slots=True)
        class Placed(Public):  # type: ignore[misc]
            number: int
            cost: int = field(default=1, metadata={"broadcast": False})

        Placed(7).dispatch()
        assert outbox[0].data == '{"number":7}'

    def test_what_is_declared_hidden_stays_so_whoever_writes_the_init(self, outbox: Outbox) -> None:
        """App 5: underscore exclusion."""

        class Placed(Public):
            number: int
            token: str = field(default="", metadata={"broadcast": False})

        class WithInit(Placed):
            def __init__(self, number: int) -> None:
                super().__init__(number, token="s3cret")

        class Mixin:
            def __init__(self, number: int) -> None:
                self.number = number
                self.token = "s3cret"

        class Mixed(Mixin, Placed):
            pass

        class Alone(Public):
            token: str = field(default="", metadata={"broadcast": False})

            def __init__(self, number: int) -> None:
                self.number = number
                self.token = "s3cret"

        class Shown(Placed):
            token: str = field(default="")

            def __init__(self, number: int) -> None:
                self.number = number
                self.token = "public"

        for event in (WithInit(7), Mixed(7), Alone(7), Shown(7)):
            event.dispatch()
        assert [sent.data for sent in outbox] == [
            *['{"number":7}'] * 3,
            '{"number":7,"token":"public"}',
        ]

    def test_several_threads_may_be_first(self) -> None:
        problems: list[Exception] = []

        def make(cls: Any, start: threading.Barrier) -> None:
            start.wait()
            try:
                assert cls(7).number == 7
            except Exception as error:
                problems.append(error)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(50):

                class Placed(Public):
                    number: int
                    tags: list[str] = field(default_factory=list)

                start = threading.Barrier(4)
                threads = [threading.Thread(target=make, args=(Placed, start)) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert problems == []

    def test_fields_of_a_child_are_not_mistaken_for_those_of_its_parent(self) -> None:
        class Parent(Public):
            a: int = 0

        class Child(Parent):
            b: int = 0

        assert [f.name for f in dataclasses.fields(Parent)] == ["a"]
        assert [f.name for f in dataclasses.fields(Child)] == ["a", "b"]

    def test_a_hand_written_init_is_left_alone(self, outbox: Outbox) -> None:
        class Placed(Public):
            number: int

            def __init__(self, number: int) -> None:
                self.number = number * 2
                self._secret = "hidden"

        class PlacedTwice(Placed):
            again: bool = True

        Placed(2).dispatch()
        PlacedTwice(3).dispatch()
        assert [sent.data for sent in outbox] == ['{"number":4}', '{"number":6}']
        assert not dataclasses.is_dataclass(Placed)

    def test_a_cached_property_stays_a_property(self, outbox: Outbox) -> None:
        class Placed(Public):
            def __init__(self, number: int) -> None:
                self.number = number

            @cached_property
            def customer(self) -> str:
                return "hidden"

            def broadcast_when(self) -> bool:
                return bool(self.customer)

        Placed(2).dispatch()
        assert outbox[0].data == '{"number":2}'

    def test_a_struct_can_be_an_event(self, outbox: Outbox) -> None:
        class Placed(ShouldBroadcast, msgspec.Struct, frozen=True):
            number: int

            class Meta:
                name = "placed"

            def broadcast_on(self) -> str:
                return "orders"

        Placed(7).dispatch()
        assert (outbox[0].name, outbox[0].data) == ("placed", '{"number":7}')

    def test_broadcast_with_is_the_whole_payload(self, outbox: Outbox) -> None:
        """App 5: broadcast_with()."""

        class Placed(Public):
            number: int = 1

            def broadcast_with(self) -> Any:
                return {"twice": self.number * 2}

        Placed().dispatch()
        assert outbox[0].data == '{"twice":2}'

    def test_none_of_it_stands_for_the_attributes(self, outbox: Outbox) -> None:
        """App 5: broadcast_with() may say None, now and then."""

        class Placed(Public):
            number: int

            def broadcast_with(self) -> Any:
                return {"first": True} if self.number == 1 else None

        for number in (1, 2):
            Placed(number).dispatch()
        assert [sent.data for sent in outbox] == ['{"first":true}', '{"number":2}']

    def test_no_attributes_are_an_empty_object(self, outbox: Outbox) -> None:
        Public().dispatch()
        assert outbox[0].data == "{}"
        with pytest.raises(TypeError, match="takes no arguments"):
            Public(1)

    def test_options_never_leak_into_the_payload(self, outbox: Outbox) -> None:
        OrderCancelled(Order(pk=1)).to_others("1.2").via("locmem").dispatch()
        assert json.loads(outbox[0].data) == {"order": {"id": 1}}

    def test_a_bare_model_is_refused(self, outbox: Outbox) -> None:
        class Placed(Public):
            order: Order

        with pytest.raises(PayloadError, match=r"^order: declare Meta\.fields"):
            Placed(Order(pk=1)).dispatch()
        assert outbox == []

    def test_an_attribute_cannot_take_the_name_of_a_method(self) -> None:
        class Placed(ShouldBroadcast):
            now: int  # type: ignore[assignment]

        for _ in range(2):
            with pytest.raises(TypeError, match=r"Placed\.now: the name is taken"):
                Placed(1)

    def test_fields_that_do_not_fit_together_are_told_each_time(self) -> None:
        class Placed(Public):
            number: int = 1

        class Moved(Placed):
            place: str  # type: ignore[misc]

        for _ in range(2):
            with pytest.raises(TypeError, match="non-default argument 'place'"):
                Moved(1, "here")

    def test_the_event_is_copied_when_it_is_dispatched(self, outbox: Outbox) -> None:
        event = Ticked(1)
        with fake() as broadcasts:
            event.dispatch()
            event.number = 2
        assert broadcasts.sent[0].event == Ticked(1)


class TestNameAndChannels:
    def test_the_default_name_is_the_bare_class_name(self, outbox: Outbox) -> None:
        Ticked().dispatch()
        assert outbox[0].name == "Ticked"
        assert outbox[0].event_label == "tests.testapp.events.Ticked"

    def test_broadcast_as_wins_over_meta_and_may_return_an_enum(self, outbox: Outbox) -> None:
        class Names(enum.Enum):
            PLACED = "order.placed"

        class Placed(Public):
            class Meta:
                name = "other"

            def broadcast_as(self) -> Names:
                return Names.PLACED

        Placed().dispatch()
        assert outbox[0].name == "order.placed"

    @pytest.mark.parametrize(
        "name", ["", "x" * 201, "pusher:ping", "pusher_internal:x", "client-x", 7]
    )
    def test_a_name_the_protocol_forbids_is_refused(self, outbox: Outbox, name: Any) -> None:
        class Placed(Public):
            def broadcast_as(self) -> Any:
                return name

        with pytest.raises(InvalidEventName, match="not an event name"):
            Placed().dispatch()

    def test_several_channels_go_in_one_broadcast_each_once(self, outbox: Outbox) -> None:
        class Placed(ShouldBroadcast):
            def broadcast_on(self) -> Iterator[Any]:
                yield "orders"
                yield PrivateChannel("orders.1")
                yield Channel("orders")
                yield Order(pk=1)

        Placed().dispatch()
        assert outbox[0].channels == ("orders", "private-orders.1", "private-testapp.Order.1")

    def test_no_channel_sends_nothing(self, outbox: Outbox) -> None:
        class Placed(ShouldBroadcast):
            def broadcast_on(self) -> None:
                return None

        Placed().dispatch()
        assert outbox == []

    def test_a_wrong_channel_name_is_the_callers_error(self, outbox: Outbox) -> None:
        class Placed(ShouldBroadcast):
            def broadcast_on(self) -> str:
                return "orders 1"

        with pytest.raises(InvalidChannelName):
            Placed().dispatch()

    def test_broadcast_on_is_required(self, outbox: Outbox) -> None:
        class Placed(ShouldBroadcast):
            pass

        with pytest.raises(NotImplementedError, match="Placed must define broadcast_on"):
            Placed().dispatch()

    def test_broadcast_when_can_say_no(self, outbox: Outbox) -> None:
        """App 7: the condition."""

        class Placed(Public):
            wanted: bool

            def broadcast_when(self) -> bool:
                return self.wanted

        Placed(False).dispatch()
        Placed(True).dispatch()
        assert [sent.data for sent in outbox] == ['{"wanted":true}']


class TestOptions:
    def test_every_option_has_a_parser(self) -> None:
        assert [f.name for f in dataclasses.fields(EventOptions)] == [*_PARSERS]

    def test_options_are_inherited_one_by_one(self) -> None:
        class Base(Public):
            class Meta:
                queue = "base"
                tries = 5

        class Mixed(Base):
            class Meta:
                queue = "mixed"
                backoff = 2
                broadcasters = "log"

        options = options_of(Mixed)
        assert (options.queue, options.tries) == ("mixed", 5)
        assert (options.backoff, options.broadcasters) == ((2,), ("log",))

    def test_meta_may_inherit_in_pythons_way_too(self) -> None:
        class Common:
            expires = 5

        class Placed(Public):
            class Meta(Common):
                now = True

        assert (options_of(Placed).expires, options_of(Placed).now) == (5, True)

    def test_should_broadcast_now_does_not_wait_in_a_queue(self) -> None:
        assert options_of(ShouldBroadcastNow).now
        assert not options_of(ShouldBroadcast).now

    @pytest.mark.parametrize("hook", ["broadcast_when", "broadcast_failed", "unique_id"])
    def test_a_hook_that_nobody_would_await_is_an_error(self, hook: str) -> None:
        async def asked(self: Any, *args: Any) -> bool:
            return False

        with pytest.raises(TypeError, match=rf"Wrong\.{hook}\(\) may not be async"):
            type("Wrong", (Public,), {hook: asked})
        with pytest.raises(TypeError, match="may not be async"):
            type("Wrong", (Public,), {hook: staticmethod(asked)})
        with pytest.raises(TypeError, match="may not be async"):
            type("Wrong", (type("Mixin", (), {hook: asked}), Public), {})

    def test_an_unknown_option_is_an_error_with_a_suggestion(self) -> None:
        with pytest.raises(TypeError, match=r"Wrong\.Meta\.nmae: unknown option, .* 'name'"):

            class Wrong(Public):
                class Meta:
                    nmae = "x"

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("fields", ["id"]),
            ("fields", {"order": "id"}),
            ("name", 7),
            ("broadcasters", [7]),
            ("queue", 7),
            ("tries", 0),
            ("tries", True),
            ("backoff", []),
            ("backoff", "1"),
            ("expires", -1),
            ("expires", float("inf")),
            ("backoff", (1, float("nan"))),
            ("after_commit", 1),
            ("rescue", "yes"),
            ("using", ["default"]),
        ],
    )
    def test_a_value_of_the_wrong_kind_is_an_error(self, option: str, value: Any) -> None:
        with pytest.raises(TypeError, match=rf"Wrong\.Meta\.{option}: must be"):
            type("Wrong", (Public,), {"Meta": type("Meta", (), {option: value})})


class TestModifiers:
    def test_they_return_copies_and_change_nothing(self) -> None:
        event = Ticked(1)
        first = event.to_others("1.2")
        second = first.via("log", "null").on_queue("high").now().to_everyone()
        assert first == Dispatch(event, others_only=True, socket_id="1.2")
        assert second == Dispatch(
            event, broadcasters=("log", "null"), queue="high", at_once=True, others_only=False
        )
        assert vars(event) == {"number": 1}

    def test_via_names_one_broadcast_for_each_broadcaster(
        self, outbox: Outbox, configure: Any
    ) -> None:
        configure(
            BROADCASTERS={"a": {"BACKEND": "locmem"}, "b": {"BACKEND": "locmem"}},
            DEFAULT_BROADCASTER="a",
        )
        Ticked().via("b", "a", "b").dispatch()
        assert [sent.broadcaster for sent in outbox] == ["b", "a"]
        assert outbox[0].id == outbox[1].id

    def test_broadcast_says_the_same_in_one_call(self, outbox: Outbox) -> None:
        with fake() as broadcasts:
            broadcast(Ticked(), via=["log", "null"], queue="high")
            broadcast(Ticked().to_others("1.2"), via="log", now=True)
        first, second, third = broadcasts.sent
        assert (first.broadcaster, first.queue) == ("log", "high")
        assert (second.broadcaster, second.queue) == ("null", "high")
        assert (third.except_socket, third.queue) == ("1.2", None)

    async def test_abroadcast_is_its_twin(self, outbox: Outbox) -> None:
        await abroadcast(Ticked(3), now=True)
        assert outbox[0].data == '{"number":3}'

    @pytest.mark.parametrize("wrong", [None, object(), Ticked, "Ticked", {"a": 1}])
    async def test_only_events_can_be_broadcast(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="Only a ShouldBroadcast"):
            broadcast(wrong)
        with pytest.raises(TypeError, match="Only a ShouldBroadcast"):
            await abroadcast(wrong)

    async def test_a_class_is_not_dispatched_with_arguments(self) -> None:
        # As one would in Laravel: OrderShipped::dispatch($order).
        with pytest.raises(TypeError, match=r"not a int; make the event first: \w+\(order\)"):
            Ticked.dispatch(1)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="make the event first"):
            await Ticked.adispatch(1)  # type: ignore[arg-type]
