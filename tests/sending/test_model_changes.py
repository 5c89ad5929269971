"""What a save changed, as rows that remember what was loaded know it."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

import broadcasting
from broadcasting.broadcasts import Broadcast
from broadcasting.signals import broadcast_skipped
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Counter, Note
from tests.sending.test_workers import hearing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def note(broadcasts: FakeBroadcasts) -> Note:
    with broadcasting.muted():
        return Note.objects.create(text="One")


def told(broadcasts: FakeBroadcasts) -> list[Any]:
    """Return what changed, for each update that left, and forget it."""
    found = [record.payload["changes"] for record in broadcasts.sent]
    broadcasts.clear()
    return found


def test_what_was_not_saved_yet_is_still_a_change(note: Note, broadcasts: FakeBroadcasts) -> None:
    note.text, note.hidden = "Two", 1
    note.save(update_fields=["hidden"])
    note.save()
    assert told(broadcasts) == [{}, {"text": ["One", "Two"]}]


def test_reading_one_field_anew_leaves_the_others_changed(
    note: Note, broadcasts: FakeBroadcasts
) -> None:
    note.text = "Two"
    note.refresh_from_db(fields=["hidden"])
    note.save()
    assert told(broadcasts) == [{"text": ["One", "Two"]}]


def test_a_deferred_field_that_is_read_leaves_the_others_changed(
    note: Note, broadcasts: FakeBroadcasts
) -> None:
    found = Note.objects.only("text").get()
    found.text = "Two"
    assert found.hidden == 0
    found.save()
    assert told(broadcasts) == [{"text": ["One", "Two"]}]


def test_a_deferred_field_that_is_set_has_changed(note: Note, broadcasts: FakeBroadcasts) -> None:
    found = Note.objects.only("hidden").get()
    found.text = "Two"
    found.save()
    # Nobody knows what it was.
    assert told(broadcasts) == [{}]
    found.text = "Three"
    found.save()
    assert told(broadcasts) == [{"text": ["Two", "Three"]}]


def test_what_the_database_counts_is_told_as_it_came_out(broadcasts: FakeBroadcasts) -> None:
    with broadcasting.muted():
        counter = Counter.objects.create()
    for count in (1, 2):
        counter.count = F("count") + 1
        counter.save()
        (record,) = broadcasts.sent
        assert record.payload["model"] == {"id": counter.pk, "count": count}
        broadcasts.clear()


def test_so_it_is_by_hand_and_when_the_row_goes(broadcasts: FakeBroadcasts) -> None:
    with transaction.atomic():
        counter = Counter.objects.create()
        counter.count = F("count") + 1
        counter.save()
    counter.broadcast_event("seen")
    counter.delete()
    assert [record.payload["model"]["count"] for record in broadcasts.sent] == [1, 1, 1, 1]


def test_what_nobody_read_before_the_row_went_is_skipped(outbox: list[Broadcast]) -> None:
    """Newer Django reads it as it saves."""
    with broadcasting.muted():
        counter = Counter.objects.create()
    with hearing(broadcast_skipped) as skipped, transaction.atomic():
        counter.count = F("count") + 1
        counter.save()
        counter.delete()
    assert outbox[-1].name == "CounterDeleted"
    assert len(outbox) + len(skipped) == 2


def test_a_moment_that_every_save_sets_is_no_change(note: Note, broadcasts: FakeBroadcasts) -> None:
    before = note.touched
    note.save()
    assert note.touched > before
    broadcasts.assert_nothing_broadcast()


@pytest.mark.parametrize("block", ["transaction", "savepoint"])
def test_what_was_rolled_back_was_never_written(
    note: Note, broadcasts: FakeBroadcasts, block: str
) -> None:
    with transaction.atomic() if block == "savepoint" else nullcontext():
        note.text = "Two"
        with suppress(KeyError), transaction.atomic():
            note.save()
            raise KeyError
        note.save()
        note.save()
    # Written, though nobody knows over what.
    assert [record.payload["model"]["text"] for record in broadcasts.sent] == ["Two"]


def test_what_is_not_yet_committed_is_known(note: Note, broadcasts: FakeBroadcasts) -> None:
    with transaction.atomic():
        note.text = "Two"
        note.save()
        copy.deepcopy(note).save()
        note.save()
    pickle.loads(pickle.dumps(note)).save()  # noqa: S301
    assert told(broadcasts) == [{"text": ["One", "Two"]}]


def test_files_are_remembered_by_their_names(note: Note, broadcasts: FakeBroadcasts) -> None:
    note.attachment = "a.txt"
    note.save()
    size = len(pickle.dumps(note))
    for _ in range(5):
        note.save()
    assert len(pickle.dumps(note)) == size
    assert told(broadcasts) == [{}]
    note.attachment.name = "b.txt"
    note.save()
    assert told(broadcasts) == [{}]
