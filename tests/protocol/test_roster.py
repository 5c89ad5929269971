"""What a newcomer of a presence channel is told: the same as if all of it was encoded at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broadcasting.protocol.messages import encode, write_json
from broadcasting.protocol.roster import Roster
from tests.protocol.test_properties import any_json, any_text

CHANNEL = "presence-c"
SURROGATE = "\ud800 and \x7f"

user_ids = any_text | st.sampled_from(["0", "1", "2"])
changes = st.lists(st.tuples(user_ids, st.none() | any_json.map(lambda info: [info])))
"""Who comes, or has other info from now on; or who goes: None."""


def encoded(members: dict[str, Any]) -> str:
    """Return the answer by the rules of JSON alone."""
    presence = {"count": len(members), "ids": [*members], "hash": members}
    return encode(
        {
            "event": "pusher_internal:subscription_succeeded",
            "data": encode({"presence": presence}),
            "channel": CHANNEL,
        }
    )


def told(roster: Roster) -> Any:
    return json.loads(json.loads(roster.answer)["data"])["presence"]


def test_everybody_is_listed() -> None:
    """81, 92: ids that count from 0 must not make it a list."""
    assert Roster(CHANNEL, {"0": {"name": "A"}, "1": None}).answer == (
        '{"event":"pusher_internal:subscription_succeeded",'
        '"data":"{\\"presence\\":{\\"count\\":2,\\"ids\\":[\\"0\\",\\"1\\"],'
        '\\"hash\\":{\\"0\\":{\\"name\\":\\"A\\"},\\"1\\":null}}}",'
        '"channel":"presence-c"}'
    )


def test_nobody_is_an_empty_object_too() -> None:
    """91."""
    assert told(Roster(CHANNEL)) == {"count": 0, "ids": [], "hash": {}}


@given(changes)
@example([("1", [SURROGATE]), ("2", ["é\x7f"])])
@example([("\ud83d", [{"\ude00": '"\\'}]), ("😀", [{"b": 1, "a": -0.0}])])
@example([("1", [SURROGATE]), ("2", ["é"]), ("1", None)])
@example([("1", [1]), ("1", [True]), ("1", [1.0])])
def test_it_reads_as_if_everything_was_encoded_anew(
    changes: list[tuple[str, list[Any] | None]],
) -> None:
    roster = Roster(CHANNEL)
    members: dict[str, Any] = {}
    for user_id, info in changes:
        if info is not None:
            members[user_id] = info[0]
            roster.put(user_id, info[0])
        elif user_id in members:
            del members[user_id]
            roster.drop(user_id)
        assert roster.answer == encoded(members)
    assert Roster(CHANNEL, members).answer == roster.answer
    roster.answer.encode()


def test_the_answer_is_the_same_object_until_something_changes() -> None:
    roster = Roster(CHANNEL, {"1": {"name": "Ada"}})
    answer = roster.answer
    roster.put("1", {"name": "Ada"})
    assert roster.answer is answer
    roster.put("1", {"name": "Eve"})
    assert told(roster)["hash"] == {"1": {"name": "Eve"}}
    roster.put("2", None)
    roster.drop("1")
    assert told(roster) == {"count": 1, "ids": ["2"], "hash": {"2": None}}


def test_a_change_encodes_whom_it_concerns_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    roster = Roster(CHANNEL, {str(number): {"number": number} for number in range(300)})
    written: list[Any] = []

    def counting(info: Any) -> str:
        written.append(info)
        return write_json(info)

    monkeypatch.setattr("broadcasting.protocol.roster.write_json", counting)
    roster.put("new", {"number": "new"})
    assert told(roster)["count"] == 301
    roster.drop("0")
    assert told(roster)["count"] == 300
    assert written == [{"number": "new"}]
