"""What the auth views are asked: forms and JSON of bounded size, as clients post them.

Reads, and says what cannot be read; decides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CsrfViewMiddleware

from broadcasting.conf import get_settings
from broadcasting.protocol.names import is_socket_id

MAX_CHANNELS = 100
MAX_BYTES_OF_ONE = 8 * 1024
MAX_BYTES_OF_MANY = 64 * 1024

_MANY = re.compile(r"channel_name\[\d*\]")


class TooLarge(Exception):
    """A body above the limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a client wants to join."""

    socket_id: str
    channels: list[str]
    many: bool
    """Whether the answer is keyed by channel, which one channel in a list is too."""


def read_question(fields: Mapping[str, Any], *, names_socket: bool = True) -> Question:
    """Return which channels are asked for. Raises BadRequest.

    ``names_socket``: whether it must be said by which connection; if not, nobody reads it.
    """
    socket_id = _socket_id(fields) if names_socket else ""
    names = fields.get("channel_name")
    many = isinstance(names, list)
    channels = names if isinstance(names, list) else [names] if names else []
    if not all(isinstance(name, str) for name in channels):
        raise BadRequest("channel_name must be a string or a list of strings")
    if len(channels) > MAX_CHANNELS:
        raise BadRequest(f"More than {MAX_CHANNELS} channels in one request")
    return Question(socket_id=socket_id, channels=channels, many=many)


def read_socket_id(request: HttpRequest) -> str:
    """Return which connection wants to sign in. Raises BadRequest, TooLarge."""
    return _socket_id(read_fields(request))


def check_announced_size(request: HttpRequest) -> None:
    """Raise TooLarge before a body is read; BadRequest for a length that is no number."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise BadRequest("The Content-Length is no number")
    _check_size(int(length))


def csrf_problem(request: HttpRequest) -> str | None:
    """Return why Django's CSRF check refuses ``request``, if the settings want it at all."""
    if not get_settings().authorization.csrf:
        return None
    accept_csrf_header(request)
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    # Not asked about our own view, which is exempt.
    return check.process_view(request, HttpResponse, (), {})  # type: ignore[return-value]


def accept_csrf_header(request: HttpRequest) -> None:
    """Let the header that Echo sends count as Django's, which has another name."""
    if "HTTP_X_CSRF_TOKEN" in request.META:
        request.META.setdefault(django_settings.CSRF_HEADER_NAME, request.META["HTTP_X_CSRF_TOKEN"])


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _socket_id(fields: Mapping[str, Any]) -> str:
    socket_id = fields.get("socket_id")
    if not isinstance(socket_id, str) or not is_socket_id(socket_id):
        raise BadRequest("socket_id is malformed")
    return socket_id


def read_fields(request: HttpRequest, max_bytes: int = MAX_BYTES_OF_ONE) -> Mapping[str, Any]:
    """Return the body's fields over those of the query, a list only where many were meant.

    ``max_bytes``: of a body that is about one channel. Raises BadRequest, TooLarge.
    """
    try:
        return _read(request, max_bytes)
    except (MultiPartParserError, SuspiciousOperation):
        raise BadRequest("The form cannot be read") from None


def _read(request: HttpRequest, max_bytes: int) -> Mapping[str, Any]:
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
    if length > max_bytes and not isinstance(fields.get("channel_name"), list):
        raise TooLarge
    return fields


def _check_size(length: int) -> None:
    if length > MAX_BYTES_OF_MANY:
        raise TooLarge


def _plain(form: Any) -> dict[str, Any]:
    fields = form.dict()
    many = [v for key in form if _MANY.fullmatch(key) for v in form.getlist(key)]
    if not many and len(form.getlist("channel_name")) > 1:
        many = form.getlist("channel_name")
    return {**fields, "channel_name": many} if many else fields
