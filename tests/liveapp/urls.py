from __future__ import annotations

from django.urls import include, path

from tests.liveapp import contexts, inside, views

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
    path("sync-contexts/", contexts.sync_contexts),
    path("async-contexts/", contexts.async_contexts),
    path("task-contexts/", contexts.task_contexts),
    path("forged-auth/", views.forged_auth),
    path("inside/", inside.inside),
]
