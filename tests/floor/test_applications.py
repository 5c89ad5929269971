from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import override_settings

from broadcasting.applications import (
    Application,
    BaseApplications,
    default_application,
    get_applications,
)
from broadcasting.applications.settings import derived, mistakes, parse
from broadcasting.protocol.application import Webhook

ENTRY: dict[str, Any] = {"id": "app", "key": "app-key", "secret": "app-secret"}

EVERYTHING: dict[str, Any] = {
    **ENTRY,
    "previous_secret": "old-secret",
    "name": "Demo",
    "enabled": False,
    "require_tls": True,
    "capacity": 100,
    "allowed_origins": ("https://example.com",),
    "enable_client_events": "members",
    "enable_replay_protection": True,
    "enable_statistics": False,
    "enable_structured_data": True,
    "enable_subscription_count": True,
    "enable_user_authentication": True,
    "user_authentication_timeout": 1.5,
    "enable_watchlist_events": True,
    "encryption_master_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "webhooks": ({"url": "https://example.com/hook"},),
    "max_message_size": 1,
    "max_channels_per_connection": 12,
    "max_event_payload_kb": 2,
    "max_event_name_length": 3,
    "max_channel_name_length": 4,
    "max_event_channels_at_once": 5,
    "max_event_batch_size": 6,
    "max_messages_per_second": 13,
    "max_subscriptions_per_second": 14,
    "max_client_events_per_second": 7,
    "max_backend_events_per_second": 10,
    "max_read_requests_per_second": 11,
    "max_presence_members_per_channel": 8,
    "max_presence_member_size_kb": 9,
}


class Fixed(BaseApplications):
    def all(self) -> Sequence[Application]:
        return [Application(id="1", key="k", secret="s"), Application(id="2", key="K", secret="s")]


class NotMigrated(Fixed):
    """Rows of a table that the first ``migrate`` makes, which checks everything before it."""

    def all(self) -> Sequence[Application]:
        raise OperationalError("no such table")


class NotASource:
    pass


class TestOneEntry:
    def test_an_id_a_key_and_a_secret_are_enough(self) -> None:
        assert parse(ENTRY) == Application(**ENTRY)

    def test_every_key_is_read(self) -> None:
        assert set(EVERYTHING) == {field.name for field in fields(Application)}
        webhooks = (Webhook(url="https://example.com/hook"),)
        assert parse(EVERYTHING) == Application(**{**EVERYTHING, "webhooks": webhooks})

    def test_lists_become_tuples(self) -> None:
        hook = {"url": "https://example.com/hook"}
        application = parse({**ENTRY, "allowed_origins": ["*"], "webhooks": [hook]})
        assert application.allowed_origins == ("*",)
        assert application.webhooks == (Webhook(url=hook["url"]),)

    @pytest.mark.parametrize(
        "rest",
        [
            {"capacity": None},
            {"max_client_events_per_second": None},
            {"max_messages_per_second": None, "max_subscriptions_per_second": None},
            {"allowed_origins": None},
            {"previous_secret": None},
            {"enable_client_events": True},
            {"max_backend_events_per_second": None},
            {"max_read_requests_per_second": None},
            {"encryption_master_key": None},
            {"webhooks": []},
        ],
    )
    def test_what_may_be_left_open_may_be(self, rest: dict[str, Any]) -> None:
        assert list(mistakes({**ENTRY, **rest})) == []
        parse({**ENTRY, **rest})

    @pytest.mark.parametrize(
        ("rest", "said"),
        [
            ({"id": ""}, "'id' must be a non-empty string"),
            ({"id": 1}, "'id' must be a non-empty string"),
            ({"key": None}, "'key' must be a non-empty string"),
            ({"secret": ""}, "'secret' must be a non-empty string"),
            ({"secret": b"bytes"}, "'secret' must be a non-empty string"),
            ({"id": "a/b"}, "'id' may hold letters"),
            ({"key": "a:b"}, "'key' may hold letters"),
            ({"key": "a\n"}, "'key' may hold letters"),
            ({"key": "é"}, "'key' may hold letters"),
            ({"key": "k" * 101}, "'key' may hold letters"),
            ({"previous_secret": 1}, "'previous_secret' must be a non-empty string or None"),
            ({"previous_secret": ""}, "'previous_secret' must be a non-empty string or None"),
            ({"name": None}, "'name' must be a string"),
            ({"enabled": 1}, "'enabled' must be True or False"),
            ({"require_tls": None}, "'require_tls' must be True or False"),
            ({"enable_statistics": "yes"}, "'enable_statistics' must be True or False"),
            ({"enable_client_events": "all"}, "'enable_client_events' must be False, True or"),
            ({"enable_client_events": None}, "'enable_client_events' must be False, True or"),
            ({"allowed_origins": "*"}, "'allowed_origins' must be a list of strings"),
            ({"allowed_origins": [None]}, "'allowed_origins' must be a list of strings"),
            ({"allowed_origins": [".a.test"]}, "'.a.test' in 'allowed_origins' fits no origin"),
            ({"allowed_origins": ["a.test/b"]}, "'a.test/b' in 'allowed_origins' fits no origin"),
            ({"webhooks": {}}, "'webhooks' must be a list of dicts"),
            ({"webhooks": None}, "'webhooks' must be a list of dicts"),
            (
                {"webhooks": ["https://example.com"]},
                "webhooks[0]: a webhook must be a dict, not str",
            ),
            ({"capacity": 0}, "'capacity' must be a whole number above 0"),
            ({"capacity": True}, "'capacity' must be a whole number above 0"),
            ({"max_message_size": 1.5}, "'max_message_size' must be a whole number above 0"),
            ({"max_message_size": None}, "'max_message_size' must be a whole number above 0"),
            ({"max_event_payload_kb": -1}, "'max_event_payload_kb' must be a whole number"),
            ({"max_capacity": 1}, "unknown key 'max_capacity', did you mean 'capacity'?"),
            ({"enable_client_event": 1}, "did you mean 'enable_client_events'?"),
            ({"x": 1}, "unknown key 'x'"),
            ({1: 1}, "unknown key 1"),
        ],
    )
    def test_a_mistake_is_named(self, rest: dict[Any, Any], said: str) -> None:
        found = list(mistakes({**ENTRY, **rest}))
        assert len(found) == 1
        assert said in found[0]
        with pytest.raises(ImproperlyConfigured, match=r"BROADCASTING\['APPLICATIONS'\]: "):
            parse({**ENTRY, **rest})

    @pytest.mark.parametrize("entry", [None, "app", 1, []])
    def test_what_is_not_a_dict_is_one_mistake(self, entry: object) -> None:
        (said,) = mistakes(entry)
        assert said == f"an application must be a dict, not {type(entry).__name__}"

    def test_several_mistakes_are_told_at_once(self) -> None:
        assert len(list(mistakes({}))) == 3
        with pytest.raises(ImproperlyConfigured, match=r"'id' .*; 'key' .*; 'secret' "):
            parse({})

    def test_a_mistake_does_not_show_a_secret(self) -> None:
        wrong = {"id": 1, "key": "hush/hush", "secret": "hush", "previous_secret": ["hush"]}
        with pytest.raises(ImproperlyConfigured) as problem:
            parse(wrong)
        assert "hush" not in str(problem.value)


class TestWhereTheyComeFrom:
    @override_settings(BROADCASTING={"APPLICATIONS": [ENTRY, {**ENTRY, "id": "2", "key": "other"}]})
    def test_they_are_found_by_key_and_by_id_as_they_are_written(self) -> None:
        """24."""
        source = get_applications()
        first, second = source.all()
        assert source.by_key("app-key") == first
        assert source.by_id("2") == second
        for unknown in ("App-Key", "app", "", "app-key "):
            assert source.by_key(unknown) is None
        assert source.by_id("APP") is None

    @override_settings(BROADCASTING={"APPLICATIONS": [ENTRY, {**ENTRY, "id": "2", "key": "other"}]})
    def test_the_first_is_the_default(self) -> None:
        assert default_application().id == "app"
        assert default_application("2").key == "other"
        with pytest.raises(ImproperlyConfigured, match="No application has the id '3'"):
            default_application("3")

    @override_settings(BROADCASTING={"APPLICATIONS": []})
    def test_an_empty_list_has_no_default(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="is empty"):
            default_application()

    @override_settings(BROADCASTING={"APPLICATIONS": [{}]})
    def test_a_mistake_is_told_when_it_is_used(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="'id' must be"):
            get_applications()

    @override_settings(BROADCASTING={}, SECRET_KEY="one")
    def test_a_project_that_configured_none_has_one(self) -> None:
        application = default_application()
        assert (application.id, application.key) == ("app", "app-key")
        assert application.name == "tests"
        assert len(application.secret) == 64
        assert application == derived()

    def test_its_secret_comes_from_the_projects_own_and_is_not_it(self) -> None:
        with override_settings(BROADCASTING={}, SECRET_KEY="one"):
            one = default_application().secret
        with override_settings(BROADCASTING={}, SECRET_KEY="two"):
            two = default_application().secret
        assert len({one, two, "one", "two"}) == 4

    @override_settings(BROADCASTING={"APPLICATIONS": "tests.floor.test_applications.Fixed"})
    def test_a_class_of_ones_own_may_give_them(self) -> None:
        source = get_applications()
        assert isinstance(source, Fixed)
        assert default_application().id == "1"
        found = source.by_key("K")
        assert found is not None
        assert found.id == "2"
        assert source.by_key("x") is None
        assert default_application("2").key == "K"

    @override_settings(BROADCASTING={"APPLICATIONS": "tests.floor.test_applications.NotASource"})
    def test_another_class_is_refused(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="is not a BaseApplications class"):
            get_applications()

    @pytest.mark.parametrize("path", ["database", "no.such.Source", "broadcasting.conf.Missing"])
    def test_what_cannot_be_imported_is_told_with_its_cause(self, path: str) -> None:
        with (
            override_settings(BROADCASTING={"APPLICATIONS": path}),
            pytest.raises(ImproperlyConfigured, match=f"cannot import '{path}'"),
        ):
            get_applications()

    def test_an_override_is_seen(self) -> None:
        before = get_applications()
        with override_settings(BROADCASTING={"APPLICATIONS": [ENTRY]}):
            assert get_applications() is not before
            assert get_applications() is get_applications()
