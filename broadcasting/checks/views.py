"""Checks of the auth views: whether clients reach them, and are answered instead of redirected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import decorators
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils.module_loading import import_string

VIEWS = ("broadcasting:auth", "broadcasting:user-auth")


@register("broadcasting")
def check_urls_are_included(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W022: nobody can ask for a signature."""
    if getattr(django_settings, "ROOT_URLCONF", None) is None:
        return []
    try:
        reverse("broadcasting:auth")
    except NoReverseMatch:
        return [
            CheckWarning(
                "broadcasting.urls is not included: private and presence channels cannot be"
                " joined, and nobody can sign in.",
                hint='Add path("broadcasting/", include("broadcasting.urls")) to the root URLconf.',
                id="broadcasting.W022",
            )
        ]
    return []


@register("broadcasting")
def check_nobody_is_redirected(
    app_configs: object = None, **kwargs: object
) -> Iterator[CheckMessage]:
    """W025: guests are sent to a login page, which clients cannot follow."""
    if getattr(django_settings, "ROOT_URLCONF", None) is None:
        return
    for name in VIEWS:
        problem = _redirects(name)
        if problem is not None:
            yield CheckWarning(
                f"Guests who ask {name} are redirected to a login page by {problem}. Clients"
                " cannot follow, and rules with allow_anonymous are never asked.",
                hint="Include broadcasting.urls without a decorator; the views refuse guests by"
                " themselves.",
                id="broadcasting.W025",
            )
    for path in django_settings.MIDDLEWARE:
        if _demands_logins(path):
            yield CheckWarning(
                f"{path} may redirect guests who ask for a signature to a login page.",
                hint="Exempt the URLs of broadcasting.urls in its settings and silence this check,"
                " or use Django's own LoginRequiredMiddleware, which spares them.",
                id="broadcasting.W025",
            )


def _redirects(name: str) -> str | None:
    """Return what stands in front of the view called ``name``, as the site really serves it."""
    try:
        view: Any = resolve(reverse(name)).func
    except (NoReverseMatch, Resolver404):
        return None
    if getattr(view, "login_required", True) and any(map(_is_djangos, django_settings.MIDDLEWARE)):
        return "LoginRequiredMiddleware"
    while view is not None:
        # Wrappers take over the attributes of what they wrap, but not where they were made.
        if getattr(view, "__globals__", None) is vars(decorators):
            return "login_required, or another decorator of django.contrib.auth"
        view = getattr(view, "__wrapped__", None)
    return None


def _is_djangos(path: str) -> bool:
    if not apps.is_installed("django.contrib.auth"):
        return False
    # It imports the models of users, which there may not be.
    from django.contrib.auth.middleware import LoginRequiredMiddleware

    middleware = _import(path)
    return isinstance(middleware, type) and issubclass(middleware, LoginRequiredMiddleware)


def _demands_logins(path: str) -> bool:
    """Whether ``path`` is a middleware of somebody else's that lets nobody in without a login."""
    return "LoginRequired" in path.rpartition(".")[2] and not _is_djangos(path)


def _import(path: str) -> Callable[..., Any] | None:
    try:
        found: Callable[..., Any] = import_string(path)
    except ImportError:  # said by Django itself, when the site starts
        return None
    return found
