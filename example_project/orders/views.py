"""Pages and actions of the orders. Each action also works as a plain form, without scripts."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from broadcasting import notify
from example_project.home.requests import UserRequest, wants_json
from example_project.orders.events import OrderPlaced, OrderShipped
from example_project.orders.models import Item, Order, may_ship
from example_project.orders.notifications import PotOnItsWay
from example_project.ticker.events import record


def visible_orders(request: UserRequest) -> QuerySet[Order]:
    """Return what the visitor may see: their own, or all for the pottery."""
    orders = Order.objects.select_related("customer")
    return orders if may_ship(request.user) else orders.filter(customer=request.user)


@login_required
@require_GET
def order_list(request: UserRequest) -> HttpResponse:
    """Show the orders, newest first."""
    context = {
        "orders": visible_orders(request)[:30],
        "items": list(Item),
        "may_ship": may_ship(request.user),
    }
    return render(request, "orders/list.html", context)


@login_required
@require_GET
def card(request: UserRequest, pk: int) -> HttpResponse:
    """Show one order as it stands in the list, for pages that have just heard of it."""
    order = get_object_or_404(visible_orders(request), pk=pk)
    return render(request, "orders/card.html", {"order": order, "may_ship": may_ship(request.user)})


@login_required
@require_POST
def place(request: UserRequest) -> HttpResponse:
    """Order a pot."""
    try:
        item = Item(request.POST.get("item", ""))
    except ValueError:
        raise BadRequest("There is no such item") from None
    with transaction.atomic():
        order = Order.place(customer=request.user, item=item)
        # Inside the transaction on purpose: events wait for the commit by themselves.
        OrderPlaced(order).to_others().dispatch()
        record(f"New order: one {item.label.lower()}")
    if wants_json(request):
        return JsonResponse({"id": order.pk, "number": order.number}, status=201)
    return redirect("orders:list")


@login_required
@require_POST
def ship(request: UserRequest, pk: int) -> HttpResponse:
    """Send the pot off. The tab that asked learns it from the answer, all others by event."""
    if not may_ship(request.user):
        raise PermissionDenied
    with transaction.atomic():
        order = get_object_or_404(Order.objects.select_for_update(), pk=pk)
        if order.status != Order.Status.SHIPPED:
            order.status = Order.Status.SHIPPED
            order.save(update_fields=["status"])
            OrderShipped(order).to_others().dispatch()
            notify(order.customer, PotOnItsWay(order.number, order.get_item_display().lower()))
            record(f"On its way: one {order.get_item_display().lower()}")
    if wants_json(request):
        return JsonResponse({"id": order.pk, "number": order.number, "status": order.status})
    return redirect("orders:list")
