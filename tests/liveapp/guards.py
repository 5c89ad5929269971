from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest


def token_user(request: HttpRequest) -> User | None:
    """Return the user whose name stands in ``Authorization: Bearer name``."""
    kind, _, name = request.headers.get("Authorization", "").partition(" ")
    return User.objects.filter(username=name).first() if kind == "Bearer" else None
