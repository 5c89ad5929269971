"""The page at ``broadcasting/welcome/``: press a button, see a real event arrive.

There under DEBUG only. It sends the way a project sends, through queue, broadcaster,
backplane and server, on a public channel that only this page knows.
"""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

import django
from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.crypto import get_random_string
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_POST

from broadcasting import Channel, ShouldBroadcast, __version__
from broadcasting.applications import default_application
from broadcasting.broadcasters import SILENT
from broadcasting.conf import get_settings
from broadcasting.exceptions import BroadcastingError
from broadcasting.queues import get_queue

EVENT = "broadcasting.welcome"
WAIT_SECONDS = 5
"""How long the page waits at each step before it says where it stopped."""

_TOKEN = re.compile(r"[A-Za-z0-9]{1,40}")


class WelcomePressed(ShouldBroadcast):
    """The button of one open page was pressed; ``press`` tells the page which time."""

    page: str
    press: str

    def broadcast_on(self) -> Channel:
        return Channel(channel_of(self.page))

    def broadcast_as(self) -> str:
        return EVENT


def channel_of(page: str) -> str:
    """Return the name of the channel that the page with this token listens to."""
    return f"broadcasting-welcome.{page}"


@login_not_required
@never_cache
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show the page. 404 unless DEBUG."""
    _refuse_outside_debug()
    token = get_random_string(22)
    conf = get_settings()
    package = str(getattr(django_settings, "ROOT_URLCONF", "")).rpartition(".")[0] or "your_app"
    entry = conf.broadcasters[conf.default_broadcaster]
    context = {
        "token": token,
        "channel": channel_of(token),
        "event": EVENT,
        "wait": WAIT_SECONDS,
        "package": package,
        "silent": entry.backend if entry.backend in SILENT else None,
        "queue": conf.queue.backend,
        "queue_leaves": get_queue().leaves_process,
        "facts": [
            ("Broadcasting", __version__),
            ("Django", django.get_version()),
            ("Broadcaster", entry.backend),
            ("Queue", conf.queue.backend),
            ("Backplane", conf.backplane.backend),
            ("Application", default_application().id),
        ],
    }
    response = render(request, "broadcasting/welcome.html", context)
    # Its own, so that it runs whatever the site's policy is: a middleware leaves it alone.
    response["Content-Security-Policy"] = _policy()
    return response


@login_not_required
@never_cache
@csrf_protect
@require_POST
def send(request: HttpRequest) -> JsonResponse:
    """Dispatch one event to the page that asks. 404 unless DEBUG.

    Form fields ``page`` and ``press``, both letters and digits. Answers with how long the
    dispatch took in milliseconds, or with 503 and what went wrong.
    """
    _refuse_outside_debug()
    fields = [request.POST.get(name, "") for name in ("page", "press")]
    if not all(_TOKEN.fullmatch(field) for field in fields):
        return JsonResponse(
            {"message": "'page' and 'press' must be letters and digits"}, status=400
        )
    started = time.perf_counter()
    try:
        WelcomePressed(*fields).dispatch()
    except (BroadcastingError, ImproperlyConfigured) as problem:
        return JsonResponse({"message": str(problem)}, status=503)
    return JsonResponse({"milliseconds": (time.perf_counter() - started) * 1000})


def _policy() -> str:
    files = urlsplit(static(""))
    # A host without a scheme is one of the page's own.
    host = f"{files.scheme}://{files.netloc}".removeprefix("://")
    ours = f"'self' {host}" if files.netloc else "'self'"
    return (
        f"default-src 'none'; script-src {ours}; style-src {ours}; img-src {ours};"
        " connect-src 'self' ws: wss:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _refuse_outside_debug() -> None:
    if not django_settings.DEBUG:
        raise Http404("The welcome page is there under DEBUG only")
