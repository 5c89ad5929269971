"""``channel_list`` shows who decides about what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from broadcasting import ChannelRoute, channel
from broadcasting.authorization import routes
from tests.commands.conftest import Run
from tests.sending.conftest import Configure


def token(request: object) -> User | None:
    return None


@pytest.fixture(autouse=True)
def rules(configure: Configure) -> Iterator[None]:
    configure(AUTHORIZATION={"USER_CHANNEL": False})
    with routes.isolated():
        yield


def some_rules() -> None:
    @channel("orders.{order}", kinds=["private", "presence"])
    def order_channel(user: User, order: int) -> bool:
        return True

    @channel("lobby", guards=[token], allow_anonymous=True)
    class Lobby(ChannelRoute):
        def join(self, user: User) -> bool:
            return True


def line_of(pattern: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if f'@channel("{pattern}' in line)


def test_lines_for_a_pipe(run: Run) -> None:
    """App 23"""
    some_rules()
    header, orders, lobby, blank, total = run("channel_list").splitlines()
    assert header.split() == ["PATTERN", "KINDS", "GUARDS", "HANDLER", "WHERE"]
    name = f"{__name__}.some_rules.<locals>"
    here = "tests/commands/test_channel_list.py"
    assert [cell.strip() for cell in orders.split("  ") if cell] == [
        "orders.{order}",
        "private, presence",
        "session",
        f"{name}.order_channel",
        f"{here}:{line_of('orders.')}",
    ]
    assert [cell.strip() for cell in lobby.split("  ") if cell] == [
        "lobby",
        "private, presence, encrypted",
        f"{__name__}.token, guests",
        f"{name}.Lobby",
        f"{here}:{line_of('lobby')}",
    ]
    assert (blank, total) == ("", "2 rules")


def test_json_for_programs(run: Run) -> None:
    """App 23"""
    some_rules()
    _, lobby = json.loads(run("channel_list", json=True))
    assert lobby == {
        "pattern": "lobby",
        "kinds": ["private", "presence", "encrypted"],
        "guards": [f"{__name__}.token"],
        "allow_anonymous": True,
        "handler": f"{__name__}.some_rules.<locals>.Lobby",
        "file": "tests/commands/test_channel_list.py",
        "line": line_of("lobby"),
    }


def test_columns_for_a_person(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    some_rules()
    monkeypatch.setenv("COLUMNS", "250")
    text = run("channel_list", terminal=True, no_color=True)
    assert "Pattern" in text
    assert "orders.{order}" in text


def test_paragraphs_where_columns_do_not_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    some_rules()
    monkeypatch.setenv("COLUMNS", "60")
    lines = run("channel_list", terminal=True, no_color=True).splitlines()
    assert "orders.{order}" in lines[0]
    assert "kinds     " in lines[1]
    assert "private, presence" in lines[1]


def test_the_rule_that_nobody_wrote_is_listed_too(run: Run, configure: Configure) -> None:
    configure(AUTHORIZATION={})
    assert "auth.User.{pk}" in run("channel_list")


def test_without_rules_it_says_what_that_means(run: Run) -> None:
    assert "nobody may join" in run("channel_list")
    assert json.loads(run("channel_list", json=True)) == []
