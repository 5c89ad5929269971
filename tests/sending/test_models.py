"""Rows that broadcast what happens to them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.serializers import deserialize
from django.db import transaction
from django.db.models.deletion import Collector
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

import broadcasting
from broadcasting import BroadcastsEvents, ModelBroadcast, PrivateChannel
from broadcasting.checks.models import _of, check_models
from broadcasting.exceptions import PayloadError
from broadcasting.middleware import SocketIdMiddleware
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Comment, Draft, Essay, Note, Post, Tag

pytestmark = pytest.mark.django_db(transaction=True)

Sent = list[tuple[str, list[str], Any]]


def sent(broadcasts: FakeBroadcasts) -> Sent:
    """Return name, channels and payload of what left, and forget it."""
    found = [(r.name, [*map(str, r.channels)], r.payload) for r in broadcasts.sent]
    broadcasts.clear()
    return found


@isolate_apps("tests.blog")
def undeclared(**meta: Any) -> Any:
    """Return a model that forgot to say what may leave, or what ``meta`` says."""

    class Undeclared(BroadcastsEvents, Tag):
        BroadcastMeta = type("BroadcastMeta", (), meta)

        class Meta:
            app_label = "blog"
            proxy = True

    return Undeclared


class TestChecks:
    def test_every_model_says_what_may_leave(self) -> None:
        """App 22: E010."""
        (message,) = _of(undeclared())
        assert message.id == "broadcasting.E010"
        assert message.hint is not None
        assert "BroadcastMeta" in message.hint
        assert [*_of(undeclared(fields=["id"])), *_of(Comment), *check_models()] == []

    def test_what_marks_a_row_as_deleted_is_a_field(self) -> None:
        """App 22: E017."""
        (message,) = _of(undeclared(fields=["id"], soft_deletes="gone"))
        assert message.id == "broadcasting.E017"
        assert [*_of(undeclared(fields=["id"], soft_deletes="name"))] == []

    def test_what_may_leave_is_there(self) -> None:
        """App 22: E017."""
        (message,) = _of(undeclared(fields=["pk", "name", "nmae", "__str__"]))
        assert (message.id, "'nmae'" in message.msg) == ("broadcasting.E017", True)
        assert message.hint == "Did you mean 'name'?"


class TestActions:
    def test_a_row_tells_of_its_life(self, broadcasts: FakeBroadcasts) -> None:
        """App 19: created, updated, deleted, with the names that Echo's hooks derive."""
        post = Post.objects.create(title="One")
        post.title = "Two"
        post.save()
        pk = post.pk
        post.delete()
        on = [f"private-blog.Post.{pk}"]
        assert sent(broadcasts) == [
            ("PostCreated", on, {"model": {"id": pk, "title": "One"}}),
            ("PostUpdated", on, {"model": {"id": pk, "title": "Two"}}),
            ("PostDeleted", on, {"model": {"id": pk, "title": "Two"}}),
        ]

    def test_nothing_undeclared_leaves(self, broadcasts: FakeBroadcasts) -> None:
        Post.objects.create(title="One", secret="geheim")
        assert "geheim" not in broadcasts.sent[0].data

    def test_nothing_declared_is_an_error_that_names_the_cure(
        self, broadcasts: FakeBroadcasts
    ) -> None:
        with pytest.raises(PayloadError, match=r"Undeclared\.BroadcastMeta\.fields"):
            undeclared().objects.create(name="One")

    def test_a_model_may_have_its_own_say(self, broadcasts: FakeBroadcasts) -> None:
        """App 19: hooks, and only some of the actions."""
        with broadcasting.muted():
            post = Post.objects.create(title="One")
        comment = Comment.objects.create(post=post, text="a")
        comment.save()
        assert sent(broadcasts) == [
            (
                "comment.created",
                [f"private-blog.Post.{post.pk}", "comments.created"],
                {"id": comment.pk, "siblings": 1},
            )
        ]

    async def test_async_saves_tell_too(self, broadcasts: FakeBroadcasts) -> None:
        post = await Post.objects.acreate(title="One")
        await post.adelete()
        assert [name for name, *_ in sent(broadcasts)] == ["PostCreated", "PostDeleted"]

    def test_querysets_are_silent_but_for_deletes(self, broadcasts: FakeBroadcasts) -> None:
        Post.objects.bulk_create([Post(title="One"), Post(title="Two")])
        Post.objects.update(title="Three")
        assert sent(broadcasts) == []
        Post.objects.all().delete()
        assert [name for name, *_ in sent(broadcasts)] == ["PostDeleted"] * 2

    def test_fixtures_are_silent(self, broadcasts: FakeBroadcasts) -> None:
        """App 19: raw saves."""
        text = '[{"model": "blog.post", "pk": 5, "fields": {"title": "One", "secret": "x"}}]'
        for loaded in deserialize("json", text):
            loaded.save()
        assert Post.objects.filter(pk=5).exists()
        broadcasts.assert_nothing_broadcast()


class TestDeletes:
    def test_all_is_asked_while_the_row_is_there(self, broadcasts: FakeBroadcasts) -> None:
        """App 9: the payload of a delete has the key and what went with the row."""
        with broadcasting.muted():
            post = Post.objects.create(title="One")
            comments = [Comment.objects.create(post=post, text="a") for _ in range(2)]
        pk, keys = post.pk, {comment.pk for comment in comments}
        with transaction.atomic():
            post.delete()
            assert broadcasts.sent == []
        told = [(name, payload) for name, _, payload in sent(broadcasts)]
        assert ("PostDeleted", {"model": {"id": pk, "title": "One"}}) in told
        payloads = [payload for name, payload in told if name == "comment.deleted"]
        assert {payload["id"] for payload in payloads} == keys
        assert {payload["siblings"] for payload in payloads} == {2}

    def test_what_is_rolled_back_was_never_deleted(self, broadcasts: FakeBroadcasts) -> None:
        """App 9: not on rollback."""
        with broadcasting.muted():
            post = Post.objects.create(title="One")
        with suppress(RuntimeError), transaction.atomic():
            post.delete()
            raise RuntimeError
        broadcasts.assert_nothing_broadcast()

    def test_other_models_keep_their_fast_deletes(self) -> None:
        """App 19: no receiver for all models."""
        assert Collector(using="default").can_fast_delete(Tag.objects.all())
        assert not Collector(using="default").can_fast_delete(Post.objects.all())


class TestInheritance:
    def test_a_row_in_two_tables_speaks_once(self, broadcasts: FakeBroadcasts) -> None:
        """App 19: inheritance."""
        essay = Essay.objects.create(title="One", pages=9)
        essay.save()
        pk = essay.pk
        essay.delete()
        assert [(name, on) for name, on, _ in sent(broadcasts)] == [
            (f"Essay{action}", [f"private-blog.Essay.{pk}"])
            for action in ("Created", "Updated", "Deleted")
        ]

    def test_a_proxy_has_its_own_name_on_its_models_channel(
        self, broadcasts: FakeBroadcasts
    ) -> None:
        """App 19: proxies."""
        draft = Draft.objects.create(title="One")
        ((name, on, payload),) = sent(broadcasts)
        assert (name, on) == ("DraftCreated", [f"private-blog.Post.{draft.pk}"])
        assert payload == {"model": {"id": draft.pk, "title": "One"}}


class TestChanges:
    @pytest.fixture
    def note(self, broadcasts: FakeBroadcasts) -> Note:
        with broadcasting.muted():
            return Note.objects.create(text="One")

    def test_a_save_that_changes_nothing_is_silent(
        self, note: Note, broadcasts: FakeBroadcasts
    ) -> None:
        """App 19: only_if_changed."""
        note.save()
        Note.objects.get().save()
        broadcasts.assert_nothing_broadcast()
        note.extra["deep"] = 1
        note.save()
        ((name, _, payload),) = sent(broadcasts)
        # Undeclared, so it is told that, never what.
        assert (name, payload) == (
            "NoteUpdated",
            {"model": {"id": note.pk, "text": "One"}, "changes": {}},
        )

    def test_old_and_new_of_what_is_declared(self, note: Note, broadcasts: FakeBroadcasts) -> None:
        found = Note.objects.get()
        found.text, found.hidden = "Two", 7
        found.save()
        ((_, _, payload),) = sent(broadcasts)
        assert payload["changes"] == {"text": ["One", "Two"]}
        found.save()
        broadcasts.assert_nothing_broadcast()

    def test_only_what_was_saved_counts(self, note: Note, broadcasts: FakeBroadcasts) -> None:
        note.text = "Two"
        note.save(update_fields=["hidden"])
        broadcasts.assert_nothing_broadcast()

    def test_a_refreshed_row_begins_anew(self, note: Note, broadcasts: FakeBroadcasts) -> None:
        Note.objects.update(text="Two")
        note.refresh_from_db()
        note.save()
        broadcasts.assert_nothing_broadcast()

    def test_deferred_fields_stay_so(self, note: Note, django_assert_num_queries) -> None:
        with django_assert_num_queries(1):
            found = Note.objects.only("text").get()
        assert "hidden" in found.get_deferred_fields()

    def test_soft_deletes_have_their_own_names(
        self, note: Note, broadcasts: FakeBroadcasts
    ) -> None:
        """App 19: trashed and restored, and nothing beside them."""
        for moment in (timezone.now(), None):
            note.deleted_at = moment
            note.save()
        assert [name for name, *_ in sent(broadcasts)] == ["NoteTrashed", "NoteRestored"]

    def test_options_of_events_hold(self, note: Note, broadcasts: FakeBroadcasts, rf) -> None:
        def view(request: Any) -> None:
            note.text = "Two"
            note.save()

        SocketIdMiddleware(view)(rf.post("/", headers={"X-Socket-ID": "12.34"}))  # type: ignore[arg-type]
        (record,) = broadcasts.assert_to_others("NoteUpdated", socket="12.34")
        assert record.queue == "notes"


class TestByHand:
    def test_any_word_is_an_event(self, broadcasts: FakeBroadcasts) -> None:
        with broadcasting.muted():
            post = Post.objects.create(title="One")
        post.broadcast_event("made_public", on="news")
        post.broadcast_updated()
        assert [(name, on) for name, on, _ in sent(broadcasts)] == [
            ("PostMadePublic", ["news"]),
            ("PostUpdated", [f"private-blog.Post.{post.pk}"]),
        ]

    async def test_in_async_code(self, broadcasts: FakeBroadcasts) -> None:
        await Post(pk=3, title="One").abroadcast_event("seen")
        broadcasts.assert_broadcast("PostSeen", on=PrivateChannel("blog.Post.3"))

    def test_models_are_muted_one_by_one(self, broadcasts: FakeBroadcasts) -> None:
        """App 19: muted."""
        with Post.broadcasting_muted():
            post = Essay.objects.create(title="One")
            Comment.objects.create(post=post, text="a")
            post.delete()
        assert [name for name, *_ in sent(broadcasts)] == ["comment.created", "comment.deleted"]
        with Essay.broadcasting_muted():
            Post.objects.create(title="Two")
        assert [name for name, *_ in sent(broadcasts)] == ["PostCreated"]

    def test_each_model_has_an_event_of_its_own(self, broadcasts: FakeBroadcasts) -> None:
        post = Post.objects.create(title="One")
        broadcasts.assert_broadcast(Post.BroadcastEvent, lambda event: event.instance == post)
        broadcasts.assert_broadcast(ModelBroadcast, times=1)
        broadcasts.assert_not_broadcast(Note.BroadcastEvent)


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        ({"feilds": ["id"]}, "feilds: .*'fields'"),
        ({"fields": "id"}, "fields: must be a list"),
        ({"events": ["saved"]}, "events: must be some of"),
        ({"name": "x"}, "name: not for models"),
    ],
)
def test_a_mistake_in_the_options_is_an_error(meta: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError, match=rf"Undeclared\.BroadcastMeta\.{problem}"):
        undeclared(**meta)


def test_it_waits_for_the_database_that_was_written(broadcasts: FakeBroadcasts) -> None:
    with CaptureQueriesContext(transaction.get_connection()), transaction.atomic("default"):
        Post.objects.using("default").create(title="One")
        assert [pending.using for pending in broadcasts.pending] == ["default"]
    assert len(broadcasts.sent) == 1


def test_users_are_still_deleted_with_what_they_wrote(broadcasts: FakeBroadcasts) -> None:
    user = User.objects.create(username="ada")
    Post.objects.create(title="One", author=user)
    user.delete()
    assert [name for name, *_ in sent(broadcasts)] == ["PostCreated", "PostDeleted"]
