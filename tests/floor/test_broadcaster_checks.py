"""What is wrong with a broadcaster is told by the name of the option, and never shown."""

from __future__ import annotations

import sys
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from broadcasting import Channel, EncryptedPrivateChannel, ShouldBroadcast
from broadcasting.authorization.rules import Route, routes
from broadcasting.checks.encryption import keyless
from broadcasting.checks.locks import unshared
from broadcasting.protocol.names import ChannelKind
from tests.floor.test_checks import APPLICATION, STRONG, ids, only, run

PUSHER = {"app_id": "1", "key": "k", "secret": STRONG, "host": "ws.example.com"}
ABLY = {"key": f"app.key:{STRONG}"}
REDIS = {"url": "redis://localhost/0"}
KEY = b64encode(sha256(b"as good as random").digest()).decode()
WRONG = "hunter2-in-the-wrong-place"


def using(backend: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"BROADCASTERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("pusher", PUSHER),
        ("pusher", PUSHER | {"app_id": 7, "port": "6001", "use_tls": False, "path": "/ws"}),
        ("pusher", PUSHER | {"host": None, "cluster": "eu", "timeout": 0.5}),
        ("pusher", PUSHER | {"encryption_master_key": KEY, "ours": True}),
        ("pusher", PUSHER | {"host": "[::1]"}),
        ("pusher", PUSHER | {"host": " bücher.example "}),
        ("ably", ABLY),
        ("ably", ABLY | {"disable_public_channels": True, "token_expiry": 60, "port": 443}),
        ("redis", REDIS | {"prefix": "app_"}),
        ("redis", {"url": "unix:///run/redis.sock"}),
    ],
)
def test_options_that_can_be_are_told_nothing(backend: str, options: dict[str, Any]) -> None:
    """App 22: the other way."""
    assert run(using(backend, options)) == []


@pytest.mark.parametrize(
    ("backend", "options", "name"),
    [
        ("pusher", {**PUSHER, "app_id": None}, "app_id"),
        ("pusher", {**PUSHER, "app_id": True}, "app_id"),
        ("pusher", {**PUSHER, "key": ""}, "key"),
        ("pusher", {**PUSHER, "secret": " "}, "secret"),
        ("pusher", {**PUSHER, "cluster": 1}, "cluster"),
        ("pusher", {**PUSHER, "host": None, "cluster": f"{WRONG}/"}, "cluster"),
        ("pusher", {**PUSHER, "host": f"https://{WRONG}"}, "host"),
        ("pusher", {**PUSHER, "host": f"{WRONG}:6001"}, "host"),
        ("pusher", {**PUSHER, "host": "::1"}, "host"),
        ("pusher", {**PUSHER, "host": "[hunter2]"}, "host"),
        ("pusher", {**PUSHER, "host": "a\tb"}, "host"),
        ("pusher", {**PUSHER, "port": 0}, "port"),
        ("pusher", {**PUSHER, "port": 65_536}, "port"),
        ("pusher", {**PUSHER, "port": WRONG}, "port"),
        ("pusher", {**PUSHER, "port": True}, "port"),
        ("pusher", {**PUSHER, "use_tls": "False"}, "use_tls"),
        ("pusher", {**PUSHER, "path": 5}, "path"),
        ("pusher", {**PUSHER, "path": f"/ws?token={WRONG}"}, "path"),
        ("pusher", {**PUSHER, "path": "/ws \n"}, "path"),
        ("pusher", {**PUSHER, "timeout": 0}, "timeout"),
        ("pusher", {**PUSHER, "timeout": WRONG}, "timeout"),
        ("pusher", {**PUSHER, "timeout": float("nan")}, "timeout"),
        ("pusher", {**PUSHER, "ours": "yes"}, "ours"),
        ("ably", {}, "key"),
        ("ably", {"key": WRONG}, "key"),
        ("ably", {**ABLY, "token_expiry": -1}, "token_expiry"),
        ("ably", {**ABLY, "disable_public_channels": 1}, "disable_public_channels"),
        ("ably", {**ABLY, "host": "a b"}, "host"),
        ("redis", {}, "url"),
        ("redis", {"url": f"http://user:{WRONG}@localhost"}, "url"),
        ("redis", {**REDIS, "prefix": 7}, "prefix"),
    ],
)
def test_e003_an_option_that_cannot_be(backend: str, options: dict[str, Any], name: str) -> None:
    """App 22: each option, by its name."""
    message = only("E003", using(backend, options))
    place = f"BROADCASTING['BROADCASTERS']['default']['OPTIONS'][{name!r}] of {backend!r} must be "
    assert message.msg.startswith(place)
    assert WRONG not in f"{message.msg}{message.hint}"


@pytest.mark.parametrize("key", ["short", b64encode(bytes(31)).decode(), f"{KEY}="])
def test_e004_a_master_key_that_is_none(key: str) -> None:
    message = only("E004", using("pusher", {**PUSHER, "encryption_master_key": key}))
    assert "'encryption_master_key'" in message.msg
    assert key not in f"{message.msg}{message.hint}"


def test_e016_a_master_key_without_pynacl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl", None)
    only("E016", using("pusher", {**PUSHER, "encryption_master_key": KEY}))
    assert run(using("pusher", PUSHER)) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret": "app-secret"}, "documentation's examples"),
        ({"secret": "x" * 15}, "fewer than 16"),
        ({"encryption_master_key": b64encode(bytes(range(32))).decode()}, "libraries' examples"),
    ],
)
def test_w026_a_secret_that_can_be_guessed(options: dict[str, str], said: str) -> None:
    message = only("W026", using("pusher", {**PUSHER, **options}))
    assert said in message.msg
    assert "['default']['OPTIONS']" in message.msg
    assert not any(value in f"{message.msg}{message.hint}" for value in options.values())


class Sealed(ShouldBroadcast):
    def broadcast_on(self) -> EncryptedPrivateChannel:
        return EncryptedPrivateChannel("orders")


class Plain(ShouldBroadcast):
    def broadcast_on(self) -> Channel:
        return Channel("orders")


def allow(user: Any) -> bool:
    return True


def rule(*kinds: ChannelKind) -> Route:
    return Route("orders", allow, kinds=frozenset(kinds))


def test_e031_what_is_for_encrypted_channels_alone() -> None:
    messages = [*keyless([rule(ChannelKind.ENCRYPTED)], [Sealed])]
    assert [message.id for message in messages] == ["broadcasting.E031"] * 2
    assert "allow" in messages[0].msg
    assert "Sealed" in messages[1].msg
    assert [*keyless([rule(ChannelKind.ENCRYPTED, ChannelKind.PRIVATE)], [Plain])] == []


@pytest.mark.parametrize(
    "given",
    [
        {"APPLICATIONS": [APPLICATION | {"encryption_master_key": KEY}]},
        using("pusher", PUSHER | {"encryption_master_key": KEY}),
    ],
)
def test_e031_not_where_there_is_a_key(given: dict[str, Any]) -> None:
    with routes.isolated():
        routes.add(rule(ChannelKind.ENCRYPTED))
        assert ids(given) == []
        assert ids() == ["E031"]


class Once(ShouldBroadcast):
    class Meta:
        unique = True

    def broadcast_on(self) -> str:
        return "orders"


class OnceElsewhere(Once):
    class Meta:
        unique = True
        unique_cache = "shared"


@pytest.mark.parametrize(
    ("backend", "said"),
    [("dummy.DummyCache", "keeps nothing"), ("locmem.LocMemCache", "one for each process")],
)
def test_w024_a_lock_that_not_everybody_sees(settings: Any, backend: str, said: str) -> None:
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}
    (message,) = unshared([Plain, Once])
    assert message.id == "broadcasting.W024"
    assert said in message.msg
    (missing,) = unshared([OnceElsewhere])
    assert "CACHES['shared'] is not there" in missing.msg


def test_w024_not_for_a_cache_that_is_shared(settings: Any) -> None:
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    shared = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "locks"}
    settings.CACHES = {"default": locmem, "shared": shared}
    assert [*unshared([Plain, OnceElsewhere])] == []
