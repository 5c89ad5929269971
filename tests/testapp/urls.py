from __future__ import annotations

from django.urls import path

from tests.testapp import views

urlpatterns = [
    path("orders/<int:pk>/ship/", views.ship),
    path("orders/<int:pk>/aship/", views.aship),
    path("tick/<int:number>/", views.atick),
]
