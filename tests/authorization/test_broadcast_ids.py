"""What a user is known by, wherever it is named."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from broadcasting import UserChannel, channel, user_resolver
from broadcasting.channels import broadcast_id, user_id_of
from broadcasting.testing import channel_auth, user_auth

pytestmark = pytest.mark.usefixtures("rules", "finding", "resolving")

TEXT = "0b7a1c1e-93f1-4b1f-9a3e-0d8f5c1f6b2a"


class Hidden:
    """A user whose primary key is nobody's business."""

    pk = 7
    is_authenticated = True

    def get_broadcast_id(self) -> Any:
        return UUID(TEXT)


HIDDEN, PLAIN = Hidden(), User(pk=7)


@pytest.mark.parametrize(("user", "known"), [(HIDDEN, TEXT), (PLAIN, "7")])
def test_answers_for_private_channels_say_it(user: Any, known: str) -> None:
    channel("a")(lambda user: True)
    answer = channel_auth(user, "private-a").answer
    assert answer is not None
    assert json.loads(answer["channel_data"])["user_id"] == known


@pytest.mark.parametrize(("user", "known"), [(HIDDEN, TEXT), (PLAIN, "7")])
def test_members_are_known_by_it(user: Any, known: str) -> None:
    channel("a")(lambda user: {"name": "x"})
    answer = channel_auth(user, "presence-a").answer
    assert answer is not None
    assert json.loads(answer["channel_data"]) == {"user_id": known, "user_info": {"name": "x"}}


@pytest.mark.parametrize(("user", "shown"), [(HIDDEN, TEXT), (PLAIN, 7)])
def test_a_bare_true_shows_nothing_else(user: Any, shown: Any) -> None:
    channel("a")(lambda user: True)
    assert channel_auth(user, "presence-a").user_info == {"id": shown}


def test_what_a_rule_says_goes_before_it() -> None:
    channel("a")(lambda user: {"id": 9})
    answer = channel_auth(HIDDEN, "presence-a").answer
    assert answer is not None
    assert json.loads(answer["channel_data"])["user_id"] == "9"


def test_sign_ins_and_watchlists_say_it() -> None:
    assert user_auth(HIDDEN).user_data == {"id": TEXT}

    @user_resolver
    def who(user: Any) -> dict[str, Any]:
        return {"watchlist": [HIDDEN, PLAIN, User(), 8, None]}

    assert user_auth(HIDDEN).user_data == {"id": TEXT, "watchlist": [TEXT, "7", "8"]}


def test_users_are_reached_by_it() -> None:
    assert UserChannel(HIDDEN).base == TEXT  # type: ignore[arg-type]
    assert (user_id_of(HIDDEN), user_id_of(PLAIN)) == (TEXT, "7")


def test_a_device_of_a_guard_may_have_one() -> None:
    class Device:
        def get_broadcast_id(self) -> str:
            return "device-3"

    assert user_id_of(Device()) == "device-3"
    channel("a")(lambda user: {"name": "x"})
    assert broadcast_id(object()) is None


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"]])
def test_what_is_no_id_is_an_error(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    monkeypatch.setattr(Hidden, "get_broadcast_id", lambda self: value)
    channel("a")(lambda user: True)
    with pytest.raises(TypeError, match=r"get_broadcast_id\(\) of Hidden returned a"):
        channel_auth(HIDDEN, "private-a")
    with pytest.raises(TypeError):
        UserChannel(HIDDEN)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "x" * 129, "a\nb", "\ud800"])
def test_an_id_that_no_server_takes_is_refused(monkeypatch: Any, value: str) -> None:
    monkeypatch.setattr(Hidden, "get_broadcast_id", lambda self: value)
    channel("a")(lambda user: {"name": "x"})
    for name in ("private-a", "presence-a"):
        assert channel_auth(HIDDEN, name).status == 403
    assert user_auth(HIDDEN).status == 403
