"""Nothing leaves that was not declared, however payloads are built and nested."""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import Any, ClassVar

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasting import ShouldBroadcast
from broadcasting.encoding import encode
from broadcasting.exceptions import PayloadError
from broadcasting.testing import FakeBroadcasts
from tests.testapp.models import Order

SECRET = "hunter2"
KEY = uuid.UUID(int=1)


@dataclasses.dataclass
class Plain:
    inner: Any
    _private: str = SECRET
    hidden: Any = dataclasses.field(default=SECRET, metadata={"broadcast": False})
    shared: ClassVar[str] = SECRET

    def __post_init__(self) -> None:
        self.undeclared = SECRET

    @property
    def asked(self) -> str:
        return SECRET


@dataclasses.dataclass(slots=True)
class Slotted:
    inner: Any
    _private: str = SECRET


class Struct(msgspec.Struct):
    inner: Any
    _private: str = SECRET
    shared: ClassVar[str] = SECRET


class Typed(pydantic.BaseModel):
    inner: Any
    hidden: str = pydantic.Field(default=SECRET, exclude=True)
    _private: str = pydantic.PrivateAttr(default=SECRET)
    shared: ClassVar[str] = SECRET


class OfPlain(pydantic.BaseModel):
    """pydantic knows what a dataclass has, and not what of it may leave."""

    inner: Plain
    several: list[Plain] = pydantic.Field(default_factory=list)
    named: dict[str, Plain] = pydantic.Field(default_factory=dict)


class Root(pydantic.RootModel[Any]):
    """Stands for another value."""


class OfSlotted(pydantic.BaseModel):
    inner: Slotted


@pydantic.dataclasses.dataclass
class Checked:
    inner: Any
    hidden: str = pydantic.Field(default=SECRET, exclude=True)
    _private: str = SECRET


def of_plain(inner: Any) -> OfPlain:
    plain = Plain(inner)
    return OfPlain(inner=plain, several=[plain], named={"a": plain})


def of_slotted(inner: Any) -> OfSlotted:
    return OfSlotted(inner=Slotted(inner))


KINDS: list[Any] = [
    *(Plain, Slotted, Struct, Checked, of_plain, of_slotted),
    lambda inner: Typed(inner=inner),
    lambda inner: Root([inner]),
    lambda inner: [inner, inner],
    lambda inner: {"inner": inner},
    lambda inner: {KEY: inner, 1: inner},
]
nested = st.recursive(
    st.sampled_from(["shown", 1, None]),
    lambda deeper: st.builds(lambda kind, inner: kind(inner), st.sampled_from(KINDS), deeper),
    max_leaves=12,
)


@given(nested)
def test_what_is_hidden_stays_hidden_at_any_depth(payload: Any) -> None:
    """App 5: underscore exclusion."""
    text = encode(payload)
    assert SECRET not in text
    assert "private" not in text
    assert "hidden" not in text


def test_what_passes_only_once_is_looked_at_too() -> None:
    passing = (Plain(number) for number in (1, 2))
    assert encode(Typed(inner=passing)) == '{"inner":[{"inner":1},{"inner":2}]}'
    with pytest.raises(PayloadError, match="inside a pydantic model; make it a list"):
        encode(Typed(inner=[(Plain(number) for number in (1, 2))]))


def test_serializers_of_pydantic_have_their_say() -> None:
    class Priced(pydantic.BaseModel):
        price: int
        item: Plain

        @pydantic.field_serializer("price")
        def in_words(self, price: int) -> str:
            return f"{price} euros"

        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def double(self) -> int:
            return self.price * 2

    assert encode(Priced(price=2, item=Plain(1))) == (
        '{"price":"2 euros","item":{"inner":1},"double":4}'
    )


@pytest.mark.parametrize("kind", KINDS)
def test_and_what_is_declared_leaves(kind: Any) -> None:
    text = encode({"event": kind(kind("shown"))})
    assert "shown" in text
    json.loads(text)


class Event(ShouldBroadcast):
    number: int = 1
    _token: str = SECRET

    def broadcast_on(self) -> str:
        return "news"


class TypedEvent(ShouldBroadcast, pydantic.BaseModel):
    number: int = 1
    hidden: str = pydantic.Field(default=SECRET, exclude=True)
    _token: str = pydantic.PrivateAttr(default=SECRET)

    def broadcast_on(self) -> str:
        return "news"


class StructEvent(ShouldBroadcast, msgspec.Struct):
    number: int = 1
    _token: str = SECRET

    def broadcast_on(self) -> str:
        return "news"


class Handwritten(ShouldBroadcast):
    def __init__(self) -> None:
        self.number = 1
        self._token = SECRET

    def broadcast_on(self) -> str:
        return "news"


@pytest.mark.parametrize("kind", [Event, TypedEvent, StructEvent, Handwritten])
def test_an_event_of_any_kind_shows_its_public_attributes(
    broadcasts: FakeBroadcasts, kind: type[ShouldBroadcast]
) -> None:
    kind().dispatch()
    broadcasts.assert_payload(kind, {"number": 1})


def test_what_was_put_on_an_event_afterwards_stays(broadcasts: FakeBroadcasts) -> None:
    event = Event()
    event.note = SECRET  # type: ignore[attr-defined]
    event.dispatch()
    broadcasts.assert_payload(Event, {"number": 1})


class Holder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    order: Order


class Account(pydantic.BaseModel):
    password: pydantic.SecretStr


@pytest.mark.parametrize(
    "payload",
    [
        Holder(order=Order(pk=1, status=SECRET)),
        {"deep": [Holder(order=Order(pk=1, status=SECRET))]},
        Account(password=pydantic.SecretStr(SECRET)),
        Plain(Order(pk=1, status=SECRET)),
        {"number": float("nan"), "password": SECRET},
        {SECRET.encode(): 1},
    ],
)
def test_what_is_refused_is_not_shown_in_the_refusal(payload: Any) -> None:
    """App 5: NaN refused."""
    with pytest.raises(PayloadError) as refused:
        encode(payload)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("rows", [Order.objects.values(), Order.objects.values_list()])
def test_rows_of_all_columns_are_bare_rows(rows: Any) -> None:
    for payload in ({"orders": rows}, {"deep": [rows]}, rows):
        with pytest.raises(PayloadError, match="name the columns"):
            encode(payload)
    with pytest.raises(PayloadError, match="name the columns"):
        encode({"orders": Order.objects.values_list()}, {"orders": ["id"]})


@pytest.mark.django_db
def test_rows_of_named_columns_leave() -> None:
    Order.objects.create(pk=3)
    ids = Order.objects.values("id")
    assert encode({"orders": ids}) == '{"orders":[{"id":3}]}'
    assert encode({"orders": Order.objects.values_list("id", flat=True)}) == '{"orders":[3]}'
    assert encode({"orders": Order.objects.values()}, {"orders": ["id"]}) == encode({"orders": ids})
