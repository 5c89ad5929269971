from __future__ import annotations

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from tests.testapp.events import OrderShipped, Ticked
from tests.testapp.models import Order


class Undone(Exception):
    """Rolls a transaction back."""


def ship_order(pk: int, *, fail: bool) -> None:
    with transaction.atomic():
        order = Order.objects.get(pk=pk)
        order.status = "shipped"
        order.save()
        OrderShipped(order).to_others().dispatch()
        if fail:
            raise Undone


def ship(request: HttpRequest, pk: int) -> HttpResponse:
    try:
        ship_order(pk, fail="fail" in request.GET)
    except Undone:
        return HttpResponse(status=409)
    return HttpResponse(status=204)


async def aship(request: HttpRequest, pk: int) -> HttpResponse:
    try:
        await sync_to_async(ship_order)(pk, fail="fail" in request.GET)
    except Undone:
        return HttpResponse(status=409)
    return HttpResponse(status=204)


async def atick(request: HttpRequest, number: int) -> HttpResponse:
    await Ticked(number).to_others().adispatch()
    return HttpResponse(status=204)
