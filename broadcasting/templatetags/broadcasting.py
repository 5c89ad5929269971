"""``{% echo_script %}``: Laravel Echo on a page without a bundler.

Writes three script tags and their configuration as JSON, no inline code, so that a strict
content security policy lets them pass. Knows nothing of sockets or the server.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from django import template
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import Context
from django.templatetags.static import PrefixNode, static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString

from broadcasting.applications import default_application
from broadcasting.conf import get_settings

logger = logging.getLogger("broadcasting.templates")

register = template.Library()

CONFIGURATION_ID = "broadcasting-config"

PUSHER = "broadcasting/vendor/pusher-js/pusher.min.js"
PUSHER_WITH_ENCRYPTION = "broadcasting/vendor/pusher-js/pusher-with-encryption.min.js"
"""Half as large again, and the only one that can join encrypted channels."""

ECHO = "broadcasting/vendor/laravel-echo/echo.iife.js"
GLUE = "broadcasting/broadcasting.js"


@register.simple_tag(takes_context=True)
def echo_script(
    context: Context, application: str | None = None, nonce: str | None = None, csrf: bool = True
) -> SafeString:
    """Return the tags that make ``window.Echo``.

    ``application`` is the id of one of our applications; left out, browsers go where the
    default broadcaster sends; one with an ``encryption_master_key`` brings the pusher-js that
    can decrypt. ``nonce`` is found by itself where Django's or django-csp's
    middleware is used. ``csrf=False`` leaves the token out, so that a cache may share the
    page between visitors. Raises ImproperlyConfigured for an unknown application.
    """
    request = context.get("request")
    if not nonce:  # an undefined variable is empty text in a template
        nonce = find_nonce(context, request)
    attribute = "" if nonce is None else format_html(' nonce="{}"', nonce)
    tags = format_html_join(
        "\n",
        '<script src="{}" defer{}></script>',
        ((url_of_script(path), attribute) for path in scripts(application)),
    )
    config = configuration(request, application, csrf=csrf)
    return format_html("{}\n{}", json_script(config, CONFIGURATION_ID), tags)


def scripts(application: str | None = None) -> tuple[str, ...]:
    """Return the static files of a page, in order."""
    foreign = foreign_server() if application is None else {}
    key = (
        foreign.get("encryption_master_key")
        if foreign
        else default_application(application).encryption_master_key
    )
    return PUSHER_WITH_ENCRYPTION if key else PUSHER, ECHO, GLUE


def configuration(
    request: HttpRequest | None, application: str | None = None, *, csrf: bool = True
) -> dict[str, Any]:
    """Return what the browser must know, as JSON types; secrets are not among it."""
    foreign = foreign_server() if application is None else {}
    key = foreign.get("key") or default_application(application).key
    found: dict[str, Any] = {"key": key, "path": "", "fixed": False, **sockets(request, foreign)}
    found["authEndpoint"] = url_of("auth") or "/broadcasting/auth"
    found["userAuthEndpoint"] = url_of("user-auth") or "/broadcasting/user-auth"
    if csrf and request is not None:
        found["csrfToken"] = get_token(request)
    return found


def sockets(request: HttpRequest | None, foreign: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the sockets are.

    ``fixed`` says that the settings named the place. Otherwise it is a guess from the
    request, and the browser prefers its address bar, which no proxy can falsify.
    """
    server = get_settings().server
    if server.public_url is not None:
        url = urlsplit(server.public_url)
        # A path in the URL is the whole path: a proxy may have its own.
        return {**place(url.scheme, url.netloc, url.path.rstrip("/") or server.path), "fixed": True}
    if foreign.get("cluster") and not foreign.get("host"):
        return {"cluster": foreign["cluster"], "fixed": True}
    if foreign.get("host"):
        tls = foreign.get("use_tls", True)
        port = foreign.get("port") or (443 if tls else 80)
        scheme = "https" if tls else "http"
        return {**place(scheme, f"{foreign['host']}:{port}", ""), "fixed": True}
    if request is None:
        return {"path": server.path}
    try:
        host = request.get_host()
    except DisallowedHost:
        return {"path": server.path}
    return place("https" if request.is_secure() else "http", host, server.path)


def place(scheme: str, netloc: str, path: str) -> dict[str, Any]:
    """Return the parts of a URL as pusher-js wants them."""
    url = urlsplit(f"//{netloc}")
    host = url.hostname or ""
    return {
        "scheme": scheme,
        # pusher-js puts host and port together with a colon, as they are.
        "host": f"[{host}]" if ":" in host else host,
        "port": url.port or (443 if scheme == "https" else 80),
        "path": path,
    }


def foreign_server() -> Mapping[str, Any]:
    """Return the options of the default broadcaster if it sends to another server."""
    conf = get_settings()
    entry = conf.broadcasters.get(conf.default_broadcaster)
    options = entry.options if entry else {}
    return options if options.get("key") and options.get("secret") else {}


def url_of_script(path: str) -> str:
    """Return the URL of one of our static files, hashed where the storage does that."""
    try:
        return static(path)
    except ValueError:
        # A hashing storage that has not collected the file; the page is worth more than Echo.
        logger.exception("%s is missing: install the package again, then run collectstatic", path)
        return urljoin(PrefixNode.handle_simple("STATIC_URL"), quote(path))


def url_of(name: str) -> str | None:
    """Return the path of one of our views, or None where ``broadcasting.urls`` is not included."""
    try:
        return reverse(f"broadcasting:{name}")
    except NoReverseMatch:
        return None


def find_nonce(context: Context, request: HttpRequest | None) -> str | None:
    """Return the nonce that the response's policy will name, if there is one."""
    # Django's lazy nonce is false until somebody reads it, so truth is no test.
    candidates = (
        context.get("csp_nonce"),
        getattr(request, "csp_nonce", None),
        None if request is None else django_nonce(request),
    )
    return next((str(nonce) for nonce in candidates if nonce is not None), None)


def django_nonce(request: HttpRequest) -> object:
    """Return what Django's own policy middleware left on the request; it is of Django 6."""
    try:
        from django.middleware.csp import get_nonce
    except ImportError:
        return None
    return get_nonce(request)
