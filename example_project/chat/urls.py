from __future__ import annotations

from django.urls import path

from example_project.chat import views

app_name = "chat"

urlpatterns = [
    path("", views.index, name="index"),
    path("<slug:slug>/", views.room, name="room"),
    path("<slug:slug>/post/", views.post, name="post"),
]
