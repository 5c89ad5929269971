"""Checks of the site around: middleware, static files, the ASGI application, deployment."""

from __future__ import annotations

from pathlib import Path

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from broadcasting.broadcasters import SILENT
from broadcasting.conf import get_settings
from broadcasting.middleware import SocketIdMiddleware

STATIC = Path(__file__).resolve().parent.parent / "static" / "broadcasting" / "vendor"
LIBRARIES = (
    "pusher-js/pusher.min.js",
    "pusher-js/pusher-with-encryption.min.js",
    "laravel-echo/echo.iife.js",
)


@register("broadcasting")
def check_browser_libraries(
    app_configs: object = None, *, folder: Path = STATIC, **kwargs: object
) -> list[CheckMessage]:
    """W019: an installation without Laravel Echo and pusher-js."""
    missing = [name for name in LIBRARIES if not (folder / name).is_file()]
    if not missing:
        return []
    return [
        CheckWarning(
            f"The browser libraries are not installed ({', '.join(missing)}), so that"
            " {% echo_script %} does not work.",
            hint="Published wheels hold them. Installed from source, they are fetched by npm:"
            " install again where npm and its registry can be reached, with pip install"
            " --force-reinstall --no-deps. If you bundle Echo yourself, silence this check.",
            id="broadcasting.W019",
        )
    ]


@register("broadcasting")
def check_middleware(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W021: nobody notes who asked."""
    if any(_is_ours(path) for path in django_settings.MIDDLEWARE):
        return []
    return [
        CheckWarning(
            "SocketIdMiddleware is missing: to_others() also reaches the tab that asked.",
            hint="Add 'broadcasting.middleware.SocketIdMiddleware' to MIDDLEWARE.",
            id="broadcasting.W021",
        )
    ]


@register("broadcasting")
def check_asgi_application(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W027: a runserver that cannot start, or not with sockets."""
    if not apps.is_installed("daphne") or getattr(django_settings, "ASGI_APPLICATION", None):
        return []
    return [
        CheckWarning(
            "'daphne' is installed, but ASGI_APPLICATION is not set: runserver has nothing to"
            " serve.",
            hint="Set ASGI_APPLICATION to the variable of your asgi.py, for instance"
            " 'mysite.asgi.application'.",
            id="broadcasting.W027",
        )
    ]


@register("broadcasting", deploy=True)
def check_default_broadcaster(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W023: a deployment whose events reach nobody."""
    settings = get_settings()
    entry = settings.broadcasters.get(settings.default_broadcaster)
    if django_settings.DEBUG or entry is None or entry.backend not in SILENT:
        return []
    return [
        CheckWarning(
            f"The default broadcaster {settings.default_broadcaster!r} is {entry.backend!r}: no"
            " event reaches a browser.",
            hint="Use {'BACKEND': 'channels'} in BROADCASTING['BROADCASTERS'], or name another"
            " DEFAULT_BROADCASTER.",
            id="broadcasting.W023",
        )
    ]


def _is_ours(path: str) -> bool:
    if path == f"{SocketIdMiddleware.__module__}.{SocketIdMiddleware.__qualname__}":
        return True
    try:
        middleware = import_string(path)
    except ImportError:  # said by Django itself, when the site starts
        return False
    return isinstance(middleware, type) and issubclass(middleware, SocketIdMiddleware)
