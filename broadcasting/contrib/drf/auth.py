"""The auth views as views of Django REST framework, for sites whose users bring a token.

Who the visitor is, how often they may ask and who may ask at all is said as for any other of
the site's API views; the answers are those of ``broadcasting.views``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from broadcasting.authorization import Identity
from broadcasting.authorization.guards import SESSION
from broadcasting.authorization.requests import (
    TooLarge,
    accept_csrf_header,
    check_announced_size,
)
from broadcasting.views import answer_channels, answer_user, unreadable


@method_decorator([never_cache, login_not_required], name="dispatch")
class _AuthView(APIView):
    """Speaks JSON alone, and refuses nobody by itself: the channel rules do."""

    http_method_names: Sequence[str] = ("post",)
    permission_classes: Sequence[type[BasePermission]] = ()
    renderer_classes = (JSONRenderer,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        accept_csrf_header(request)
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # First, since SessionAuthentication reads the form for its CSRF check.
        check_announced_size(request._request)
        super().initial(request, *args, **kwargs)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # There is one renderer, whatever a client says that it accepts.
        return super().perform_content_negotiation(request, force=True)

    def handle_exception(self, exc: Exception) -> Any:
        return (
            unreadable(exc)
            if isinstance(exc, TooLarge | BadRequest)
            else super().handle_exception(exc)
        )


class BroadcastingAuthView(_AuthView):
    """Answers whether the visitor may join one channel or many, as ``broadcasting:auth`` does.

    The visitor is whom ``authentication_classes`` find, instead of ``AUTHORIZATION["GUARDS"]``;
    a rule's own ``guards`` are asked all the same. Guests are refused with 403 by the rules, so
    that ``permission_classes`` are none unless a subclass has some. ``throttle_classes`` count
    a request about many channels once.
    """

    def post(self, request: Request, via: str | None = None) -> HttpResponse:
        return answer_channels(request._request, _found(request), via)


class BroadcastingUserAuthView(_AuthView):
    """Answers whom the visitor's connection signs in as, as ``broadcasting:user-auth`` does.

    The visitor is whom ``authentication_classes`` find.
    """

    def post(self, request: Request) -> HttpResponse:
        return answer_user(request._request, _found(request))


def _found(request: Request) -> Identity:
    # The framework notes whom it found on Django's request as well, once it is asked.
    request._request.user = request.user
    return Identity(request._request, guards=(SESSION,))
