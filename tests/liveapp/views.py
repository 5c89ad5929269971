from __future__ import annotations

import json
import time

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

import broadcasting
from broadcasting.broadcasters import broadcasters
from broadcasting.exceptions import PublishError
from tests.blog.models import Post
from tests.liveapp.events import Happened
from tests.liveapp.notifications import Paid, Reminded


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


@csrf_exempt
def dispatch(request: HttpRequest) -> JsonResponse:
    """Dispatch inside a transaction; answer how long it took and what was raised.

    JSON body: channel, number, to_others, rollback.
    """
    wish = json.loads(request.body)
    happening = Happened(wish["channel"], wish["number"])
    started = time.perf_counter()
    error = None
    try:
        with transaction.atomic():
            User.objects.filter(pk=0).update(first_name="x")
            event = happening.to_others() if wish.get("to_others") else happening.to_everyone()
            event.dispatch()
            if wish.get("rollback"):
                transaction.set_rollback(True)
    except PublishError as problem:
        error = type(problem).__name__
    seconds = time.perf_counter() - started
    return JsonResponse({"seconds": seconds, "error": error})


@csrf_exempt
async def adispatch(request: HttpRequest) -> JsonResponse:
    """See dispatch(); from an async view."""
    wish = json.loads(request.body)
    started = time.perf_counter()
    error = None
    try:
        await Happened(wish["channel"], wish["number"]).adispatch()
    except PublishError as problem:
        error = type(problem).__name__
    return JsonResponse({"seconds": time.perf_counter() - started, "error": error})


@csrf_exempt
def rows(request: HttpRequest) -> JsonResponse:
    """Save or delete a post; the model says the rest. JSON body: pk, title (None: delete)."""
    wish = json.loads(request.body)
    if wish["title"] is None:
        Post.objects.get(pk=wish["pk"]).delete()
    else:
        Post(pk=wish["pk"], title=wish["title"]).save()
    return JsonResponse({"seconds": 0, "error": None})


@csrf_exempt
def notify(request: HttpRequest) -> JsonResponse:
    """Remind users, then tell them that somebody paid. JSON body: users, number."""
    wish = json.loads(request.body)
    users = User.objects.filter(username__in=wish["users"])
    for kind in (Reminded, Paid):
        broadcasting.notify(users, kind(wish["number"]))
    return JsonResponse({"seconds": 0, "error": None})


@csrf_exempt
async def anotify(request: HttpRequest) -> JsonResponse:
    """See notify(); from an async view."""
    wish = json.loads(request.body)
    users = User.objects.filter(username__in=wish["users"])
    for kind in (Reminded, Paid):
        await broadcasting.anotify(users, kind(wish["number"]))
    return JsonResponse({"seconds": 0, "error": None})


@csrf_exempt
def revoke(request: HttpRequest) -> JsonResponse:
    """Take a user away from a channel, or all of its connections. JSON body: user, channel."""
    wish = json.loads(request.body)
    user = User.objects.get(username=wish["user"])
    if "channel" in wish:
        broadcasting.revoke(user=user, channel=wish["channel"])
    else:
        broadcasting.disconnect(user=user)
    return JsonResponse({"seconds": 0, "error": None})


@csrf_exempt
async def arevoke(request: HttpRequest) -> JsonResponse:
    """See revoke(); from an async view."""
    wish = json.loads(request.body)
    user = await User.objects.aget(username=wish["user"])
    if "channel" in wish:
        await broadcasting.arevoke(user=user, channel=wish["channel"])
    else:
        await broadcasting.adisconnect(user=user)
    return JsonResponse({"seconds": 0, "error": None})


@csrf_exempt
def deactivate(request: HttpRequest) -> JsonResponse:
    """Let a user in, or no more. JSON body: user, active."""
    wish = json.loads(request.body)
    user = User.objects.get(username=wish["user"])
    user.is_active = wish["active"]
    with transaction.atomic():
        user.save()
    return JsonResponse({"seconds": 0, "error": None})


@csrf_exempt
def forged_auth(request: HttpRequest) -> JsonResponse:
    """Answer as an auth view that knows the wrong secret."""
    return JsonResponse({"auth": "app-key:" + "0" * 64})


@csrf_exempt
def read(request: HttpRequest) -> JsonResponse:
    """Ask the default broadcaster. JSON body: ask (a method of it), name."""
    wish = json.loads(request.body)
    found = getattr(broadcasters["default"], wish["ask"])(wish["name"])
    return JsonResponse({"found": found})


@csrf_exempt
async def aread(request: HttpRequest) -> JsonResponse:
    """See read(); from an async view."""
    wish = json.loads(request.body)
    found = await getattr(broadcasters["default"], f"a{wish['ask']}")(wish["name"])
    return JsonResponse({"found": found})
