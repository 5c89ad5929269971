"""The HTTP face of channel authorization: what Echo and pusher-js post to.

Reads a request, asks ``authorization``, writes JSON. Never redirects, never reads the
messages and never writes the session: a background request must not eat what the next
page wants to show.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from broadcasting.authorization import Decision, Identity, authorize
from broadcasting.conf import get_settings
from broadcasting.protocol.names import is_socket_id

logger = logging.getLogger("broadcasting.authorization")

MAX_CHANNELS = 100
MAX_BYTES_OF_ONE = 8 * 1024
MAX_BYTES_OF_MANY = 64 * 1024

_MANY = re.compile(r"channel_name\[\d*\]")
_PUBLIC_WORDS = {403: "This channel may not be joined.", 500: "The channel's rule failed."}


class TooLarge(Exception):
    """A body above the limits of this view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a client wants to join."""

    socket_id: str
    channels: list[str]
    many: bool
    """Whether the answer is keyed by channel, which one channel in a list is too."""


@csrf_exempt
@never_cache
@login_not_required
def auth(request: HttpRequest) -> HttpResponse:
    """Answer whether the visitor may join one channel or many.

    POST, as a form or JSON: ``socket_id`` and ``channel_name`` (``channel_name[]`` or a
    JSON list for many). One: 200 with the signed answer, 400 or 403 with a message. Many:
    200 with ``{channel: {"status": ..., "data": ...}}``. The reason of a refusal is in the
    log, and in the body when DEBUG is on.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        # First, since the CSRF check reads the form.
        _check_size(_announced(request))
        if problem := _csrf_problem(request):
            logger.warning("Refused: CSRF verification failed: %s", problem)
            return _message(403, f"CSRF verification failed: {problem}")
        question = read_question(request)
    except TooLarge:
        return JsonResponse({"message": "The request is too large."}, status=413)
    except BadRequest as error:
        return JsonResponse({"message": str(error)}, status=400)
    if question.many:
        identity = Identity(request)
        return JsonResponse(
            {
                channel: _entry(authorize(request, channel, question.socket_id, identity=identity))
                for channel in question.channels
            }
        )
    if not question.channels:
        logger.warning("Refused: the request names no channel")
        return _message(403, "channel_name is missing")
    entry = _entry(authorize(request, question.channels[0], question.socket_id))
    return JsonResponse(entry["data"], status=entry["status"])


def read_question(request: HttpRequest) -> Question:
    """Return what is asked. Raises BadRequest for what cannot be read, TooLarge."""
    try:
        fields = _fields(request)
    except (MultiPartParserError, SuspiciousOperation):
        raise BadRequest("The form cannot be read") from None
    socket_id = fields.get("socket_id")
    if not isinstance(socket_id, str) or not is_socket_id(socket_id):
        raise BadRequest("socket_id is malformed")
    names = fields.get("channel_name")
    many = isinstance(names, list)
    channels = names if isinstance(names, list) else [names] if names else []
    if not all(isinstance(name, str) for name in channels):
        raise BadRequest("channel_name must be a string or a list of strings")
    if len(channels) > MAX_CHANNELS:
        raise BadRequest(f"More than {MAX_CHANNELS} channels in one request")
    return Question(socket_id=socket_id, channels=channels, many=many)


def _fields(request: HttpRequest) -> Mapping[str, Any]:
    """Return the body's fields over those of the query, a list only where many were meant."""
    query = _plain(request.GET)
    if request.content_type == "multipart/form-data":
        return {**query, **_plain(request.POST)}
    # Again: a chunked body announces no length.
    _check_size(length := len(request.body))
    if request.content_type == "application/json":
        try:
            body = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON") from None
        if not isinstance(body, dict):
            raise BadRequest("The body must be a JSON object")
    else:
        body = _plain(request.POST)
    fields = {**query, **body}
    if length > MAX_BYTES_OF_ONE and not isinstance(fields.get("channel_name"), list):
        raise TooLarge
    return fields


def _announced(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise BadRequest("The Content-Length is no number")
    return int(length)


def _check_size(length: int) -> None:
    if length > MAX_BYTES_OF_MANY:
        raise TooLarge


def _plain(form: Any) -> dict[str, Any]:
    fields = form.dict()
    many = [v for key in form if _MANY.fullmatch(key) for v in form.getlist(key)]
    if not many and len(form.getlist("channel_name")) > 1:
        many = form.getlist("channel_name")
    return {**fields, "channel_name": many} if many else fields


def _entry(decision: Decision) -> dict[str, Any]:
    data: Mapping[str, str] | None = decision.answer
    if data is None:
        data = {"message": _words(decision.status, decision.reason)}
    return {"status": decision.status, "data": data}


def _message(status: int, reason: str) -> JsonResponse:
    return JsonResponse({"message": _words(status, reason)}, status=status)


def _words(status: int, reason: str) -> str:
    return reason if django_settings.DEBUG else _PUBLIC_WORDS.get(status, reason)


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _csrf_problem(request: HttpRequest) -> str | None:
    """Return why Django's CSRF check refuses ``request``, if the settings want it at all."""
    if not get_settings().authorization.csrf:
        return None
    # Echo has its own name for the header.
    if "HTTP_X_CSRF_TOKEN" in request.META:
        request.META.setdefault(django_settings.CSRF_HEADER_NAME, request.META["HTTP_X_CSRF_TOKEN"])
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    # Not asked about our own view, which is exempt.
    return check.process_view(request, HttpResponse, (), {})  # type: ignore[return-value]
