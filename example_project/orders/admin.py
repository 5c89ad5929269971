from __future__ import annotations

from django.contrib import admin

from example_project.orders.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("number", "customer", "item", "status", "total", "placed")
    list_filter = ("status", "item")
