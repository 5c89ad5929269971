"""Viewsets of Django REST framework that broadcast what they did."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from rest_framework import renderers, serializers, viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.test import APIRequestFactory

from broadcasting import ModelBroadcast
from broadcasting.contrib.drf.viewsets import BroadcastModelMixin
from broadcasting.dispatching import Dispatch
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Post, Tag

pytestmark = pytest.mark.django_db(transaction=True)


class AsGiven(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        return request._request.user, None


class TagSerializer(serializers.ModelSerializer[Tag]):
    shouted = serializers.SerializerMethodField()

    class Meta:
        model = Tag
        fields = ("id", "name", "shouted")

    def get_shouted(self, tag: Tag) -> str:
        return f"{tag.name} to {self.context['request'].user.username}".upper()


class TagViewSet(BroadcastModelMixin, viewsets.ModelViewSet[Tag]):
    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    renderer_classes = (renderers.JSONRenderer,)
    authentication_classes = (AsGiven,)


class Own(TagViewSet):
    """Has its own say about everything."""

    def broadcast_on(self, instance: Any, event: str) -> Any:
        return None if event == "updated" else [f"tags.{event}", instance]

    def broadcast_as(self, instance: Any, event: str) -> str:
        return f"tag.{event}"

    def broadcast_with(self, instance: Any, event: str) -> Any:
        return {"id": instance.pk}

    def prepare_broadcast(self, dispatch: Dispatch, event: str) -> Dispatch:
        return dispatch.on_queue("tags")


class PostViewSet(BroadcastModelMixin, viewsets.ModelViewSet[Post]):
    """A mistake: posts tell of themselves."""

    queryset = Post.objects.all()
    authentication_classes = (AsGiven,)
    renderer_classes = (renderers.JSONRenderer,)

    class serializer_class(serializers.ModelSerializer[Post]):  # noqa: N801
        class Meta:
            model = Post
            fields = ("id", "title")


VERBS = {"post": "create", "put": "update", "patch": "partial_update", "delete": "destroy"}


def ask(
    view: type[viewsets.ModelViewSet[Any]], verb: str, pk: int | None = None, **data: Any
) -> Any:
    """Return what ada's tab 1.2 is answered."""
    make = getattr(APIRequestFactory(), verb)
    request = make("/", data, format="json", headers={"X-Socket-ID": "1.2"})
    request.user = User(username="ada")
    handler = view.as_view({verb: VERBS[verb]})
    return handler(request) if pk is None else handler(request, pk=pk)


def test_a_view_tells_of_the_life_of_a_row(broadcasts: FakeBroadcasts) -> None:
    answers = [ask(TagViewSet, "post", name="a").data]
    pk = answers[0]["id"]
    answers += [ask(TagViewSet, verb, pk, name=verb).data for verb in ("put", "patch")]
    assert ask(TagViewSet, "delete", pk).status_code == 204
    names = ["TagCreated", "TagUpdated", "TagUpdated", "TagDeleted"]
    assert [record.name for record in broadcasts.sent] == names
    payloads = [{"model": answer} for answer in (*answers, answers[-1])]
    assert [record.payload for record in broadcasts.sent] == payloads
    assert payloads[0]["model"]["shouted"] == "A TO ADA"
    assert {str(*record.channels) for record in broadcasts.sent} == {f"private-blog.Tag.{pk}"}
    assert {record.except_socket for record in broadcasts.sent} == {"1.2"}
    broadcasts.assert_broadcast(ModelBroadcast, lambda told: told.action == "deleted")


class Several(TagViewSet):
    """Makes several rows at once, as many views do."""

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        many = isinstance(kwargs.get("data"), list)
        return super().get_serializer(*args, **kwargs, many=many)


def test_several_rows_that_were_made_at_once_are_told_one_by_one(
    broadcasts: FakeBroadcasts,
) -> None:
    request = APIRequestFactory().post("/", [{"name": "a"}, {"name": "b"}], format="json")
    request.user = User(username="ada")
    assert Several.as_view({"post": "create"})(request).status_code == 201
    assert [record.payload["model"]["name"] for record in broadcasts.sent] == ["a", "b"]


def test_a_view_may_have_its_own_say(broadcasts: FakeBroadcasts) -> None:
    pk = ask(Own, "post", name="a").data["id"]
    ask(Own, "put", pk, name="b")
    ask(Own, "delete", pk)
    told = [(r.name, str(r.channels[0]), r.queue, r.except_socket) for r in broadcasts.sent]
    assert told == [
        ("tag.created", "tags.created", "tags", None),
        ("tag.deleted", "tags.deleted", "tags", None),
    ]
    assert broadcasts.sent[-1].payload == {"id": pk}


def test_a_view_may_add_to_a_row_before_it_is_saved_and_told(broadcasts: FakeBroadcasts) -> None:
    class Named(TagViewSet):
        def perform_create(self, serializer: Any) -> None:
            serializer.validated_data["name"] = "named"
            super().perform_create(serializer)

    made = ask(Named, "post", name="a").data
    assert (made["name"], Tag.objects.get(pk=made["id"]).name) == ("named", "named")
    assert [record.payload for record in broadcasts.sent] == [{"model": made}]


def test_what_is_refused_or_rolled_back_is_never_told(broadcasts: FakeBroadcasts) -> None:
    assert ask(TagViewSet, "post").status_code == 400
    with transaction.atomic():
        pk = ask(TagViewSet, "post", name="a").data["id"]
        ask(TagViewSet, "delete", pk)
        assert broadcasts.sent == []
        transaction.set_rollback(True)
    broadcasts.assert_nothing_broadcast()


def test_rows_that_tell_of_themselves_are_refused_before_they_are_written(
    broadcasts: FakeBroadcasts,
) -> None:
    with pytest.raises(ImproperlyConfigured, match="leave BroadcastModelMixin out"):
        ask(PostViewSet, "post", title="a")
    assert not Post.objects.exists()
    post = Post.objects.create(title="a")
    for verb in ("put", "delete"):
        with pytest.raises(ImproperlyConfigured, match="PostViewSet broadcasts rows of Post"):
            ask(PostViewSet, verb, post.pk, title="b")
    assert Post.objects.get().title == "a"


def test_a_view_in_which_it_would_do_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="Late: BroadcastModelMixin must stand before"):

        class Late(viewsets.ModelViewSet[Tag], BroadcastModelMixin):  # type: ignore[misc, metaclass]
            queryset = Tag.objects.all()


def test_without_the_framework_the_cure_is_named() -> None:
    code = (
        "import sys; sys.modules['rest_framework'] = None\n"
        "import broadcasting.contrib.drf"  # never imported by anything else
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImproperlyConfigured" in ran.stderr
    assert "pip install djangorestframework" in ran.stderr
