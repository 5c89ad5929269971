"""Handlers of client events: found by patterns, called in order, kept apart."""

from __future__ import annotations

import asyncio
import runpy
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from broadcasting import client_events, on_client_event
from broadcasting.client_events import ClientEventMessage, Handlers
from broadcasting.occurrences import Occurrence
from broadcasting.protocol.application import Application

APPLICATION = Application(id="app", key="app-key", secret="app-secret")


@pytest.fixture
def handlers() -> Iterator[Handlers]:
    with client_events.handlers.isolated() as handlers:
        yield handlers


def whisper(channel: str, event: str, data: str = "{}", user_id: str | None = None) -> None:
    client_events.observer.tell(
        Occurrence(
            name="client_event",
            application=APPLICATION,
            time_ms=1,
            channel=channel,
            event=event,
            data=data,
            socket_id="1.2",
            user_id=user_id,
        )
    )
    assert client_events.serial.flush(5)


def test_without_a_handler_nothing_is_wanted(handlers: Handlers) -> None:
    assert not client_events.observer.wants(APPLICATION, "client_event")
    on_client_event("private-*")(print)
    assert client_events.observer.wants(APPLICATION, "client_event")
    assert not client_events.observer.wants(APPLICATION, "channel_occupied")


def test_both_patterns_decide(handlers: Handlers) -> None:
    got: list[tuple[str, str, str]] = []

    @on_client_event("private-chat.*", "client-typing")
    def typing(message: ClientEventMessage) -> None:
        got.append(("typing", message.channel, message.event))

    @on_client_event("p*-chat.1")
    async def everything(message: ClientEventMessage) -> None:
        got.append(("everything", message.channel, message.event))

    whisper("private-chat.1", "client-typing")
    whisper("private-chat.2", "client-typing")
    whisper("presence-chat.1", "client-other")
    whisper("private-chats", "client-typing")
    whisper("private-chat.2", "client-typing-more")
    assert got == [
        ("typing", "private-chat.1", "client-typing"),
        ("everything", "private-chat.1", "client-typing"),
        ("typing", "private-chat.2", "client-typing"),
        ("everything", "presence-chat.1", "client-other"),
    ]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"a":[1,"é"]}', {"a": [1, "é"]}),
        ("plain", "plain"),
        ("7", 7),
        ("null", None),
        ("", ""),
    ],
)
def test_a_message_has_its_data_as_a_browser_would(
    handlers: Handlers, text: str, data: Any
) -> None:
    got: list[ClientEventMessage] = []
    on_client_event("*")(got.append)
    whisper("presence-chat.1", "client-x", text, "7")
    (message,) = got
    assert message.data == data
    assert message == ClientEventMessage(
        app_id="app",
        channel="presence-chat.1",
        event="client-x",
        text=text,
        user_id="7",
        socket_id="1.2",
    )


def test_a_handler_that_fails_hides_no_other(
    handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[str] = []

    @on_client_event("private-*")
    def failing(message: ClientEventMessage) -> None:
        raise RuntimeError("secretive")

    @on_client_event("private-*")
    async def failing_later(message: ClientEventMessage) -> None:
        raise RuntimeError("also secretive")

    on_client_event("private-*")(lambda message: got.append(message.event))
    whisper("private-a", "client-x")
    assert got == ["client-x"]
    assert "failing failed with client-x" in caplog.text
    assert "failing_later failed with client-x" in caplog.text


def test_a_module_that_is_loaded_again_has_one_handler(handlers: Handlers) -> None:
    def handler(message: ClientEventMessage) -> None: ...

    for _ in range(2):
        on_client_event("private-*")(handler)
    assert len(list(handlers)) == 1


def test_a_module_that_is_loaded_again_replaces_its_functions(
    handlers: Handlers, tmp_path: Path
) -> None:
    module = tmp_path / "channels.py"
    module.write_text(
        "from broadcasting import on_client_event\n"
        "@on_client_event('private-*')\n"
        "def _(message): ...\n"
        "@on_client_event('private-*')\n"
        "def _(message): ...\n"
    )
    for _ in range(2):
        runpy.run_path(str(module))
    assert len(list(handlers)) == 2


def test_handlers_of_one_name_are_two(handlers: Handlers) -> None:
    got: list[str] = []

    class Listener:
        def __init__(self, name: str) -> None:
            self.name = name

        def on(self, message: ClientEventMessage) -> None:
            got.append(self.name)

    def made(name: str) -> Any:
        return lambda message: got.append(name)

    for name in "ab":
        on_client_event("private-*")(Listener(name).on)
        on_client_event("private-*")(made(name.upper()))
    whisper("private-a", "client-x")
    assert got == ["a", "A", "b", "B"]


def test_an_object_may_be_async(handlers: Handlers) -> None:
    got: list[str] = []

    class Listener:
        async def __call__(self, message: ClientEventMessage) -> None:
            got.append(message.channel)

    listener = Listener()
    on_client_event("private-*")(listener)
    on_client_event("private-b")(partial(listener))
    whisper("private-b", "client-x")
    assert got == ["private-b", "private-b"]


def test_it_is_written_with_patterns(handlers: Handlers) -> None:
    with pytest.raises(TypeError, match="on_client_event"):
        on_client_event(print)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channel", "event", "why"),
    [
        ("chat.*", "client-*", "public"),
        ("cache-chat", "client-*", "public"),
        ("private", "client-*", "public"),
        ("private-encrypted-*", "client-*", "encrypted"),
        ("private-*", "typing", "no client event"),
        ("private-*", "client", "no client event"),
    ],
)
def test_patterns_that_match_nothing_are_told(
    handlers: Handlers, channel: str, event: str, why: str
) -> None:
    """App 22: W029."""
    on_client_event(channel, event)(print)
    (found,) = [m for m in run_checks(tags=["broadcasting"]) if m.id == "broadcasting.W029"]
    assert why in found.msg
    assert "builtins.print" in found.msg


@pytest.mark.parametrize(
    ("channel", "event"),
    [
        ("private-*", "client-*"),
        ("presence-cache-a", "client-typing"),
        ("*", "*"),
        ("pr*", "cl*ing"),
        ("*.chat", "[c]lient-x"),
        ("private-enc*", "client-?"),
    ],
)
def test_patterns_that_may_match_are_not(handlers: Handlers, channel: str, event: str) -> None:
    """App 22: W029 is not."""
    on_client_event(channel, event)(print)
    assert not [m for m in run_checks(tags=["broadcasting"]) if m.id == "broadcasting.W029"]


def test_a_handler_that_exits_or_is_cancelled_hides_no_other(
    handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[str] = []

    @on_client_event("private-*")
    def leave(message: ClientEventMessage) -> None:
        sys.exit("enough")

    @on_client_event("private-*")
    async def cancelled(message: ClientEventMessage) -> None:
        raise asyncio.CancelledError

    @on_client_event("private-*")
    def good(message: ClientEventMessage) -> None:
        got.append(message.channel)

    whisper("private-a", "client-x")
    whisper("private-b", "client-x")
    assert got == ["private-a", "private-b"]
    assert caplog.text.count("failed with client-x") == 4
