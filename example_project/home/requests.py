"""What views know about their visitors."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest


class UserRequest(HttpRequest):
    """A request behind ``login_required``. For type checkers; Django makes plain ones."""

    user: User


def wants_json(request: HttpRequest) -> bool:
    """Whether a script asked, rather than a form that expects a page."""
    return request.headers.get("Accept") == "application/json"
