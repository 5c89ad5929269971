"""Broken on purpose, one place at a time: the doctor names the hop and the cure."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
import pytest
from django.conf import settings as django_settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import override_settings
from pytest_django import Settings

from broadcasting.doctor.report import Hop, Status
from broadcasting.management.commands.broadcasting_doctor import verdict
from tests import live
from tests.conftest import Valkey, frozen
from tests.doctor.conftest import Findings, findings_of

Doctor = Callable[..., Findings]

plain_django = get_asgi_application()
REST = {"server", "subscription", "api", "delivery", "event"}


def with_broadcasting(**changes: Any) -> Any:
    return override_settings(BROADCASTING={**django_settings.BROADCASTING, **changes})


# -- in order ------------------------------------------------------------------------------------


def test_a_sound_project_passes(doctor: Doctor, running: live.Server) -> None:
    found = doctor(url=running.url)
    assert found.code == 0, found.text
    assert found.ok
    assert found.status("event") == "skipped"
    assert {hop["status"] for name, hop in found.hops.items() if name != "event"} == {"ok"}
    assert all(hop["milliseconds"] is not None for n, hop in found.hops.items() if n != "event")


def test_urls_are_taken_as_browsers_write_them(doctor: Doctor, running: live.Server) -> None:
    assert doctor(url=running.socket_url).status("delivery") == "ok"


def test_the_public_url_is_where_it_looks(doctor: Doctor, running: live.Server) -> None:
    with with_broadcasting(SERVER={"PUBLIC_URL": running.url}):
        assert doctor().status("delivery") == "ok"


def test_secrets_are_never_printed(doctor: Doctor, running: live.Server) -> None:
    wrong = [{"id": "app", "key": "app-key", "secret": "another-secret-of-this-test"}]
    with with_broadcasting(APPLICATIONS=wrong):
        found = doctor(url=running.url)
    assert found.status("api") == "failed"
    assert "another-secret" not in found.text


def test_lines_are_plain_without_a_terminal(running: live.Server) -> None:
    out = io.StringIO()
    call_command("broadcasting_doctor", url=running.url, stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("ok       settings")
    assert lines[-1] == "Every hop that was tried works; not tried: event."
    assert "\x1b" not in out.getvalue()


def hop(name: str, status: Status) -> Hop:
    return Hop(name=name, status=status, detail="")


@pytest.mark.parametrize(
    ("hops", "said"),
    [
        ([hop("api", "ok")], "Every hop works."),
        ([hop("api", "ok"), hop("settings", "warning")], "Every hop works; look at: settings."),
        (
            [hop("settings", "warning"), hop("asgi", "skipped"), hop("event", "skipped")],
            "Every hop that was tried works; not tried: asgi, event; look at: settings.",
        ),
    ],
)
def test_the_last_line_claims_no_more_than_was_seen(hops: list[Hop], said: str) -> None:
    assert verdict(hops) == said


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_columns(running: live.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    with override_settings(MIDDLEWARE=[]):
        call_command("broadcasting_doctor", url=running.url, stdout=screen)
    text = screen.getvalue()
    assert "\x1b[32mok" in text
    assert "\x1b[33mwarning" in text
    assert "SocketIdMiddleware" in text


@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "nan"])
def test_the_timeout_is_a_number_of_seconds(timeout: str) -> None:
    with pytest.raises((SystemExit, Exception), match="number of seconds"):
        call_command("broadcasting_doctor", "--timeout", timeout)


# -- broken inside the project -------------------------------------------------------------------


def test_a_typo_in_the_settings(doctor: Doctor) -> None:
    with with_broadcasting(BACKPLAIN={"BACKEND": "local"}):
        found = doctor(url="http://127.0.0.1:1")
    assert found.code == 1
    assert found.status("settings") == "failed"
    assert "BACKPLANE" in found.cure("settings")


def test_a_broadcaster_that_only_logs(doctor: Doctor, running: live.Server) -> None:
    with with_broadcasting(DEFAULT_BROADCASTER="log"):
        found = doctor(url=running.url)
    assert found.status("broadcaster") == "failed"
    assert "channels" in found.cure("broadcaster")
    assert found.status("event") == "skipped"
    assert found.code == 1


def test_a_disabled_application(doctor: Doctor, running: live.Server) -> None:
    entry = {"id": "app", "key": "app-key", "secret": "app-secret", "enabled": False}
    with with_broadcasting(APPLICATIONS=[entry]):
        found = doctor(url=running.url)
    assert found.status("application") == "failed"
    assert {found.status(name) for name in REST} == {"skipped"}


class NoUrls:
    urlpatterns: list[Any] = []  # noqa: RUF012 - a URLconf


@override_settings(ROOT_URLCONF=NoUrls)
def test_urls_that_are_not_included(doctor: Doctor) -> None:
    found = doctor(url="http://127.0.0.1:1")
    assert found.status("urls") == "failed"
    assert 'include("broadcasting.urls")' in found.cure("urls")


def to_login(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect("/login/")

    return middleware


def broken(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("this middleware is broken")

    return middleware


def test_a_middleware_that_redirects_to_a_login(doctor: Doctor, settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.to_login"]
    found = doctor(url="http://127.0.0.1:1")
    assert found.status("urls") == "failed"
    assert "redirects to /login/" in found.detail("urls")


def test_a_middleware_that_breaks(doctor: Doctor, settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.broken"]
    found = doctor(url="http://127.0.0.1:1")
    assert found.status("urls") == "failed"
    assert "answers 500" in found.detail("urls")


@override_settings(MIDDLEWARE=[])
def test_the_missing_middleware(doctor: Doctor) -> None:
    found = doctor(url="http://127.0.0.1:1")
    assert found.status("middleware") == "warning"
    assert "broadcasting.middleware.SocketIdMiddleware" in found.cure("middleware")


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        (1_024, "warning", "may open 1,024 files"),
        (65_536, "ok", "may open 65,536 files"),
        (None, "ok", "nothing limits"),
    ],
)
def test_how_many_sockets_fit(
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    files: int | None,
    status: str,
    words: str,
) -> None:
    monkeypatch.setattr("broadcasting.doctor.project.raise_file_limit", lambda: files)
    found = doctor(url="http://127.0.0.1:1")
    assert found.status("files") == status
    assert words in found.detail("files")
    assert (status == "ok") is (found.hops["files"]["cure"] is None)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (None, "skipped", "not set"),
        ("nowhere.asgi.application", "failed", "cannot be imported"),
        (f"{__name__}.missing", "failed", "cannot be imported"),
        (f"{__name__}.plain_django", "failed", "does not take sockets"),
    ],
)
def test_the_asgi_application(doctor: Doctor, path: str | None, status: str, words: str) -> None:
    with override_settings(ASGI_APPLICATION=path):
        found = doctor(url="http://127.0.0.1:1")
    assert found.status("asgi") == status
    assert words in found.detail("asgi")


# -- broken on the way to the server -------------------------------------------------------------


def test_nobody_listens(doctor: Doctor) -> None:
    found = doctor(url=f"http://127.0.0.1:{live.free_port()}")
    assert found.code == 1
    assert found.status("server") == "failed"
    assert "manage.py runserver" in found.cure("server")
    assert {found.status(name) for name in REST - {"server"}} == {"skipped"}


@pytest.mark.parametrize("url", ["ftp://there", "http://", "http://x:notaport", "http://[::1"])
def test_what_is_not_a_url(doctor: Doctor, url: str) -> None:
    found = doctor(url=url)
    assert found.status("server") == "failed"
    assert "not a URL" in found.detail("server") or "not the URL" in found.detail("server")


def test_another_key(doctor: Doctor, running: live.Server) -> None:
    other = [{"id": "app", "key": "another-key", "secret": "app-secret"}]
    with with_broadcasting(APPLICATIONS=other):
        found = doctor(url=running.url)
    assert found.status("server") == "failed"
    assert "4001" in found.detail("server")
    assert "other settings" in found.cure("server")


def test_another_secret(doctor: Doctor, running: live.Server) -> None:
    other = [{"id": "app", "key": "app-key", "secret": "x" * 32}]
    with with_broadcasting(APPLICATIONS=other):
        found = doctor(url=running.url)
    assert found.status("subscription") == "ok"
    assert found.status("api") == "failed"
    assert "401" in found.detail("api")
    assert "SECRET_KEY" in found.cure("api")
    assert found.status("delivery") == "skipped"


def test_an_origin_that_is_not_allowed(doctor: Doctor, running: live.Server) -> None:
    found = doctor(url=running.url, origin="https://evil.example")
    assert found.status("server") == "failed"
    assert "ALLOWED_HOSTS" in found.cure("server")
    assert doctor(url=running.url, origin="http://localhost").status("server") == "ok"


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server of another kind."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_knows_no_websockets(doctor: Doctor) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = doctor(url=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert found.status("server") == "failed"
    assert "opens no WebSocket" in found.detail("server")
    assert "Upgrade" in found.cure("server")


def test_a_server_that_keeps_silent(doctor: Doctor) -> None:
    held: list[socket.socket] = []
    with listening(lambda server: held.append(server.accept()[0])) as url:
        found = doctor(url=url, timeout=0.3)
    for connection in held:
        connection.close()
    assert found.status("server") == "failed"
    assert found.hops["server"]["milliseconds"] < 3000


# -- broken between processes --------------------------------------------------------------------


def crossing(url: str) -> Any:
    return override_settings(
        CHANNEL_LAYERS={
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [url]},
            }
        },
        BROADCASTING={
            **django_settings.BROADCASTING,
            "BACKPLANE": {"BACKEND": "channel_layer"},
        },
    )


def test_a_layer_in_memory(doctor: Doctor, running: live.Server) -> None:
    layers = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    with (
        override_settings(CHANNEL_LAYERS=layers),
        with_broadcasting(BACKPLANE={"BACKEND": "channel_layer"}),
    ):
        found = doctor(url=running.url)
    assert found.status("backplane") == "failed"
    assert "channels_redis" in found.cure("backplane")
    assert found.status("event") == "skipped"


def test_a_backplane_that_is_down(doctor: Doctor) -> None:
    with crossing(f"redis://user:hidden-password@127.0.0.1:{live.free_port()}"):
        found = doctor(url="http://127.0.0.1:1", timeout=2)
    assert found.status("backplane") == "failed"
    assert "connect" in found.detail("backplane").lower()
    assert "CHANNEL_LAYERS" in found.cure("backplane")
    assert "hidden-password" not in found.text


def test_a_redis_that_is_down(doctor: Doctor) -> None:
    url = f"redis://user:hidden-password@127.0.0.1:{live.free_port()}"
    with with_broadcasting(BACKPLANE={"BACKEND": "redis", "OPTIONS": {"url": url}}):
        found = doctor(url="http://127.0.0.1:1", timeout=2)
    assert found.status("backplane") == "failed"
    assert "BACKPLANE" in found.cure("backplane")
    assert "hidden-password" not in found.text


def test_a_password_that_redis_does_not_know(doctor: Doctor, valkey: Valkey) -> None:
    options = {"url": valkey.url, "username": "nobody", "password": "hidden-password"}
    with with_broadcasting(BACKPLANE={"BACKEND": "redis", "OPTIONS": options}):
        found = doctor(url="http://127.0.0.1:1", timeout=2)
    assert "invalid username-password pair" in found.detail("backplane")
    assert "password" in found.cure("backplane")
    assert "hidden-password" not in found.text


@pytest.mark.parametrize("backend", ["redis", "channel_layer"])
def test_a_redis_that_hangs(doctor: Doctor, own_valkey: Valkey, backend: str) -> None:
    options = {"url": own_valkey.url} if backend == "redis" else {}
    with crossing(own_valkey.url), frozen(own_valkey):
        entry = {"BACKEND": backend, "OPTIONS": options}
        with with_broadcasting(BACKPLANE=entry, REGISTRY={"BACKEND": "memory"}):
            found = doctor(url="http://127.0.0.1:1", timeout=1)
    assert "cannot be reached" in found.detail("backplane")


def test_an_event_that_crosses(doctor: Doctor, valkey: Valkey, live_database: Path) -> None:
    env = {"BROADCASTING_TEST_DATABASE": str(live_database), "REDIS_URL": valkey.url}
    with live.serving("uvicorn", env) as server, crossing(valkey.url):
        found = doctor(url=server.url)
    assert found.code == 0, found.text
    assert found.status("backplane") == "ok"
    assert found.status("event") == "ok"


def test_a_server_on_another_backplane(
    doctor: Doctor, valkey: Valkey, running: live.Server
) -> None:
    with crossing(valkey.url):
        found = doctor(url=running.url, timeout=0.5)
    assert found.status("delivery") == "ok"
    assert found.status("event") == "failed"
    assert "same BACKPLANE" in found.cure("event")


class QueuedSite:
    """The doctor in a process that has the site's Celery application."""

    def __init__(self, valkey: Valkey, database: Path, folder: Path) -> None:
        self.env = {
            "BROADCASTING_TEST_DATABASE": str(database),
            "REDIS_URL": valkey.url,
            "CELERY_BROKER_URL": valkey.celery_url,
            "BROADCAST_QUEUE": "celery",
        }
        self.folder = folder

    def doctor(self, url: str, *arguments: str) -> Findings:
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "django",
                "broadcasting_doctor",
                "--json",
                "--url",
                url,
                *arguments,
            ],
            cwd=live.ROOT,
            env=os.environ
            | {"DJANGO_SETTINGS_MODULE": live.SETTINGS, "PYTHONPATH": str(live.ROOT)}
            | self.env,
            capture_output=True,
            text=True,
        )
        assert result.stdout, result.stderr
        return findings_of(result.returncode, result.stdout)

    @contextlib.contextmanager
    def worker(self, queues: str) -> Iterator[None]:
        log = self.folder / f"{queues}.log"
        options = [
            "-Q",
            queues,
            "--pool",
            "solo",
            "--without-mingle",
            "--without-heartbeat",
            "-l",
            "info",
        ]
        command = [sys.executable, "-m", "celery", "-A", "tests.liveapp.celery", "worker", *options]
        process = live.spawn(command, self.env, log)
        try:
            live.wait_for_line(log, " ready.", process)
            yield
        finally:
            live.stop(process)


def test_the_worker_of_a_queue(own_valkey: Valkey, live_database: Path, tmp_path: Path) -> None:
    site = QueuedSite(own_valkey, live_database, tmp_path)
    with live.serving("uvicorn", site.env) as server:
        found = site.doctor(server.url, "--timeout", "1")
        assert found.status("queue") == "failed", found.text
        assert "no Celery worker answers" in found.detail("queue")
        assert "-Q celery,broadcasts" in found.cure("queue")
        assert found.status("event") == "skipped"
        with site.worker("celery"):
            found = site.doctor(server.url)
            assert "none takes the queue 'broadcasts'" in found.detail("queue"), found.text
            with celery.Celery(broker=own_valkey.celery_url, set_as_current=False) as app:
                assert app.control.add_consumer("broadcasts", reply=True, timeout=5, limit=1)
            found = site.doctor(server.url)
            assert found.code == 0, found.text
            assert found.status("queue") == "ok"
            assert found.status("event") == "ok"


def test_a_broker_that_hangs(own_valkey: Valkey, live_database: Path, tmp_path: Path) -> None:
    site = QueuedSite(own_valkey, live_database, tmp_path)
    pid = own_valkey.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        found = site.doctor("http://127.0.0.1:1", "--timeout", "1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert found.status("queue") == "failed"
    assert "broker" in found.detail("queue")
    assert found.status("backplane") == "failed"
    assert found.hops["queue"]["milliseconds"] < 10_000


@pytest.mark.parametrize("queue", ["celery", "tasks"])
def test_a_queue_that_leaves_with_a_backplane_that_stays(doctor: Doctor, queue: str) -> None:
    with with_broadcasting(QUEUE={"BACKEND": queue}):
        found = doctor(url="http://127.0.0.1:1")
    if queue == "tasks":  # Django runs tasks at once unless told otherwise
        assert found.status("queue") == "ok"
        return
    assert found.status("queue") == "failed"
    assert "channel_layer" in found.cure("queue")
