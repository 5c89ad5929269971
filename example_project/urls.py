"""Every address of the example."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from example_project.home import views

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("orders/", include("example_project.orders.urls")),
    path("chat/", include("example_project.chat.urls")),
    path("api/", include("example_project.chat.api")),
    path("admin/", admin.site.urls),
    path("broadcasting/", include("broadcasting.urls")),
    # Asked for by pages that name no icon, such as Django's admin.
    path("favicon.ico", RedirectView.as_view(url=static("home/favicon.svg"))),
]
