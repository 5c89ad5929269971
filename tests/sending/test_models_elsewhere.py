"""Rows that broadcast, where they meet other things: migrations, databases, other packages."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import migrations, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.operations import CreateModel
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.db.models.deletion import Collector
from django.test.utils import isolate_apps
from safedelete.config import HARD_DELETE

import broadcasting
from broadcasting import (
    BroadcastsEvents,
    Dispatch,
    abroadcast_updated,
    broadcast_updated,
    broadcasts_events,
)
from broadcasting.broadcasts import Broadcast
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Page, Post, Report, Tag
from tests.sending.kept import KeptQueue, work

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class TestMigrations:
    def test_rows_of_data_migrations_are_silent(self, broadcasts: FakeBroadcasts) -> None:
        state = ProjectState()
        for model in (ContentType, Permission, Group, User, Post):
            state.add_model(ModelState.from_model(model))
        historical = state.apps.get_model("blog", "Post")
        row = historical.objects.create(title="One")
        row.delete()
        broadcasts.assert_nothing_broadcast()

    def test_they_name_the_mixin_where_it_stays(self) -> None:
        class Made(migrations.Migration):
            operations = [CreateModel("Post", [], bases=(BroadcastsEvents, models.Model))]  # noqa: RUF012

        source = MigrationWriter(Made("0001", "blog")).as_string()
        assert "bases=(broadcasting.BroadcastsEvents, models.Model)" in source


class TestDatabases:
    def test_rows_of_several_databases_are_not_the_same(self) -> None:
        rows = [Post(pk=1, title="One") for _ in range(2)]
        for row, alias in zip(rows, ("default", "other"), strict=True):
            row._state.db = alias
        events = [Post.BroadcastEvent(row, "updated") for row in rows]
        assert len({event.unique_id() for event in events}) == 2
        assert len({event.coalesce_key() for event in events}) == 2

    def test_a_row_waits_for_the_database_that_it_is_written_to(
        self, broadcasts: FakeBroadcasts
    ) -> None:
        """App 19: the transaction of the right alias."""
        with transaction.atomic("default"):
            with transaction.atomic("other"):
                post = Post.objects.using("other").create(title="One")
                assert [pending.using for pending in broadcasts.pending] == ["other"]
            transaction.set_rollback(True, "default")
        broadcasts.assert_broadcast("PostCreated", times=1)
        with transaction.atomic("other"):
            post.delete()
            transaction.set_rollback(True, "other")
        broadcasts.assert_not_broadcast("PostDeleted")


class TestWorkers:
    @pytest.fixture(autouse=True)
    def queue(self, configure: Any) -> Iterator[None]:
        KeptQueue.jobs.clear()
        configure(
            QUEUE={"BACKEND": f"{KeptQueue.__module__}.KeptQueue"}, DEFAULT_BROADCASTER="locmem"
        )
        yield
        KeptQueue.jobs.clear()

    def test_a_worker_shows_a_row_that_is_still_there(self, outbox: list[Broadcast]) -> None:
        report = Report.objects.create(title="One")
        report.title = "Two"
        report.save()
        pk = report.pk
        Report.objects.update(title="Three")
        assert work() == []
        row = {"id": pk, "title": "Three"}
        assert [(sent.name, json.loads(sent.data)) for sent in outbox] == [
            ("ReportCreated", {"model": row}),
            ("ReportUpdated", {"model": row, "changes": {"title": ["One", "Two"]}}),
        ]

    def test_a_job_holds_nothing_undeclared(self, outbox: list[Broadcast]) -> None:
        report = Report.objects.create(title="One", secret="geheim")
        report.secret = "geheimer"
        report.save()
        assert len(KeptQueue.jobs) == 2
        assert "geheim" not in json.dumps([payload for _, payload, _ in KeptQueue.jobs])
        assert work() == []

    def test_what_is_gone_was_shown_before(self, outbox: list[Broadcast]) -> None:
        """App 9: deletes do not wait for a worker to look for the row."""
        with broadcasting.muted():
            rows = [Report.objects.create(title="One") for _ in range(2)]
        keys = [row.pk for row in rows]
        rows[0].delete()
        Report.objects.all().delete()
        assert work() == []
        assert [(sent.channels, json.loads(sent.data)) for sent in outbox] == [
            ((f"private-blog.Report.{pk}",), {"model": {"id": pk, "title": "One"}}) for pk in keys
        ]


class TestSoftDeletes:
    """django-safedelete, with nothing said."""

    def test_a_row_goes_and_comes_back(self, broadcasts: FakeBroadcasts) -> None:
        """App 19: trashed, restored and deleted, and nothing beside them."""
        page = Page.objects.create(title="One")
        page.delete()
        Page.deleted_objects.get().undelete()
        Page.objects.all().delete()
        Page.deleted_objects.get().delete(force_policy=HARD_DELETE)
        assert [record.name for record in broadcasts.sent] == [
            "PageCreated",
            "PageTrashed",
            "PageRestored",
            "PageTrashed",
            "PageDeleted",
        ]


class TestManyRows:
    def test_a_bulk_update_may_be_told(self, broadcasts: FakeBroadcasts) -> None:
        with broadcasting.muted():
            Post.objects.bulk_create([Post(title="One"), Post(title="Two")])
        Post.objects.update(title="Three")
        broadcast_updated(Post.objects.order_by("pk"))
        assert [record.name for record in broadcasts.sent] == ["PostUpdated"] * 2
        assert {record.payload["model"]["title"] for record in broadcasts.sent} == {"Three"}

    async def test_in_async_code(self, broadcasts: FakeBroadcasts) -> None:
        post = await Post.objects.acreate(title="One")
        await abroadcast_updated(Post.objects.all())
        await abroadcast_updated([post], on="news")
        assert [str(*record.channels) for record in broadcasts.sent[1:]] == [
            f"private-blog.Post.{post.pk}",
            "news",
        ]

    @pytest.mark.parametrize("action", ["created", "updated", "deleted", "trashed", "restored"])
    async def test_each_action_by_hand(self, broadcasts: FakeBroadcasts, action: str) -> None:
        post = Post(pk=3, title="One")
        await sync_to_async(getattr(post, f"broadcast_{action}"))()
        await getattr(post, f"abroadcast_{action}")(on="news")
        assert [(record.name, str(*record.channels)) for record in broadcasts.sent] == [
            (f"Post{action.title()}", "private-blog.Post.3"),
            (f"Post{action.title()}", "news"),
        ]


class TestAdoption:
    @pytest.fixture
    def adopted(self) -> Iterator[Any]:
        with isolate_apps("tests.blog"):

            class Label(Tag):
                """Stands for a model that somebody else wrote."""

                class Meta:
                    app_label = "blog"
                    proxy = True

            class Sticker(Label):
                class Meta:
                    app_label = "blog"
                    proxy = True

            yield Label, Sticker

    def test_a_model_of_somebody_else_tells_of_its_rows(
        self, adopted: Any, broadcasts: FakeBroadcasts
    ) -> None:
        """App 19: broadcasts_events()."""
        label, sticker = adopted
        assert broadcasts_events(fields=["name"], only_if_changed=True)(label) is label
        row = label.objects.create(name="a")
        row.save()
        row.delete()
        sticker.objects.create(name="b")
        Tag.objects.create(name="c")
        assert [record.name for record in broadcasts.sent] == [
            "LabelCreated",
            "LabelDeleted",
            "StickerCreated",
        ]
        assert broadcasts.sent[0].payload == {"model": {"name": "a"}}
        assert not Collector(using="default").can_fast_delete(label.objects.all())
        assert Collector(using="default").can_fast_delete(Tag.objects.all())

    def test_hooks_may_be_given(self, adopted: Any, broadcasts: FakeBroadcasts) -> None:
        label, _ = adopted
        broadcasts_events(
            broadcast_on=lambda row, event: f"labels.{event}",
            broadcast_as=lambda row, event: f"label.{event}",
            broadcast_with=lambda row, event: {"pk": row.pk},
        )(label)
        row = label.objects.create(name="a")
        (record,) = broadcasts.sent
        assert (record.name, str(*record.channels)) == ("label.created", "labels.created")
        assert record.payload == {"pk": row.pk}

    def test_mistakes_leave_it_as_it_was(self, adopted: Any, broadcasts: FakeBroadcasts) -> None:
        label, _ = adopted
        with pytest.raises(TypeError, match=r"Label\.BroadcastMeta\.feilds"):
            broadcasts_events(feilds=["name"])(label)
        label.objects.create(name="a")
        broadcasts.assert_nothing_broadcast()
        with pytest.raises(TypeError, match="Post broadcasts its rows already"):
            broadcasts_events(fields=["id"])(Post)

    def test_migrations_see_nothing_of_it(self, adopted: Any) -> None:
        label, _ = adopted
        before, after = ProjectState(), ProjectState()
        for state in (before, after):
            state.add_model(ModelState.from_model(Tag))
            state.add_model(ModelState.from_model(label))
            if state is before:
                broadcasts_events(fields=["name"])(label)
        assert MigrationAutodetector(before, after).changes(MigrationGraph()) == {}


@isolate_apps("tests.blog")
def test_a_row_may_say_how_it_is_sent(broadcasts: FakeBroadcasts) -> None:
    class Urgent(Post):
        class Meta:
            app_label = "blog"
            proxy = True

        def prepare_broadcast(self, dispatch: Dispatch, event: str) -> Dispatch:
            return dispatch.on_queue(f"urgent.{event}")

    urgent = Urgent.objects.create(title="One")
    urgent.broadcast_event("read")
    assert [record.queue for record in broadcasts.sent] == ["urgent.created", "urgent.read"]


def test_what_a_model_does_is_not_taken_for_that_of_one_which_is_gone() -> None:
    """A signal knows its sender by an id, which Python gives again."""

    def make(*bases: type) -> Any:
        members = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "blog"})}
        with isolate_apps("tests.blog"):
            return type("Brief", bases, members)

    told = weakref.ref(make(BroadcastsEvents, models.Model))
    silent = weakref.ref(make(models.Model))
    gc.collect()
    assert silent() is None
    assert told() is not None
