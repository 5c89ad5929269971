"""``event_list`` shows the events and who listens to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcasting import listen
from broadcasting.listeners import listeners
from tests.commands.conftest import Run
from tests.testapp.events import OrderCancelled, Ticked

EVENTS = "tests.testapp.events"


def index(event: Ticked) -> None: ...


def mail(event: Ticked) -> None: ...


class Audited:
    pass


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    with listeners.isolated():
        yield


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell]


def test_lines_for_a_pipe(run: Run) -> None:
    """App 23"""
    listen(index)
    listen(queue="mail")(mail)
    header, cancelled, shipped, ticked, _, total = run(
        "event_list", event=f"{EVENTS}."
    ).splitlines()
    assert header.split() == ["EVENT", "NAME", "QUEUE", "LISTENERS", "WHERE"]
    assert cells(cancelled)[:3] == [f"{EVENTS}.OrderCancelled", "order.cancelled", "realtime"]
    assert cells(shipped)[:3] == [f"{EVENTS}.OrderShipped", "OrderShipped", "broadcasts"]
    assert cells(shipped)[3].startswith("tests/testapp/events.py:")
    assert cells(ticked)[3] == f"{__name__}.index, {__name__}.mail (queue mail)"
    assert total == "3 events"


def test_json_for_programs(run: Run) -> None:
    """App 23"""
    listen(OrderCancelled, queued=True)(mail)
    (cancelled,) = json.loads(run("event_list", event="OrderCancelled", json=True))
    (listener,) = cancelled.pop("listeners")
    assert cancelled == {
        "event": f"{EVENTS}.OrderCancelled",
        "name": "order.cancelled",
        "queue": "realtime",
        "broadcasters": [],
        "file": "tests/testapp/events.py",
        "line": 20,
    }
    assert listener["listener"] == f"{__name__}.mail"
    assert listener["queue"] == "broadcasts"
    assert listener["after_commit"] is True
    assert listener["file"] == "tests/commands/test_event_list.py"


def test_what_is_listened_to_is_listed_whatever_it_is(run: Run) -> None:
    listen(Audited, subclasses=True)(index)
    (entry,) = json.loads(run("event_list", event="Audited", json=True))
    assert (entry["name"], entry["queue"]) == (None, None)
    assert entry["listeners"][0]["listener"] == f"{__name__}.index"


def test_events_of_rows_say_their_name_themselves(run: Run) -> None:
    (entry,) = json.loads(run("event_list", event="models.Post.", json=True))
    assert (entry["event"], entry["name"]) == ("tests.blog.models.Post.BroadcastEvent", None)
    lines = Path("tests/blog/models.py").read_text().splitlines()
    assert entry["file"] == "tests/blog/models.py"
    assert lines[entry["line"] - 1].startswith("class Post(")


def test_paragraphs_for_a_person(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    text = run("event_list", event="OrderCancelled", terminal=True, no_color=True)
    title, name, queue, where, _, total = text.splitlines()
    assert "OrderCancelled" in title
    assert (name.split(), queue.split()) == (["name", "order.cancelled"], ["queue", "realtime"])
    assert where.split() == ["where", "tests/testapp/events.py:20"]
    assert total == "1 event"


def test_no_event_is_said_so(run: Run) -> None:
    assert run("event_list", event="Nothing") == "No event whose path contains 'Nothing'.\n"
