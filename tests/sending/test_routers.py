"""Rows where routers say which database they are read from, and written to."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.functional import SimpleLazyObject

import broadcasting
from broadcasting import PrivateChannel, ShouldBroadcast
from broadcasting.broadcasts import Broadcast
from broadcasting.references import pack, unpack
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Post, Tag
from tests.sending.kept import work
from tests.sending.test_viewsets import TagViewSet, ask

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class ByApp:
    """A router as Django's documentation has it, with a replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "other" if model._meta.app_label == "blog" else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "default" if model._meta.app_label == "blog" else None


class Greeted(ShouldBroadcast):
    user: User

    class Meta:
        fields = {"user": ["username"]}  # noqa: RUF012

    def broadcast_on(self) -> Any:
        return PrivateChannel(self.user)


class GreetedLater(Greeted):
    class Meta:
        render = "worker"


@pytest.fixture(autouse=True)
def _routed(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.ByApp"]


@pytest.mark.parametrize("kind", [Greeted, GreetedLater])
def test_the_user_of_a_request_is_a_row(
    configure: Any, outbox: list[Broadcast], kind: type[Greeted]
) -> None:
    ada = User.objects.create(username="ada")
    configure(QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"}, DEFAULT_BROADCASTER="locmem")
    kind(SimpleLazyObject(lambda: ada)).dispatch()  # type: ignore[arg-type]
    assert work() == []
    assert [json.loads(sent.data) for sent in outbox] == [{"user": {"username": "ada"}}]


def test_lazy_rows_of_several_models_are_kept_apart() -> None:
    ada, tag = User.objects.create(username="ada"), Tag.objects.create(name="a")
    several: Any = [SimpleLazyObject(lambda: ada), SimpleLazyObject(lambda: tag)]
    assert attrgetter("user")(unpack(pack(Greeted(several)))) == [ada, tag]


def test_what_is_told_by_hand_waits_where_it_is_written(broadcasts: FakeBroadcasts) -> None:
    with broadcasting.muted():
        Post.objects.using("other").create(title="One")
    with transaction.atomic("default"):
        post = Post.objects.get()
        assert post._state.db == "other"
        post.broadcast_event("seen")
        assert [pending.using for pending in broadcasts.pending] == ["default"]


def test_so_does_what_a_view_deleted(broadcasts: FakeBroadcasts) -> None:
    for database in ("other", "default"):
        Tag(pk=1, name="a").save(using=database)
    with transaction.atomic("default"):
        ask(TagViewSet, "delete", 1)
        assert [pending.using for pending in broadcasts.pending] == ["default"]
