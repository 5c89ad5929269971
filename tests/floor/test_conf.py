from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from broadcasting import conf
from broadcasting.conf import (
    AuthorizationSettings,
    BackendSettings,
    ServerSettings,
    Settings,
    WebhookSettings,
    get_settings,
    problems,
    unserved,
)
from broadcasting.families import import_backend
from broadcasting.registry.redis_options import read_options

Configure = Callable[..., Settings]


def load(value: Any) -> tuple[Settings, list[tuple[str, str, str]], list[str]]:
    """Return what a ``BROADCASTING`` dict means, what is wrong with it and what it waits for."""
    with override_settings(BROADCASTING=value):
        wrong = [(p.path, p.message, p.hint) for p in problems()]
        return get_settings(), wrong, unserved()


class TestWhatIsLeftOut:
    def test_everything_has_a_default(self) -> None:
        settings, wrong, _ = load({})
        assert wrong == []
        assert settings == Settings(broadcasters={"default": BackendSettings(backend="channels")})

    def test_a_project_without_the_dict_works(self, settings: Any) -> None:
        del settings.BROADCASTING
        assert get_settings().default_broadcaster == "default"
        assert problems() == []

    def test_what_is_set_beside_it_keeps_the_rest(self) -> None:
        settings, wrong, _ = load({"SERVER": {"PATH": "/realtime"}, "RESCUE": True})
        assert wrong == []
        assert settings.rescue
        assert settings.server == ServerSettings(path="/realtime")
        assert settings.authorization == AuthorizationSettings()


EVERYTHING: dict[str, Any] = {
    "BROADCASTERS": {
        "default": {"BACKEND": "channels"},
        "log": {"BACKEND": "log", "OPTIONS": {"level": "DEBUG"}},
    },
    "DEFAULT_BROADCASTER": "log",
    "QUEUE": {"BACKEND": "celery", "OPTIONS": {"queue": "realtime"}},
    "APPLICATIONS": [{"id": "1", "key": "k", "secret": "s"}],
    "BACKPLANE": {"BACKEND": "channel_layer", "OPTIONS": {"alias": "other"}},
    "REGISTRY": {"BACKEND": "memory"},
    "PUBLISH_TIMEOUT": 1,
    "CACHE_TTL": 60,
    "RESCUE": True,
    "SERVER": {
        "PUBLIC_URL": "https://ws.example.com",
        "PATH": "/realtime",
        "ACTIVITY_TIMEOUT": 30,
        "PONG_TIMEOUT": 10.5,
        "HANDSHAKE_TIMEOUT": 5,
        "MAX_HEAD_BYTES": 8_192,
        "MAX_FRAME_BYTES": 65_536,
        "MAX_CONNECTIONS_PER_IP": 100,
        "TRUSTED_PROXIES": ("10.0.0.0/8", "203.0.113.7/32"),
        "SUBSCRIPTION_COUNT_INTERVAL": 0.5,
        "REVOCATION_TTL": 60,
        "OUTBOX_BYTES": 4096,
        "SLOW_POLICY": "drop",
        "DRAIN_DELAY": 5,
        "DRAIN_RATE": 10,
        "DRAIN_SECONDS": 0,
        "MAX_LOOP_LAG": 0.5,
        "MAX_HANDSHAKES_PER_SECOND": 100,
        "MAX_SUBSCRIPTIONS_PER_SECOND": None,
    },
    "WEBHOOKS": {
        "BATCH_SECONDS": 0,
        "BATCH_SIZE": 10,
        "GRACE": 0,
        "TIMEOUT": 1,
        "FIRST_RETRY": 0.5,
        "RETRY_SECONDS": 60,
        "MAX_WAITING": 100,
        "QUEUE": "webhooks",
        "LOG": False,
        "LOG_DAYS": 1,
    },
    "AUTHORIZATION": {
        "CSRF": True,
        "GUARDS": ["session", "a.b"],
        "USER_CHANNEL": False,
        "REVOKE_ON": ["logout"],
    },
}


def test_every_setting_is_read() -> None:
    settings, wrong, waiting = load(EVERYTHING)
    assert wrong == []
    assert waiting == []
    assert settings == Settings(
        broadcasters={
            "default": BackendSettings(backend="channels"),
            "log": BackendSettings(backend="log", options={"level": "DEBUG"}),
        },
        default_broadcaster="log",
        queue=BackendSettings(backend="celery", options={"queue": "realtime"}),
        applications=[{"id": "1", "key": "k", "secret": "s"}],
        backplane=BackendSettings(backend="channel_layer", options={"alias": "other"}),
        publish_timeout=1,
        cache_ttl=60,
        rescue=True,
        server=ServerSettings(
            public_url="https://ws.example.com",
            path="/realtime",
            activity_timeout=30,
            pong_timeout=10.5,
            handshake_timeout=5,
            max_head_bytes=8_192,
            max_frame_bytes=65_536,
            max_connections_per_ip=100,
            trusted_proxies=("10.0.0.0/8", "203.0.113.7/32"),
            subscription_count_interval=0.5,
            revocation_ttl=60,
            outbox_bytes=4096,
            slow_policy="drop",
            drain_delay=5,
            drain_rate=10,
            drain_seconds=0,
            max_loop_lag=0.5,
            max_handshakes_per_second=100,
            max_subscriptions_per_second=None,
        ),
        webhooks=WebhookSettings(
            batch_seconds=0,
            batch_size=10,
            grace=0,
            timeout=1,
            first_retry=0.5,
            retry_seconds=60,
            max_waiting=100,
            queue="webhooks",
            log=False,
            log_days=1,
        ),
        authorization=AuthorizationSettings(
            csrf=True, guards=["session", "a.b"], user_channel=False, revoke_on=["logout"]
        ),
    )


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (Settings, EVERYTHING),
        (ServerSettings, EVERYTHING["SERVER"]),
        (WebhookSettings, EVERYTHING["WEBHOOKS"]),
        (AuthorizationSettings, EVERYTHING["AUTHORIZATION"]),
    ],
)
def test_no_setting_was_forgotten_here(cls: Any, values: dict[str, Any]) -> None:
    assert {field.name.upper() for field in fields(cls)} == set(values)


@pytest.mark.parametrize(
    ("given", "path", "hint"),
    [
        ({"BROADCASTER": {}}, "BROADCASTER", "Did you mean 'BROADCASTERS'?"),
        ({"queue": {}}, "queue", "Did you mean 'QUEUE'?"),
        ({"SERVER": {"PORT": 1, "PATHS": ""}}, "SERVER.PATHS", "Did you mean 'PATH'?"),
        ({"SERVER": {"METRIC": {}}}, "SERVER.METRIC", "Did you mean 'METRICS'?"),
        ({"STATISTIC": {}}, "STATISTIC", "Did you mean 'STATISTICS'?"),
        ({"AUTHORIZATION": {"CRSF": True}}, "AUTHORIZATION.CRSF", "Did you mean 'CSRF'?"),
        ({"AUTHORIZATION": {"X": 1}}, "AUTHORIZATION.X", "Known: CSRF, GUARDS, USER_CHANNEL"),
        ({1: 2}, "1", "Known: BROADCASTERS, DEFAULT_BROADCASTER, QUEUE, APPLICATIONS,"),
    ],
)
def test_an_unknown_setting_is_a_mistake_and_a_guess(
    given: dict[Any, Any], path: str, hint: str
) -> None:
    _, wrong, _ = load(given)
    found = {p: (message, h) for p, message, h in wrong}
    assert found[path][0] == "unknown setting"
    assert found[path][1].startswith(hint)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("BROADCASTERS", []),
        ("BROADCASTERS", {}),
        ("DEFAULT_BROADCASTER", 1),
        ("DEFAULT_BROADCASTER", None),
        ("QUEUE", "celery"),
        ("QUEUE", {}),
        ("QUEUE", {"BACKEND": 1}),
        ("QUEUE", {"BACKEND": "celery", "OPTIONS": []}),
        ("QUEUE", {"BACKEND": "celery", "OPTIONS": None}),
        ("APPLICATIONS", {"id": "1"}),
        ("APPLICATIONS", 1),
        ("BACKPLANE", None),
        ("REGISTRY", "memory"),
        ("PUBLISH_TIMEOUT", 0),
        ("PUBLISH_TIMEOUT", -1),
        ("PUBLISH_TIMEOUT", "1"),
        ("PUBLISH_TIMEOUT", True),
        ("PUBLISH_TIMEOUT", None),
        ("PUBLISH_TIMEOUT", float("nan")),
        ("PUBLISH_TIMEOUT", float("inf")),
        ("PUBLISH_TIMEOUT", Decimal(1)),
        ("RESCUE", 1),
        ("RESCUE", None),
        ("SERVER", []),
        ("SERVER.PUBLIC_URL", "ws.example.com"),
        ("SERVER.PUBLIC_URL", "wss://ws.example.com"),
        ("SERVER.PUBLIC_URL", "https://ws.example.com:0x/"),
        ("SERVER.PUBLIC_URL", "https://"),
        ("SERVER.PUBLIC_URL", 1),
        ("SERVER.PATH", "realtime"),
        ("SERVER.PATH", "/realtime/"),
        ("SERVER.PATH", "/"),
        ("SERVER.PATH", None),
        ("SERVER.ACTIVITY_TIMEOUT", 0),
        ("SERVER.ACTIVITY_TIMEOUT", float("inf")),
        ("SERVER.PONG_TIMEOUT", False),
        ("SERVER.OUTBOX_BYTES", 1.5),
        ("SERVER.OUTBOX_BYTES", 0),
        ("SERVER.MAX_HEAD_BYTES", 0),
        ("SERVER.MAX_FRAME_BYTES", "1 MB"),
        ("SERVER.MAX_CONNECTIONS_PER_IP", 0),
        ("SERVER.MAX_CONNECTIONS_PER_IP", True),
        ("SERVER.TRUSTED_PROXIES", "10.0.0.1"),
        ("SERVER.TRUSTED_PROXIES", None),
        ("SERVER.SLOW_POLICY", "wait"),
        ("SERVER.SLOW_POLICY", []),
        ("SERVER.DRAIN_SECONDS", -1),
        ("SERVER.DRAIN_SECONDS", float("inf")),
        ("SERVER.DRAIN_DELAY", "5"),
        ("SERVER.DRAIN_RATE", 0),
        ("SERVER.MAX_LOOP_LAG", 0),
        ("SERVER.MAX_HANDSHAKES_PER_SECOND", 0),
        ("SERVER.MAX_SUBSCRIPTIONS_PER_SECOND", 0.5),
        ("AUTHORIZATION", True),
        ("AUTHORIZATION.CSRF", "yes"),
        ("AUTHORIZATION.GUARDS", "session"),
        ("AUTHORIZATION.REVOKE_ON", ["logut"]),
    ],
)
def test_a_wrong_value_is_named_and_its_default_stands_in(path: str, value: Any) -> None:
    top, _, rest = path.partition(".")
    settings, wrong, _ = load({top: {rest: value} if rest else value})
    assert [p for p, _, _ in wrong] == [path]
    assert wrong[0][1].startswith("must be ")
    assert settings == load({})[0]


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_what_is_not_a_dict_is_one_mistake(value: Any) -> None:
    settings, wrong, _ = load(value)
    assert wrong == [("", "must be a dict", "BROADCASTING = {...}")]
    assert settings == load({})[0]


def test_one_malformed_broadcaster_leaves_the_others() -> None:
    settings, wrong, _ = load(
        {"BROADCASTERS": {"default": {"BACKEND": "log"}, "other": "log", "third": {}}}
    )
    assert settings.broadcasters == {"default": BackendSettings(backend="log")}
    assert [path for path, _, _ in wrong] == ["BROADCASTERS.other", "BROADCASTERS.third"]


def test_an_option_beside_options_is_named() -> None:
    _, wrong, _ = load({"BROADCASTERS": {"default": {"BACKEND": "pusher", "host": "x"}}})
    assert [path for path, _, _ in wrong] == ["BROADCASTERS.default.host"]
    _, wrong, _ = load({"QUEUE": {"BACKEND": "celery", "queue": "x"}})
    assert [path for path, _, _ in wrong] == ["QUEUE.queue"]


@pytest.mark.parametrize(
    "given",
    [
        {"APPLICATIONS": {"id": "1", "secret": "hush"}},
        {"BROADCASTERS": {"pusher": {"BACKND": "pusher", "OPTIONS": {"secret": "hush"}}}},
        {"BROADCASTERS": {"pusher": {"BACKEND": "pusher", "secret": "hush"}}},
        {"BROADCASTERS": [{"secret": "hush"}]},
        {"QUEUE": {"BACKEND": "celery", "OPTIONS": [("password", "hush")]}},
        {"AUTHORIZATION": ["hush"]},
        [{"secret": "hush"}],
    ],
)
def test_a_mistake_does_not_show_a_secret(given: Any) -> None:
    _, wrong, _ = load(given)
    assert wrong
    assert "hush" not in repr(wrong)


def test_settings_do_not_show_secrets_where_they_are_printed() -> None:
    broadcaster = {"BACKEND": "log", "OPTIONS": {"secret": "hush"}}
    settings, _, _ = load(
        {"APPLICATIONS": [{"secret": "hush"}], "BROADCASTERS": {"default": broadcaster}}
    )
    assert settings.applications == [{"secret": "hush"}]
    assert settings.broadcasters["default"].options == {"secret": "hush"}
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("10.0.0.1/8", "Did you mean '10.0.0.0/8'?"),
        ("*", "Write addresses such as"),
        ("unix", "Write addresses such as"),
        (7, "Write addresses such as"),
    ],
)
def test_a_proxy_that_is_no_network_is_named_and_the_others_stay(entry: Any, hint: str) -> None:
    settings, wrong, _ = load({"SERVER": {"TRUSTED_PROXIES": ["::1", entry, "192.0.2.1"]}})
    assert settings.server.trusted_proxies == ("::1/128", "192.0.2.1/32")
    ((path, message, said),) = wrong
    assert (path, message) == (
        "SERVER.TRUSTED_PROXIES",
        f"{entry!r} is no address and no network",
    )
    assert said.startswith(hint)


def test_names_that_are_fixed_but_not_served_are_no_mistakes() -> None:
    _, wrong, waiting = load(
        {
            "STATISTICS": {"INTERVAL": 60},
            "SERVER": {"METRICS": {}, "HANDSHAKE_TIMEOUT": 10},
        }
    )
    assert wrong == []
    assert set(waiting) == conf.PLANNED


@pytest.mark.parametrize("value", [{}, {"SERVER": {}}, {"SERVER": None}, None])
def test_nothing_waits_that_was_not_written(value: Any) -> None:
    assert load(value)[2] == []


class TestChanges:
    def test_an_override_is_seen_and_its_end_too(self) -> None:
        """App 24."""
        before = get_settings()
        with override_settings(BROADCASTING={"RESCUE": True}):
            assert get_settings().rescue
        assert get_settings() == before

    @pytest.mark.parametrize("name", ["BROADCASTING", "SECRET_KEY", "CHANNEL_LAYERS"])
    def test_who_keeps_something_is_told(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        monkeypatch.setattr(conf, "_resets", [lambda: calls.append(name)])
        with override_settings(**{name: {} if name != "SECRET_KEY" else "x"}):
            assert calls == [name]
        assert calls == [name, name]

    def test_other_settings_are_not_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        monkeypatch.setattr(conf, "_resets", [lambda: calls.append("called")])
        with override_settings(SITE_ID=2):
            assert calls == []


class TestBackends:
    short = {"settings": "broadcasting.conf.Settings"}  # noqa: RUF012 - read only

    def find(self, backend: str) -> Any:
        return import_backend("['QUEUE']", self.short, BackendSettings(backend=backend))

    def test_a_short_name_or_a_dotted_path_finds_a_class(self) -> None:
        assert self.find("settings") is Settings
        assert self.find("broadcasting.conf.Problem") is conf.Problem

    @pytest.mark.parametrize("backend", ["", "setting", "Settings", ".", ".x", "..x", "...conf.x"])
    def test_an_unknown_name_is_told_with_the_known_ones(self, backend: str) -> None:
        with pytest.raises(ImproperlyConfigured) as problem:
            self.find(backend)
        assert f"BROADCASTING['QUEUE']: unknown BACKEND {backend!r}" in str(problem.value)
        assert "Use one of settings" in str(problem.value)

    @pytest.mark.parametrize(
        "backend", ["broadcasting.conf.Missing", "broadcasting.missing.X", "no.such", "a..b", "a."]
    )
    def test_what_cannot_be_imported_is_told_with_its_cause(self, backend: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="cannot import BACKEND") as problem:
            self.find(backend)
        assert problem.value.__cause__ is not None


class TestRegistryOfTheBackplane:
    URL = "redis://localhost:6379/3"

    def given(self, **more: Any) -> dict[str, Any]:
        options = {"url": self.URL, "prefix": "site", "retry_delay": 7}
        return {"BACKPLANE": {"BACKEND": "redis", "OPTIONS": options}, **more}

    def test_it_is_in_redis_where_the_backplane_is(self) -> None:
        with override_settings(BROADCASTING=self.given()):
            assert conf.get_settings().registry == conf.BackendSettings(backend="redis")
            options = read_options({"lease": 20})
            assert read_options({"lease": 2, "heartbeat": 0.5, "sweep": 0.1}).timeout == 1
        assert (options.server.place, options.prefix) == ("Redis at localhost:6379/3", "site")
        assert (options.lease, options.retry_delay, options.timeout) == (20, 1, 2)

    def test_it_may_be_another_one(self) -> None:
        with override_settings(BROADCASTING=self.given(REGISTRY={"BACKEND": "memory"})):
            assert conf.get_settings().registry.backend == "memory"
            other = "redis://localhost:6379/4"
            assert read_options({"url": other}).server.place == "Redis at localhost:6379/4"
            assert read_options({"url": other}).prefix.startswith("broadcasting-")

    @pytest.mark.parametrize("backend", ["local", "channel_layer"])
    def test_no_other_backplane_brings_it(self, backend: str) -> None:
        with override_settings(BROADCASTING={"BACKPLANE": {"BACKEND": backend}}):
            assert conf.get_settings().registry.backend == "memory"
            with pytest.raises(ImproperlyConfigured, match="url"):
                read_options({})

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("url", "http://localhost"),
            ("prefix", ""),
            ("prefix", "a{b}"),
            ("prefix", None),
            ("heartbeat", 0),
            ("heartbeat", 4.5),
            ("lease", 6),
            ("lease", "9"),
            ("sweep", 3),
            ("timeout", -1),
            ("timeout", 9),
            ("retry_delay", None),
        ],
    )
    def test_what_is_no_use_is_told(self, option: str, value: Any) -> None:
        with pytest.raises(ImproperlyConfigured, match=rf"REGISTRY.*{option}|'lease'"):
            read_options({"url": self.URL, option: value})
