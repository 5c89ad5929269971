"""The package's Django views, for ``include("broadcasting.urls")``."""

from __future__ import annotations

from django.urls import path

from broadcasting import views, welcome

app_name = "broadcasting"

urlpatterns = [
    path("auth", views.auth, name="auth"),
    path("<str:via>/auth", views.auth, name="auth"),
    path("user-auth", views.user_auth, name="user-auth"),
    path("welcome/", welcome.page, name="welcome"),
    path("welcome/send", welcome.send, name="welcome-send"),
]
