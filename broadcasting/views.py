"""The HTTP face of authorization: what Echo and pusher-js post to, for channels and sign-ins.

Asks ``authorization``, writes JSON. Never redirects, never reads the messages and never
writes the session: a background request must not eat what the next page wants to show.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from broadcasting.authorization import Identity, Outcome, authorize, identify
from broadcasting.authorization.dialects import find_dialect
from broadcasting.authorization.requests import (
    TooLarge,
    check_announced_size,
    csrf_problem,
    read_fields,
    read_question,
    read_socket_id,
)
from broadcasting.conf import get_settings

logger = logging.getLogger("broadcasting.authorization")

View = Callable[..., HttpResponse]

_PUBLIC_WORDS = {403: "This channel may not be joined.", 500: "The channel's rule failed."}
_PUBLIC_WORDS_OF_USERS = {403: "You may not sign in.", 500: "The sign-in failed."}


def _endpoint(words: Mapping[int, str]) -> Callable[[View], View]:
    """Let a view answer POSTs that can be read; what it raises becomes an answer as well.

    ``words``: what visitors are told instead of a reason, by status.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def answer(request: HttpRequest, **arguments: Any) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            try:
                # First, since the CSRF check reads the form.
                check_announced_size(request)
                if problem := csrf_problem(request):
                    logger.warning("Refused: CSRF verification failed: %s", problem)
                    return _message(403, f"CSRF verification failed: {problem}", words)
                return view(request, **arguments)
            except (TooLarge, BadRequest) as error:
                return unreadable(error)

        exempt: View = csrf_exempt(never_cache(login_not_required(answer)))
        return exempt

    return decorate


@_endpoint(_PUBLIC_WORDS)
def auth(request: HttpRequest, via: str | None = None) -> HttpResponse:
    """Answer whether the visitor may join one channel or many.

    POST, as a form or JSON: ``socket_id`` and ``channel_name`` (``channel_name[]`` or a
    JSON list for many). One: 200 with the signed answer, 400 or 403 with a message. Many:
    200 with ``{channel: {"status": ..., "data": ...}}``. The reason of a refusal is in the
    log, and in the body when DEBUG is on. ``via``: the alias of the broadcaster whose clients
    ask; None: the default one.
    """
    return answer_channels(request, Identity(request), via)


@_endpoint(_PUBLIC_WORDS_OF_USERS)
def user_auth(request: HttpRequest) -> HttpResponse:
    """Answer whom the visitor's connection signs in as.

    POST, as a form or JSON: ``socket_id``. 200 with ``auth`` and ``user_data``; 400 or 403
    with a message, whose reason is in the log, and in the body when DEBUG is on.
    """
    return answer_user(request, Identity(request))


def answer_channels(request: HttpRequest, identity: Identity, via: str | None) -> HttpResponse:
    """See auth(). Raises BadRequest and TooLarge, for unreadable()."""
    if via is not None and via not in get_settings().broadcasters:
        return JsonResponse({"message": "There is no such broadcaster."}, status=404)
    dialect = find_dialect(via)
    fields = read_fields(request, dialect.max_bytes)
    dialect = dialect.asked_with(fields)
    question = read_question(fields, names_socket=dialect.names_socket)
    if question.many:
        entries = {}
        for channel in question.channels:
            decision = authorize(
                request, channel, question.socket_id, identity=identity, dialect=dialect
            )
            entries[channel] = {
                "status": decision.status,
                "data": _body(decision, _PUBLIC_WORDS),
            }
        return JsonResponse(entries)
    name = question.channels[0] if question.channels else ""
    if not name and not dialect.greets:
        logger.warning("Refused: the request names no channel")
        return _message(403, "channel_name is missing", _PUBLIC_WORDS)
    decision = authorize(request, name, question.socket_id, identity=identity, dialect=dialect)
    return JsonResponse(_body(decision, _PUBLIC_WORDS), status=decision.status, safe=False)


def answer_user(request: HttpRequest, identity: Identity) -> HttpResponse:
    """See user_auth(). Raises BadRequest and TooLarge, for unreadable()."""
    found = identify(request, read_socket_id(request), identity=identity)
    return JsonResponse(_body(found, _PUBLIC_WORDS_OF_USERS), status=found.status)


def unreadable(error: TooLarge | BadRequest) -> HttpResponse:
    """Return the answer to a request that cannot be read."""
    if isinstance(error, TooLarge):
        return JsonResponse({"message": "The request is too large."}, status=413)
    return JsonResponse({"message": str(error)}, status=400)


def _body(outcome: Outcome, words: Mapping[int, str]) -> Mapping[str, Any] | bool:
    if outcome.answer is not None:
        # Where there is nothing to tell, yes is the answer, as Laravel gives it.
        return outcome.answer or True
    return {"message": _shown(outcome.status, outcome.reason, words)}


def _message(status: int, reason: str, words: Mapping[int, str]) -> JsonResponse:
    return JsonResponse({"message": _shown(status, reason, words)}, status=status)


def _shown(status: int, reason: str, words: Mapping[int, str]) -> str:
    return reason if django_settings.DEBUG else words.get(status, reason)
