"""Nothing that is printed, raised, checked or logged shows a secret; one list of them for all."""

from __future__ import annotations

import ast
import logging
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

import broadcasting
from broadcasting import conf
from broadcasting.api.requests import Request
from broadcasting.applications import get_applications
from broadcasting.applications.settings import derived, mistakes, parse
from broadcasting.backplanes.redis import RedisBackplane
from broadcasting.broadcasters.ably import AblyBroadcaster
from broadcasting.broadcasters.pusher import PusherBroadcaster
from broadcasting.broadcasters.redis import RedisBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import PublishError
from broadcasting.protocol.protocol import Protocol
from broadcasting.redis_clients import RedisClients

MASTER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
SECRETS = ("hush-secret", "hush-before", MASTER_KEY, "hush-hook", "hush-header", "hush-password")
URL = "redis://:hush-password@127.0.0.1:1/0"
ENTRY: dict[str, Any] = {
    "id": "app",
    "key": "app-key",
    "secret": "hush-secret",
    "previous_secret": "hush-before",
    "encryption_master_key": MASTER_KEY,
    "webhooks": [
        {"url": "https://hook.test/hush-hook", "headers": {"Authorization": "hush-header"}}
    ],
}
PUSHER = {"app_id": "1", "key": "k", "secret": "hush-secret", "host": "127.0.0.1", "port": 1}
SETTINGS: dict[str, Any] = {
    "APPLICATIONS": [ENTRY],
    "BROADCASTERS": {
        "default": {"BACKEND": "pusher", "OPTIONS": PUSHER},
        "ably": {"BACKEND": "ably", "OPTIONS": {"key": "app.key:hush-secret"}},
        "redis": {"BACKEND": "redis", "OPTIONS": {"url": URL}},
    },
    "BACKPLANE": {"BACKEND": "redis", "OPTIONS": {"url": URL}},
}


def shows_none(*texts: object) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in f"{text!s} {text!r}"


def everything_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def settings() -> conf.Settings:
    with override_settings(BROADCASTING=SETTINGS):
        return conf.get_settings()


def protocol() -> Protocol:
    return Protocol(parse(ENTRY), "1.2", now=0.0)


MAKE: dict[str, Callable[[], Any]] = {
    "settings": settings,
    "server settings": lambda: settings().server,
    "entry of a broadcaster": lambda: settings().broadcasters["default"],
    "entry of the backplane": lambda: settings().backplane,
    "application": lambda: parse(ENTRY),
    "webhook": lambda: parse(ENTRY).webhooks[0],
    "connection's state": protocol,
    "request of the HTTP API": lambda: Request(
        application=parse(ENTRY), name="", parameters={}, body=b""
    ),
    "pusher": lambda: PusherBroadcaster(PUSHER),
    "ably": lambda: AblyBroadcaster({"key": "app.key:hush-secret"}),
    "redis broadcaster": lambda: RedisBroadcaster({"url": URL}),
    "redis backplane": lambda: RedisBackplane({"url": URL}),
    "redis clients": lambda: RedisClients(URL),
    "where redis is": lambda: RedisClients(URL).place,
    "client of redis": lambda: RedisClients(URL).client,
}


@pytest.mark.parametrize("name", MAKE)
def test_what_is_printed_shows_no_secret(name: str) -> None:
    with override_settings(BROADCASTING=SETTINGS):
        made = MAKE[name]()
        shows_none(made, [made], {"made": made})


def test_the_secret_that_is_derived_is_not_shown_either() -> None:
    application = derived()
    assert application.secret not in repr(application)


def test_no_check_shows_a_secret() -> None:
    """Whatever is wrong around it."""
    for changes in (
        {},
        {"SERVER": {"TRUSTED_PROXIES": ["nowhere"], "PATH": 7}},
        {"APPLICATIONS": [{**ENTRY, "secert": "hush-secret", "capacity": "hush-secret"}]},
        {"APPLICATIONS": {"app": ENTRY}},
        {"APPLICATIONS": [ENTRY, ENTRY]},
        {"APPLICATIONS": [{**ENTRY, "webhooks": [{"url": "hush-hook", "headers": "hush-header"}]}]},
        {"BROADCASTERS": {"default": "hush-secret"}, "BACKPLANE": URL},
        {"BROADCASTERS": {"default": {"BACKEND": "pusher", "OPTIONS": {**PUSHER, "port": URL}}}},
        {"BROADCASTERS": {"default": {"BACKEND": "ably", "OPTIONS": {"key": "hush-secret"}}}},
        {"BACKPLANE": {"BACKEND": "redis", "OPTIONS": {"url": URL.replace("redis", "http")}}},
    ):
        with override_settings(BROADCASTING={**SETTINGS, **changes}):
            found = run_checks(tags=["broadcasting"], include_deployment_checks=True)
            shows_none(*(f"{message.msg} {message.hint} {message.obj}" for message in found))


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": ["hush-secret"]},
        {"previous_secret": {"hush-before": 1}},
        {"encryption_master_key": MASTER_KEY[:-4]},
        {"webhooks": [{"url": 7, "headers": {"Authorization": ["hush-header"]}}]},
        {"webhooks": "https://hook.test/hush-hook"},
    ],
)
def test_no_mistake_shows_one(changes: Mapping[str, Any]) -> None:
    entry = {**ENTRY, **changes}
    shows_none(*mistakes(entry))
    with pytest.raises(ImproperlyConfigured) as failed:
        parse(entry)
    shows_none(str(failed.value), repr(failed.value))
    with (
        override_settings(BROADCASTING={"APPLICATIONS": [entry]}),
        pytest.raises(ImproperlyConfigured) as failed,
    ):
        get_applications()
    shows_none(str(failed.value))


@pytest.mark.parametrize("name", ["pusher", "redis broadcaster"])
def test_what_cannot_be_reached_is_named_without_its_password(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with override_settings(BROADCASTING=SETTINGS):
        broadcaster = MAKE[name]()
        with pytest.raises(PublishError) as failed:
            broadcaster.broadcast(
                Broadcast(broadcaster="default", name="n", channels=("c",), data="{}")
            )
    shows_none(everything_of(failed.value), caplog.text)


COMPARED = ("secret", "signature", "auth_signature", "token", "digest")


def test_whatever_proves_something_is_compared_in_constant_time() -> None:
    """``==`` with such a name on either side tells by its time how much of a guess was right."""
    found = []
    for path in Path(broadcasting.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare):
                continue
            if not all(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
                continue
            sides = (node.left, *node.comparators)
            if any(isinstance(side, ast.Constant) for side in sides):
                continue
            if any(_last_name(side) in COMPARED for side in sides):
                found.append(f"{path.name}:{node.lineno}")
    # A lock's token is nobody's secret: it says whose turn it is.
    assert [one for one in found if not one.startswith("locks.py")] == []


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""
