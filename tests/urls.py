from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("broadcasting/", include("broadcasting.urls")),
    path("testapp/", include("tests.testapp.urls")),
]
