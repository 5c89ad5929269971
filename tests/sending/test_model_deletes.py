"""Deletes of rows that broadcast: which of them speak, and what becomes of mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

import broadcasting
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Essay, Post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def essay(broadcasts: FakeBroadcasts) -> Essay:
    with broadcasting.muted():
        return Essay.objects.create(title="One")


def names(broadcasts: FakeBroadcasts) -> list[str]:
    return [record.name for record in broadcasts.sent]


def test_a_row_that_goes_with_its_parent_speaks_alone(
    essay: Essay, broadcasts: FakeBroadcasts
) -> None:
    Post.objects.get().delete()
    assert names(broadcasts) == ["EssayDeleted"]


def test_so_it_does_when_many_go(essay: Essay, broadcasts: FakeBroadcasts) -> None:
    with broadcasting.muted():
        Post.objects.create(title="Two")
    Post.objects.all().delete()
    assert sorted(names(broadcasts)) == ["EssayDeleted", "PostDeleted"]


def test_a_parent_that_stays_speaks_when_it_goes(essay: Essay, broadcasts: FakeBroadcasts) -> None:
    parent = essay.post_ptr  # type: ignore[attr-defined]
    essay.delete(keep_parents=True)
    parent.delete()
    assert names(broadcasts) == ["EssayDeleted", "PostDeleted"]


def test_a_mistake_in_a_delete_that_is_rescued_is_logged(
    configure: Any, broadcasts: FakeBroadcasts, monkeypatch: Any, caplog: Any
) -> None:
    def fails(self: Any, event: str) -> Any:
        raise RuntimeError("no such thing")

    with broadcasting.muted():
        post = Post.objects.create(title="One")
    monkeypatch.setattr(Post, "broadcast_with", fails)
    configure(RESCUE=True)
    with transaction.atomic():
        post.delete()
    assert not Post.objects.exists()
    assert "no such thing" in caplog.text
    broadcasts.assert_nothing_broadcast()
