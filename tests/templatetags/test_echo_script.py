"""What {% echo_script %} writes into a page."""

from __future__ import annotations

import json
import logging
import re
from importlib import import_module
from typing import Any

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import reverse

from tests.settings import BROADCASTING

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def render(tag: str = "{% echo_script %}", **context: Any) -> str:
    return Template("{% load broadcasting %}" + tag).render(Context(context))


def config_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="broadcasting-config"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert found
    config: dict[str, Any] = json.loads(found[1])
    return config


def config(tag: str = "{% echo_script %}", **context: Any) -> dict[str, Any]:
    return config_of(render(tag, **context))


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().get("/")


def test_it_loads_pusher_then_echo_then_the_glue() -> None:
    sources = re.findall(r'<script src="([^"]+)" defer></script>', render())
    assert sources == [
        "/static/broadcasting/vendor/pusher-js/pusher.min.js",
        "/static/broadcasting/vendor/laravel-echo/echo.iife.js",
        "/static/broadcasting/broadcasting.js",
    ]


@pytest.mark.parametrize(
    "settings_",
    [
        {"APPLICATIONS": [{"id": "a", "key": "k", "secret": "s", "encryption_master_key": KEY}]},
        {
            "BROADCASTERS": {
                "default": {
                    "BACKEND": "null",
                    "OPTIONS": {"key": "k", "secret": "s", "encryption_master_key": KEY},
                }
            }
        },
    ],
)
def test_where_channels_are_encrypted_it_loads_the_pusher_that_decrypts(
    settings: Any, settings_: dict[str, Any]
) -> None:
    settings.BROADCASTING = settings_
    html = render()
    assert 'src="/static/broadcasting/vendor/pusher-js/pusher-with-encryption.min.js"' in html
    assert "pusher.min.js" not in html
    assert KEY not in html


def test_it_tells_echo_where_users_sign_in() -> None:
    assert config()["userAuthEndpoint"] == reverse("broadcasting:user-auth")


def test_it_writes_no_code_into_the_page(request_: HttpRequest) -> None:
    html = render(request=request_)
    executable = re.sub(
        r'<script id="broadcasting-config" type="application/json">.*?</s', "", html
    )
    assert re.findall(r"<script[^>]*>([^<]+)", executable) == []
    assert " on" not in executable


def test_the_browser_gets_the_key_but_not_the_secret(request_: HttpRequest) -> None:
    html = render(request=request_)
    assert config_of(html)["key"] == "app-key"
    assert "app-secret" not in html


def test_another_application_is_chosen_by_its_id() -> None:
    assert config('{% echo_script application="second" %}')["key"] == "second-key"


def test_an_unknown_application_is_an_error_that_names_it() -> None:
    with pytest.raises(ImproperlyConfigured, match="nobody"):
        render('{% echo_script application="nobody" %}')


@pytest.mark.parametrize(
    ("host", "secure", "expected"),
    [
        ("testserver", False, ("http", "testserver", 80)),
        ("testserver", True, ("https", "testserver", 443)),
        ("localhost:8000", False, ("http", "localhost", 8000)),
        ("[::1]:8000", False, ("http", "[::1]", 8000)),
    ],
)
def test_sockets_are_where_the_request_went(
    settings: Any, host: str, secure: bool, expected: tuple[str, str, int]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    found = config(request=RequestFactory().get("/", headers={"Host": host}, secure=secure))
    assert (found["scheme"], found["host"], found["port"]) == expected
    assert found["fixed"] is False


def test_a_host_that_is_not_allowed_leaves_the_browser_to_its_address_bar() -> None:
    found = config(request=RequestFactory().get("/", headers={"Host": "evil.example"}))
    assert "host" not in found


def test_without_a_request_the_browser_knows_where_it_is() -> None:
    found = config()
    assert "host" not in found
    assert "csrfToken" not in found


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("https://ws.example.com", "", ("https", "ws.example.com", 443, "")),
        ("http://ws.example.com:6001", "", ("http", "ws.example.com", 6001, "")),
        ("https://ws.example.com/", "/realtime", ("https", "ws.example.com", 443, "/realtime")),
        ("https://example.com/sockets", "/inner", ("https", "example.com", 443, "/sockets")),
    ],
)
def test_a_public_url_wins_over_the_request(
    settings: Any,
    request_: HttpRequest,
    url: str,
    path: str,
    expected: tuple[str, str, int, str],
) -> None:
    settings.BROADCASTING = {**BROADCASTING, "SERVER": {"PUBLIC_URL": url, "PATH": path}}
    found = config(request=request_)
    assert (found["scheme"], found["host"], found["port"], found["path"]) == expected
    assert found["fixed"] is True


def test_the_servers_path_is_told(settings: Any, request_: HttpRequest) -> None:
    settings.BROADCASTING = {**BROADCASTING, "SERVER": {"PATH": "/realtime"}}
    assert config(request=request_)["path"] == "/realtime"
    assert config()["path"] == "/realtime"


def test_browsers_follow_a_broadcaster_that_sends_elsewhere(
    settings: Any, request_: HttpRequest
) -> None:
    options = {"app_id": "1", "key": "k", "secret": "s", "host": "ws.test", "port": 6001}
    elsewhere = {"BACKEND": "pusher", "OPTIONS": {**options, "use_tls": False}}
    settings.BROADCASTING = {**BROADCASTING, "BROADCASTERS": {"default": elsewhere}}
    found = config(request=request_)
    assert (found["key"], found["scheme"], found["host"], found["port"]) == (
        "k",
        "http",
        "ws.test",
        6001,
    )


def test_hosted_pusher_is_found_by_its_cluster(settings: Any, request_: HttpRequest) -> None:
    hosted = {"BACKEND": "pusher", "OPTIONS": {"key": "k", "secret": "s", "cluster": "eu"}}
    settings.BROADCASTING = {**BROADCASTING, "BROADCASTERS": {"default": hosted}}
    assert config(request=request_)["cluster"] == "eu"


def test_the_auth_endpoint_is_where_the_project_put_it() -> None:
    assert config()["authEndpoint"] == "/broadcasting/auth"


@pytest.mark.urls("tests.templatetags.bare_urls")
def test_it_renders_where_our_urls_are_not_included() -> None:
    assert config()["authEndpoint"] == "/broadcasting/auth"


def test_the_csrf_token_is_the_visitors(request_: HttpRequest) -> None:
    request_.META["CSRF_COOKIE"] = "a" * 32
    assert len(config(request=request_)["csrfToken"]) == 64


def test_a_page_for_a_shared_cache_has_no_token(request_: HttpRequest) -> None:
    assert "csrfToken" not in config("{% echo_script csrf=False %}", request=request_)
    assert "CSRF_COOKIE_NEEDS_UPDATE" not in request_.META


def test_configuration_cannot_close_its_element(settings: Any) -> None:
    url = "https://ws.example.com/</script><script>alert(1)</script>"
    settings.BROADCASTING = {**BROADCASTING, "SERVER": {"PUBLIC_URL": url}}
    html = render()
    assert "alert(1)</script>" not in html
    assert config_of(html)["path"] == "/</script><script>alert(1)</script>"


class TestNonce:
    """It is found where the project's middleware puts it."""

    def nonces(self, html: str) -> list[str]:
        return re.findall(r'defer nonce="([^"]*)"', html)

    def test_there_is_none_without_a_policy(self, request_: HttpRequest) -> None:
        assert "nonce" not in render(request=request_)

    def test_it_may_be_given(self) -> None:
        assert self.nonces(render('{% echo_script nonce="abc" %}')) == ["abc"] * 3

    def test_it_is_escaped(self) -> None:
        assert (
            self.nonces(render("{% echo_script nonce=n %}", n='"><b>'))
            == ["&quot;&gt;&lt;b&gt;"] * 3
        )

    def test_the_context_processor_of_django_is_read(self) -> None:
        assert self.nonces(render(csp_nonce="from-context")) == ["from-context"] * 3

    def test_django_csp_is_read(self, request_: HttpRequest) -> None:
        request_.csp_nonce = "from-request"  # type: ignore[attr-defined]
        assert self.nonces(render(request=request_)) == ["from-request"] * 3

    # Not a skip, which CI takes for a failure: Django 5.2 has no such middleware.
    if django.VERSION >= (6, 0):

        def test_the_middleware_of_django_is_read_without_its_context_processor(
            self, request_: HttpRequest
        ) -> None:
            csp = import_module("django.middleware.csp")
            html = ""

            def view(request: HttpRequest) -> HttpResponse:
                nonlocal html
                html = render(request=request)
                return HttpResponse()

            csp.ContentSecurityPolicyMiddleware(view)(request_)
            [nonce, *others] = self.nonces(html)
            assert len(nonce) > 10
            assert others == [nonce] * 2


def test_a_hashing_storage_that_lacks_the_files_costs_echo_not_the_page(
    settings: Any, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    }
    with caplog.at_level(logging.ERROR, "broadcasting.templates"):
        assert "/static/broadcasting/broadcasting.js" in render()
    assert "collectstatic" in caplog.text


def test_a_hashing_storage_collects_and_names_the_files(settings: Any, tmp_path: Any) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    }
    # Fails when a file names a source map that is not there.
    call_command("collectstatic", interactive=False, verbosity=0)
    sources = re.findall(r'<script src="/static/([^"]+)" defer></script>', render())
    assert len(sources) == 3
    for source in sources:
        assert re.search(r"\.[0-9a-f]{12}\.js$", source)
        assert (tmp_path / source).is_file()
