from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasting.backplanes.envelope import Envelope, UnreadableEnvelope, decode, encode
from broadcasting.protocol import messages

FIELDS: dict[str, Any] = {"app_id": "app", "channel": "c", "frame": "{}"}


def test_an_envelope_arrives_as_it_was_sent() -> None:
    sent = Envelope(app_id="app", channel="c", frame='{"event":"é"}', except_socket="1.1")
    assert decode(encode(sent)) == sent
    assert decode(encode(sent).encode()) == sent


def test_what_travels_is_json_with_its_version() -> None:
    assert json.loads(encode(Envelope(**FIELDS, id="1"))) == {
        "app_id": "app",
        "channel": "c",
        "frame": "{}",
        "except_socket": None,
        "id": "1",
        "kind": "event",
        "position": None,
        "sites": [],
        "v": 1,
    }


def test_every_envelope_has_an_id_of_its_own() -> None:
    assert len({Envelope(**FIELDS).id for _ in range(100)}) == 100


def test_what_a_later_version_adds_is_ignored() -> None:
    assert decode(json.dumps({**FIELDS, "v": 1, "traces": [{"a": 1}]})).channel == "c"


@pytest.mark.parametrize("version", [0, 2, 10**30])
def test_an_envelope_of_another_version_is_not_read(version: int) -> None:
    with pytest.raises(UnreadableEnvelope, match=f"version {version}"):
        decode(json.dumps({**FIELDS, "v": version}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "null",
        "[]",
        "{}",
        b"\xff",
        b"\x80\x04\x95",
        '{"app_id":"\ud800"}',
        '{"x":' + "[" * 100_000,
        json.dumps({**FIELDS, "x": None})[:-1] + ',"y":' + "[" * 100_000 + "]" * 100_000 + "}",
        json.dumps({**FIELDS, "frame": None}),
        json.dumps({**FIELDS, "channel": 1}),
        json.dumps({**FIELDS, "except_socket": 1.1}),
        json.dumps({**FIELDS, "kind": "other"}),
        json.dumps({**FIELDS, "v": "1"}),
        json.dumps({"app_id": "app", "channel": "c"}),
    ],
    ids=lambda text: repr(text)[:24],
)
def test_anything_else_is_unreadable_and_nothing_worse(text: str | bytes) -> None:
    with pytest.raises(UnreadableEnvelope):
        decode(text)


@given(st.text(st.characters(exclude_categories=())) | st.binary())
def test_no_text_does_worse_than_being_unreadable(text: str | bytes) -> None:
    with pytest.raises(UnreadableEnvelope):
        decode(text)


@given(st.text(st.characters(exclude_categories=())), st.text(), st.none() | st.text())
def test_any_frame_of_ours_can_travel(data: str, channel: str, except_socket: str | None) -> None:
    frame = messages.event("e", channel, data)
    sent = Envelope(app_id="app", channel=channel, frame=frame, except_socket=except_socket)
    assert decode(encode(sent)) == sent
