from __future__ import annotations

from django.urls import path

from example_project.orders import views

app_name = "orders"

urlpatterns = [
    path("", views.order_list, name="list"),
    path("place/", views.place, name="place"),
    path("<int:pk>/", views.card, name="card"),
    path("<int:pk>/ship/", views.ship, name="ship"),
]
