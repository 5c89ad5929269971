"""A strict content security policy, to prove that nothing of ours needs a laxer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

Handler = Callable[[HttpRequest], Any]

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self' ws: wss:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


@sync_and_async_middleware
def content_security_policy(get_response: Handler) -> Handler:
    """Send the policy with every page but Django's own error pages, which have inline styles.

    From Django 6 on, ``django.middleware.csp`` and the setting SECURE_CSP do the same.
    """
    if iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> HttpResponseBase:
            return protect(await get_response(request))

        return amiddleware

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return protect(get_response(request))

    return middleware


def protect(response: HttpResponseBase) -> HttpResponseBase:
    """Return ``response`` with the policy, where it belongs."""
    if not (settings.DEBUG and response.status_code >= 400):
        response.headers.setdefault("Content-Security-Policy", POLICY)
    return response
