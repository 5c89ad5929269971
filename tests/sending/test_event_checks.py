"""What is wrong with event classes is said before anything is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import msgspec
import pytest
from django.db.models import QuerySet
from rest_framework import serializers

from broadcasting import BroadcastNotification, ShouldBroadcast
from broadcasting.checks.events import event_classes, problems_of, same_names
from tests.testapp.models import Order

if TYPE_CHECKING:
    from tests.blog.models import Post

ROOT = Path(__file__).resolve().parents[2]


class Going(ShouldBroadcast):
    def broadcast_on(self) -> str:
        return "orders"


def ids(event: type[ShouldBroadcast]) -> list[str]:
    assert all(problem.hint for problem in problems_of(event))
    return [str(problem.id).removeprefix("broadcasting.") for problem in problems_of(event)]


class OrderSerializer(serializers.ModelSerializer[Order]):
    class Meta:
        model = Order
        fields = ("id",)


class Notice(BroadcastNotification):
    order: Order


class Said(Notice):
    def to_broadcast(self, notifiable: Any) -> dict[str, int]:
        return {"order": self.order.pk}


def test_a_notification_may_say_what_leaves_in_its_own_way() -> None:
    assert ids(Notice) == ["E010"]
    assert ids(Said) == []


def test_notifications_are_told_apart_by_their_type_not_by_their_name() -> None:
    class Elsewhere:
        class Said(Notice):
            pass

    assert [*same_names([Said, Elsewhere.Said])] == []


def bare() -> Iterator[type[ShouldBroadcast]]:
    class Plain(Going):
        order: Order

    class Optionally(Going):
        order: Order | None = None

    class OldOptional(Going):
        order: Optional["Order"] = None  # noqa: UP037, UP045

    class Several(Going):
        orders: list[Order]

    class Any_(Going):  # noqa: N801
        orders: Sequence["Order"]  # noqa: UP037

    class Queried(Going):
        orders: QuerySet[Order]

    class Keyed(Going):
        orders: dict[str, Order]

    class ForCheckersOnly(Going):
        post: Post

    class Other(Going):
        order: Order
        author: Order

        class Meta:
            fields: ClassVar = {"author": ["id"]}

    class Child(Plain):
        number: int = 0

    class Packed(Going, msgspec.Struct):
        order: Order

    yield from (Plain, Optionally, OldOptional, Several, Any_, Queried, Keyed)
    yield from (ForCheckersOnly, Other, Child, Packed)


def good() -> Iterator[type[ShouldBroadcast]]:
    class Declared(Going):
        order: Order
        name: str
        queue: str = "this is data"

        class Meta:
            fields: ClassVar = {"order": ["id"]}

    class Serialized(Going):
        order: Order

        class Meta:
            serializer = OrderSerializer

    class SerializedByName(Going):
        orders: list[Order]

        class Meta:
            serializer: ClassVar = {"orders": OrderSerializer}

    class Custom(Going):
        order: Order

        def broadcast_with(self) -> Any:
            return {"id": self.order.pk}

    class Hidden(Going):
        _order: Order
        also: Order = field(metadata={"broadcast": False})
        shared: ClassVar[Order | None] = None
        unreadable: NoSuchThing = None  # type: ignore[name-defined]  # noqa: F821

    class Handwritten(Going):
        def __init__(self, order: Order) -> None:
            self._order = order

        @property
        def queue(self) -> str:
            return "of my own"

    class Named(Going):
        class Meta:
            name = "order.shipped"

    class NamedLater(Going):
        class Meta:
            name = "client-never"

        def broadcast_as(self) -> str:
            return "order.shipped"

    yield from (Declared, Serialized, SerializedByName, Custom, Hidden, Handwritten)
    yield from (Named, NamedLater)


@pytest.mark.parametrize("event", bare(), ids=lambda event: event.__name__)
def test_a_model_of_which_nothing_may_leave_is_an_error(event: type[ShouldBroadcast]) -> None:
    """App 22: E010."""
    assert ids(event) == ["E010"]


@pytest.mark.parametrize("event", good(), ids=lambda event: event.__name__)
def test_what_can_be_sent_passes(event: type[ShouldBroadcast]) -> None:
    """App 22: none of them."""
    assert ids(event) == []


@pytest.mark.parametrize("called", ["pusher:x", "pusher_internal:x", "client-x", "x" * 201])
def test_a_name_that_cannot_be_sent_is_told(called: str) -> None:
    """App 22: W015."""

    class Misnamed(Going):
        class Meta:
            name = called

    assert ids(Misnamed) == ["W015"]


def test_options_outside_meta_are_told() -> None:
    """App 22: W016."""

    class Misplaced(Going):
        queue = "realtime"

    assert ids(Misplaced) == ["W016"]
    (problem,) = problems_of(Misplaced)
    assert problem.hint is not None
    assert "class Meta: queue" in problem.hint


def test_an_attribute_called_socket_is_told() -> None:
    """App 22: W016."""

    class Plugged(Going):
        socket: str = ""

    assert ids(Plugged) == ["W016"]


def test_two_events_of_one_name_are_told() -> None:
    """App 22: W014."""

    class One(Going):
        pass

    class Two(Going):
        class Meta:
            name = "One"

    class Three(Going):
        pass

    (problem,) = same_names([One, Two, Three])
    assert problem.id == "broadcasting.W014"
    assert "One and " in problem.msg
    assert "Two" in problem.msg
    assert [*same_names([One, Three])] == []


def test_events_of_the_site_are_seen_and_bases_are_not() -> None:
    paths = {f"{event.__module__}.{event.__qualname__}" for event in event_classes()}
    assert "tests.testapp.events.Ticked" in paths
    assert not any(path.startswith(("broadcasting.", "tests.sending.")) for path in paths)


EVENTS = """
from broadcasting import BroadcastNotification, ShouldBroadcast
from django.contrib.auth.models import User
class {name}(ShouldBroadcast):
    user: User
    def broadcast_on(self): return "users"
class Base(ShouldBroadcast):
    user: User
"""
CHECK = """
import django
from django.conf import settings
from django.core.checks import run_checks
settings.configure(
    ROOT_URLCONF="config.urls", SECRET_KEY="x" * 50,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes",
                    "channels", "broadcasting", "shop"])
django.setup()
for m in run_checks(tags=["broadcasting"]):
    if m.id[-4:] in ("E010", "W014"):
        print(m.id, m.msg)
"""


def test_events_of_apps_and_of_the_project_are_found_when_django_starts(tmp_path: Path) -> None:
    for package in ("config", "shop"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "events.py").write_text(EVENTS.format(name="Joined"))
    (tmp_path / "config" / "urls.py").write_text("urlpatterns = []")
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["broadcasting.E010", "config.events.Joined.user"],
        ["broadcasting.E010", "shop.events.Joined.user"],
        ["broadcasting.W014", "config.events.Joined"],
    ]
