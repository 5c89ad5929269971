"""The front page and the way in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from example_project.home.seed import PASSWORD, USERS
from example_project.ticker.models import Activity


def home(request: HttpRequest) -> HttpResponse:
    """Show what happens in the shop, to anybody."""
    return render(request, "home/home.html", {"activities": Activity.latest()})


class Login(LoginView):
    """Django's own form, and a button for each demo user."""

    redirect_authenticated_user = False

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"users": USERS, "password": PASSWORD}
