"""Checks of the auth views: are they there, and does nobody redirect those who ask?"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.test import Client
from django.urls import include, path
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.vary import vary_on_headers

from broadcasting import views
from broadcasting.checks import views as checks
from broadcasting.contrib.drf.auth import BroadcastingAuthView

DJANGOS = "django.contrib.auth.middleware.LoginRequiredMiddleware"


class Own(LoginRequiredMiddleware):
    """A subclass of Django's spares what Django's spares."""


class LoginRequiredForAll(MiddlewareMixin):
    """Somebody else's."""


def _urls(*patterns: Any) -> ModuleType:
    made = ModuleType("made")
    made.__dict__["urlpatterns"] = [
        *patterns,
        path("b/", include("broadcasting.urls")),
        path("admin/", admin.site.urls),
    ]
    return made


def _messages() -> list[CheckMessage]:
    found = list(checks.check_nobody_is_redirected())
    assert all(message.hint and message.id == "broadcasting.W025" for message in found)
    return found


def test_they_are_registered() -> None:
    assert {checks.check_urls_are_included, checks.check_nobody_is_redirected} <= set(
        registry.get_checks()
    )


def test_the_suites_own_site_is_left_in_peace() -> None:
    assert checks.check_urls_are_included() == []
    assert _messages() == []


def test_w022_urls_that_are_not_included(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.templatetags.bare_urls"
    assert [message.id for message in checks.check_urls_are_included()] == ["broadcasting.W022"]
    assert _messages() == []
    del settings.ROOT_URLCONF
    assert checks.check_urls_are_included() == []
    assert _messages() == []


@pytest.mark.parametrize(
    "decorate",
    [login_required, permission_required("auth.view_user"), staff_member_required],
)
def test_w025_a_view_behind_a_login(settings: Any, decorate: Any) -> None:
    wrapped = vary_on_headers("Cookie")(decorate(views.auth))
    settings.ROOT_URLCONF = _urls(path("b/auth", wrapped))
    (message,) = _messages()
    assert "broadcasting:auth are redirected to a login page by login_required" in message.msg
    assert Client().post("/b/auth").status_code == 302


@pytest.mark.parametrize(
    "view", [vary_on_headers("Cookie")(views.auth), BroadcastingAuthView.as_view()]
)
@pytest.mark.parametrize("middleware", [DJANGOS, f"{__name__}.Own"])
def test_w025_what_spares_the_views_is_no_problem(
    settings: Any, view: Any, middleware: str
) -> None:
    settings.ROOT_URLCONF = _urls(path("b/auth", view))
    settings.MIDDLEWARE = [*django_settings.MIDDLEWARE, middleware]
    assert _messages() == []
    assert Client().post("/b/auth").status_code in (400, 403)


def test_w025_a_view_that_does_not_ask_to_be_spared(settings: Any) -> None:
    settings.ROOT_URLCONF = _urls(path("b/auth", lambda request: views.auth(request)))
    settings.MIDDLEWARE = [*django_settings.MIDDLEWARE, DJANGOS]
    (message,) = _messages()
    assert "by LoginRequiredMiddleware" in message.msg
    assert Client().post("/b/auth").status_code == 302


def test_w025_a_middleware_of_somebody_elses(settings: Any) -> None:
    settings.MIDDLEWARE = [
        f"{__name__}.LoginRequiredForAll",
        "no.such.LoginRequired",
        "no.such.Middleware",
    ]
    found = [message.msg.partition(" ")[0] for message in _messages()]
    assert found == [f"{__name__}.LoginRequiredForAll", "no.such.LoginRequired"]
