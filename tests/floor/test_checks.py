from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import celery
import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from broadcasting.checks.site import LIBRARIES, check_browser_libraries
from broadcasting.middleware import SocketIdMiddleware
from broadcasting.queues import BaseQueue, JobOptions
from broadcasting.registry.memory import MemoryRegistry

STRONG = "a-secret-of-more-than-sixteen-characters"
APPLICATION = {"id": "app", "key": "app-key", "secret": STRONG}
GOOD: dict[str, Any] = {"APPLICATIONS": [APPLICATION]}
CELERY = {"QUEUE": {"BACKEND": "celery"}}
CROSSING = {"BACKPLANE": {"BACKEND": "channel_layer"}}
PUBSUB = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": ["redis://localhost/0"]},
    }
}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


class Leaving(BaseQueue):
    """A queue of a project's own, whose jobs run elsewhere."""

    def push(self, job: str, payload: dict[str, Any], options: JobOptions) -> None: ...

    async def apush(self, job: str, payload: dict[str, Any], options: JobOptions) -> None: ...


class Staying(Leaving):
    leaves_process = False


class CrossingRegistry(MemoryRegistry):
    crosses_processes = True


class Particular(Staying):
    """A queue that does not take every option."""

    def __init__(self, options: Any) -> None:
        raise ImproperlyConfigured("'url' is missing") if not options else LookupError("no such")


class OurMiddleware(SocketIdMiddleware):
    pass


def run(broadcasting: Any = None, **settings: Any) -> list[CheckMessage]:
    """Return what ``manage.py check --deploy --tag broadcasting`` says to a good project so set."""
    with override_settings(BROADCASTING={**GOOD, **(broadcasting or {})}, **settings):
        return [
            message
            for message in run_checks(tags=["broadcasting"], include_deployment_checks=True)
            # Whether npm was there when this was installed is no matter of these tests.
            if message.id != "broadcasting.W019"
        ]


def only(id: str, *arguments: Any, **settings: Any) -> CheckMessage:  # noqa: A002 - Django's word
    """Return the one thing said, which must have ``id``."""
    (message,) = run(*arguments, **settings)
    assert message.id == f"broadcasting.{id}", message
    # Errors stop a deploy, warnings do not.
    assert message.is_serious() == id.startswith("E")
    assert message.hint
    return message


def ids(*arguments: Any, **settings: Any) -> list[str]:
    return [
        str(message.id).removeprefix("broadcasting.") for message in run(*arguments, **settings)
    ]


def test_a_good_project_is_told_nothing() -> None:
    """App 22: none of them."""
    assert run() == []


def test_a_project_without_settings_is_told_nothing() -> None:
    """App 22: none of them."""
    with override_settings(BROADCASTING={}):
        assert ids() == []


class TestTheDict:
    """App 22."""

    def test_an_unknown_setting_is_told_with_a_guess(self) -> None:
        message = only("E005", {"SERVER": {"PATHS": "/x"}})
        assert message.msg == "BROADCASTING['SERVER']['PATHS']: unknown setting."
        assert message.hint == "Did you mean 'PATH'?"

    def test_a_wrong_value_is_told_with_what_is_right(self) -> None:
        message = only("E005", {"PUBLISH_TIMEOUT": "fast"})
        assert message.msg == (
            "BROADCASTING['PUBLISH_TIMEOUT']: must be a number of seconds above 0."
        )
        assert message.hint == "Got 'fast'."

    @pytest.mark.parametrize("family", ["BROADCASTERS", "QUEUE", "BACKPLANE", "REGISTRY"])
    def test_what_stands_in_the_place_of_a_backend_is_not_shown(self, family: str) -> None:
        url = "redis://:hunter2@localhost"
        message = only("E005", {family: {"default": url} if family == "BROADCASTERS" else url})
        assert "hunter2" not in f"{message.msg} {message.hint}"
        assert message.hint == "Got a str."

    def test_a_dict_that_is_none_is_told(self) -> None:
        with override_settings(BROADCASTING=[]):
            (message,) = run_checks(tags=["broadcasting"])
        assert (message.id, message.msg) == ("broadcasting.E005", "BROADCASTING: must be a dict.")

    @pytest.mark.parametrize(
        ("given", "place"),
        [
            ({"STATISTICS": {}}, "['STATISTICS']"),
            ({"SERVER": {"METRICS": {"ENABLED": True}}}, "['SERVER']['METRICS']"),
        ],
    )
    def test_what_is_not_served_yet_is_told(self, given: dict[str, Any], place: str) -> None:
        assert only("W017", given).msg == (
            f"BROADCASTING{place}: accepted, but has no effect in this version."
        )


class TestApplications:
    """App 22."""

    def test_a_mistake_is_told_with_its_place(self) -> None:
        message = only("E006", {"APPLICATIONS": [APPLICATION, {"id": "2", "key": "second"}]})
        assert message.msg == (
            "BROADCASTING['APPLICATIONS'][1]: 'secret' must be a non-empty string."
        )

    def test_what_is_not_a_dict_is_told(self) -> None:
        assert "must be a dict" in only("E006", {"APPLICATIONS": ["app"]}).msg

    def test_an_empty_list_is_told(self) -> None:
        assert "nobody can connect" in only("E006", {"APPLICATIONS": []}).msg

    @pytest.mark.parametrize("key", ["id", "key"])
    def test_two_of_a_name_are_told(self, key: str) -> None:
        other = {"id": "2", "key": "second", "secret": STRONG, key: APPLICATION[key]}
        message = only("E007", {"APPLICATIONS": [APPLICATION, other]})
        assert f"2 applications have the {key} '{APPLICATION[key]}'" in message.msg

    def test_a_source_of_ones_own_is_asked_nothing(self) -> None:
        assert run({"APPLICATIONS": "tests.floor.test_applications.Fixed"}) == []

    def test_a_source_whose_table_is_not_there_yet_stops_no_migration(self) -> None:
        named = {"default": {"BACKEND": "channels", "OPTIONS": {"application": "shop"}}}
        source = "tests.floor.test_applications.NotMigrated"
        assert run({"APPLICATIONS": source, "BROADCASTERS": named}) == []

    @pytest.mark.parametrize("path", [".", "..x"])
    def test_what_is_no_path_at_all_is_told(self, path: str) -> None:
        assert "BROADCASTING['APPLICATIONS']" in only("E002", {"APPLICATIONS": path}).msg

    @pytest.mark.parametrize("path", ["database", "tests.floor.test_applications.NotASource"])
    def test_a_source_that_is_none_is_told(self, path: str) -> None:
        assert path in only("E002", {"APPLICATIONS": path}).msg

    @pytest.mark.parametrize("key", ["secret", "previous_secret"])
    @pytest.mark.parametrize(
        ("secret", "said"),
        [("app-secret", "documentation's examples"), ("x" * 15, "fewer than 16 characters")],
    )
    def test_a_weak_secret_is_told_but_not_shown(self, key: str, secret: str, said: str) -> None:
        message = only("W026", {"APPLICATIONS": [{**APPLICATION, key: secret}]})
        assert said in message.msg
        assert secret not in f"{message.msg}{message.hint}"

    def test_a_secret_of_sixteen_characters_will_do(self) -> None:
        assert run({"APPLICATIONS": [{**APPLICATION, "secret": "x" * 16}]}) == []

    @pytest.mark.parametrize(
        ("key", "said"),
        [
            (bytes(range(32)), "libraries' examples"),
            (bytes(32), "not random"),
            (b"OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "not random"),
        ],
    )
    def test_a_master_key_that_can_be_guessed_is_told_but_not_shown(
        self, key: bytes, said: str
    ) -> None:
        text = b64encode(key).decode()
        message = only("W026", {"APPLICATIONS": [{**APPLICATION, "encryption_master_key": text}]})
        assert said in message.msg
        assert text not in f"{message.msg}{message.hint}"

    def test_a_random_master_key_will_do(self) -> None:
        key = b64encode(sha256(b"as good as random").digest()).decode()
        assert run({"APPLICATIONS": [{**APPLICATION, "encryption_master_key": key}]}) == []

    def test_a_master_key_without_pynacl_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "nacl", None)
        key = b64encode(sha256(b"as good as random").digest()).decode()
        message = only("E016", {"APPLICATIONS": [{**APPLICATION, "encryption_master_key": key}]})
        assert "django-broadcasting[encryption]" in (message.hint or "")
        assert run() == []

    def test_secrets_matter_where_others_are(self) -> None:
        """Nobody developing is told: it is a check of deployments."""
        weak = {"APPLICATIONS": [{**APPLICATION, "secret": "app-secret"}]}
        with override_settings(BROADCASTING=weak):
            said = run_checks(tags=["broadcasting"])
        assert "broadcasting.W026" not in {message.id for message in said}


class TestBackends:
    """App 22."""

    def test_a_default_that_is_not_there_is_told(self) -> None:
        message = only("E001", {"DEFAULT_BROADCASTER": "pusher"})
        assert message.hint == "Use one of 'default', or add 'pusher' to BROADCASTERS."

    def test_a_default_that_is_malformed_is_told_once(self) -> None:
        assert ids({"BROADCASTERS": {"default": "channels"}}) == ["E005"]

    @pytest.mark.parametrize("family", ["QUEUE", "BACKPLANE", "REGISTRY"])
    @pytest.mark.parametrize("backend", ["nonsense", "no.such.Backend"])
    def test_a_backend_that_is_not_there_is_told(self, family: str, backend: str) -> None:
        message = only("E002", {family: {"BACKEND": backend}})
        assert message.msg.startswith(f"BROADCASTING['{family}']: ")
        assert backend in message.msg

    def test_a_broadcaster_that_is_not_there_is_told(self) -> None:
        given = {"default": {"BACKEND": "channels"}, "other": {"BACKEND": "kafka"}}
        message = only("E002", {"BROADCASTERS": given})
        assert message.msg.startswith("BROADCASTING['BROADCASTERS']['other']: unknown BACKEND")

    def test_a_wrong_option_is_told(self) -> None:
        given = {"default": {"BACKEND": "channels", "OPTIONS": {"app": "1"}}}
        message = only("E002", {"BROADCASTERS": given})
        assert message.msg.startswith("BROADCASTING['BROADCASTERS']['default']: ")
        assert "no option 'app'" in message.msg

    @pytest.mark.parametrize(
        ("family", "backend"),
        [("QUEUE", "sync"), ("BACKPLANE", "local"), ("REGISTRY", "memory")],
    )
    def test_so_it_is_in_every_family(self, family: str, backend: str) -> None:
        message = only("E002", {family: {"BACKEND": backend, "OPTIONS": {"quue": "x"}}})
        assert "no option 'quue'" in message.msg

    @pytest.mark.parametrize("expires", ["60", 0, -1, True, None])
    def test_a_wait_that_is_none_is_told(self, expires: Any) -> None:
        message = only("E002", {"QUEUE": {"BACKEND": "sync", "OPTIONS": {"expires": expires}}})
        assert "must be seconds above 0" in message.msg

    @pytest.mark.parametrize(
        ("options", "said"), [({}, ": 'url' is missing"), ({"url": ""}, ": LookupError: no such")]
    )
    def test_what_a_backend_raises_is_told(self, options: dict[str, str], said: str) -> None:
        queue = {"BACKEND": "tests.floor.test_checks.Particular", "OPTIONS": options}
        assert only("E002", {"QUEUE": queue}).msg == f"BROADCASTING['QUEUE']{said}"

    def test_a_broadcaster_for_nobody_is_told(self) -> None:
        given = {"default": {"BACKEND": "channels", "OPTIONS": {"application": "other"}}}
        message = only("E015", {"BROADCASTERS": given})
        assert "no application has the id 'other'" in message.msg
        assert "'app'" in str(message.hint)

    def test_where_applications_are_wrong_that_is_told_alone(self) -> None:
        given = {"default": {"BACKEND": "channels", "OPTIONS": {"application": "app"}}}
        assert ids({"BROADCASTERS": given, "APPLICATIONS": [{**APPLICATION, "id": 1}]}) == ["E006"]

    def test_a_broadcaster_for_somebody_is_fine(self) -> None:
        given = {"default": {"BACKEND": "channels", "OPTIONS": {"application": "app"}}}
        assert run({"BROADCASTERS": given}) == []


class TestReach:
    """App 22."""

    leaving = {"QUEUE": {"BACKEND": "tests.floor.test_checks.Leaving"}}  # noqa: RUF012
    staying = {"QUEUE": {"BACKEND": "tests.floor.test_checks.Staying"}}  # noqa: RUF012

    def test_a_queue_that_leaves_and_a_backplane_that_stays_are_told_with_the_cures(self) -> None:
        message = only("E008", self.leaving)
        for cure in ("'channel_layer'", "'sync'", "HTTP"):
            assert cure in str(message.hint)

    def test_celery_leaves(self, broker: Callable[..., None]) -> None:
        broker("redis://localhost/0")
        only("E008", CELERY)

    def test_celery_that_is_eager_does_not(self, broker: Callable[..., None]) -> None:
        broker(None, task_always_eager=True)
        assert run(CELERY) == []

    def test_a_queue_that_stays_is_fine(self) -> None:
        assert run(self.staying) == []

    def test_where_nothing_is_sent_through_the_backplane_it_does_not_matter(self) -> None:
        given = {**self.leaving, "BROADCASTERS": {"default": {"BACKEND": "null"}}}
        assert "E008" not in ids(given)
        given["BROADCASTERS"] = {"default": {"BACKEND": "nonsense"}}
        assert ids(given) == ["E002"]

    def test_a_backplane_that_crosses_is_fine(self) -> None:
        given = {
            **self.leaving,
            **CROSSING,
            "REGISTRY": {"BACKEND": "tests.floor.test_checks.CrossingRegistry"},
        }
        assert run(given, CHANNEL_LAYERS=PUBSUB) == []

    def test_presence_that_stays_behind_events_is_told(self) -> None:
        only("W018", CROSSING, CHANNEL_LAYERS=PUBSUB)

    def test_a_registry_alone_may_cross(self) -> None:
        given = {"REGISTRY": {"BACKEND": "tests.floor.test_checks.CrossingRegistry"}}
        assert run(given) == []


class TestChannelLayer:
    """App 22."""

    # Presence per process is told beside; it is not the matter here.
    given = {  # noqa: RUF012
        **CROSSING,
        "REGISTRY": {"BACKEND": "tests.floor.test_checks.CrossingRegistry"},
    }

    def test_a_layer_that_is_not_there_is_told(self) -> None:
        message = only("E009", self.given, CHANNEL_LAYERS={})
        assert "CHANNEL_LAYERS has no alias 'default'" in message.msg

    def test_another_alias_is_looked_for(self) -> None:
        given = {
            **self.given,
            "BACKPLANE": {"BACKEND": "channel_layer", "OPTIONS": {"alias": "events"}},
        }
        assert "'events'" in only("E009", given, CHANNEL_LAYERS=PUBSUB).msg
        assert run(given, CHANNEL_LAYERS={"events": PUBSUB["default"]}) == []

    def test_a_layer_that_cannot_be_imported_is_told(self) -> None:
        layers = {"default": {"BACKEND": "no.such.Layer"}}
        assert "no.such" in only("E009", self.given, CHANNEL_LAYERS=layers).msg

    def test_a_layer_that_stays_in_its_process_is_told(self) -> None:
        message = only("E009", self.given, CHANNEL_LAYERS=IN_MEMORY)
        assert "does not cross processes" in message.msg

    def test_a_layer_is_no_matter_of_the_local_backplane(self) -> None:
        assert run(CHANNEL_LAYERS=IN_MEMORY) == []


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the project a Celery application with this broker."""
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)

    def set_broker(url: str | None, **options: Any) -> None:
        app = celery.Celery("project", broker=url, set_as_current=False)
        app.conf.update(options)
        # First, so that it is not this one which the module keeps from its import.
        monkeypatch.setattr("broadcasting.queues.celery.current_app", app)
        monkeypatch.setattr(celery, "current_app", app)

    return set_broker


class TestBroker:
    """App 22."""

    given = {**CELERY, "BROADCASTERS": {"default": {"BACKEND": "null"}}}  # noqa: RUF012

    def found(self) -> list[str]:
        return [found for found in ids(self.given) if found != "W023"]

    def test_celery_without_a_broker_is_told(self, broker: Callable[..., None]) -> None:
        broker(None)
        assert self.found() == ["W020"]

    def test_celery_with_a_broker_is_fine(self, broker: Callable[..., None]) -> None:
        broker("redis://localhost/0")
        assert self.found() == []

    def test_celery_that_runs_jobs_at_once_needs_none(self, broker: Callable[..., None]) -> None:
        broker(None, task_always_eager=True)
        assert self.found() == []

    def test_no_other_queue_needs_one(self, broker: Callable[..., None]) -> None:
        broker(None)
        assert run() == []


class TestSite:
    """App 22."""

    def test_a_missing_middleware_is_told(self) -> None:
        message = only("W021", MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
        assert "'broadcasting.middleware.SocketIdMiddleware'" in str(message.hint)

    @pytest.mark.parametrize(
        "path", ["broadcasting.middleware.SocketIdMiddleware", f"{__name__}.OurMiddleware"]
    )
    def test_ours_or_one_made_of_it_will_do(self, path: str) -> None:
        assert run(MIDDLEWARE=["no.such.Middleware", path]) == []

    @pytest.mark.parametrize("backend", ["log", "null", "locmem"])
    def test_a_default_that_reaches_nobody_is_told(self, backend: str) -> None:
        given = {"BROADCASTERS": {"default": {"BACKEND": backend}}}
        assert repr(backend) in only("W023", given).msg
        assert run(given, DEBUG=True) == []

    def test_one_beside_the_default_is_fine(self) -> None:
        given = {"BROADCASTERS": {"default": {"BACKEND": "channels"}, "log": {"BACKEND": "log"}}}
        assert run(given) == []

    def test_a_runserver_without_an_application_is_told(self) -> None:
        only("W027", ASGI_APPLICATION=None)

    def test_without_daphne_it_is_not(self, settings: Any) -> None:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "daphne"]
        assert run(ASGI_APPLICATION=None) == []

    @pytest.mark.parametrize("missing", LIBRARIES)
    def test_a_missing_browser_library_is_told_with_the_cure(
        self, missing: str, tmp_path: Path
    ) -> None:
        for name in LIBRARIES:
            if name != missing:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).touch()
        (message,) = check_browser_libraries(folder=tmp_path)
        assert message.id == "broadcasting.W019"
        assert missing in message.msg
        assert "pip install" in str(message.hint)
        (tmp_path / missing).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / missing).touch()
        assert check_browser_libraries(folder=tmp_path) == []
