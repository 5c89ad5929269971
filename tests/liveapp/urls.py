from __future__ import annotations

from django.urls import include, path

from tests.liveapp import views

urlpatterns = [
    path("", views.ready),
    path("broadcasting/", include("broadcasting.urls")),
    path("dispatch/", views.dispatch),
    path("adispatch/", views.adispatch),
    path("rows/", views.rows),
    path("notify/", views.notify),
    path("anotify/", views.anotify),
    path("revoke/", views.revoke),
    path("arevoke/", views.arevoke),
    path("deactivate/", views.deactivate),
    path("read/", views.read),
    path("aread/", views.aread),
    path("forged-auth/", views.forged_auth),
]
