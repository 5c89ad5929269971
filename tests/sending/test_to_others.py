from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.client import AsyncRequestFactory

from broadcasting import current_socket_id
from broadcasting.broadcasts import Broadcast
from broadcasting.middleware import SocketIdMiddleware
from tests.testapp.events import OrderCancelled, Ticked
from tests.testapp.models import Order

Outbox = list[Broadcast]


def ably_id(**changes: Any) -> str:
    said = {"connectionKey": "app!key-1", "clientId": "7", **changes}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


MALFORMED = ["undefined", "fake-socket-id", "", "1", "1.2:3", '1.2"', "1.2\n", "٣.٤", "1" * 99]

FOREIGN = ["QbTbk1Pw-VJx_nRXAAAB", "/shop#QbTbk1Pw-VJx_nRXAAAB", ably_id(), ably_id().rstrip("=")]
MALFORMED += [
    "QbTbk1Pw-VJx_nRXAAAB\n",
    "QbTbk1Pw-VJx nRXAAAB",
    ably_id(connectionKey=""),
    ably_id(connectionKey=None),
    ably_id(clientId=7),
    ably_id(connectionKey="k" * 1024),
    base64.urlsafe_b64encode(b'["connectionKey"]').decode(),
    base64.urlsafe_b64encode(b'{"connectionKey": "k"}').decode(),
    base64.urlsafe_b64encode(b"[" * 700).decode(),
    base64.urlsafe_b64encode(b"\xff" * 30).decode(),
]


def excluded(outbox: Outbox) -> list[str | None]:
    return [sent.except_socket for sent in outbox]


class TestMiddleware:
    @pytest.mark.django_db(transaction=True)
    def test_the_tab_that_asked_is_left_out(self, outbox: Outbox, client: Client) -> None:
        """App 12."""
        order = Order.objects.create()
        client.post(f"/testapp/orders/{order.pk}/ship/", headers={"X-Socket-ID": "12.34"})
        assert excluded(outbox) == ["12.34"]

    @pytest.mark.django_db(transaction=True)
    async def test_so_it_is_in_async_views(self, outbox: Outbox, async_client: AsyncClient) -> None:
        """App 12: async context."""
        order = await Order.objects.acreate()
        headers = {"X-Socket-ID": "12.34"}
        await async_client.post("/testapp/tick/1/", headers=headers)
        await async_client.post(f"/testapp/orders/{order.pk}/aship/", headers=headers)
        assert excluded(outbox) == ["12.34", "12.34"]

    def test_without_the_header_everybody_is_sent_to(self, outbox: Outbox, client: Client) -> None:
        """App 12: missing."""
        client.post("/testapp/tick/1/")
        assert excluded(outbox) == [None]

    @pytest.mark.parametrize("header", MALFORMED)
    def test_a_malformed_header_counts_as_none(self, header: str) -> None:
        """App 12: what is no id."""

        def view(request: HttpRequest) -> HttpResponse:
            assert current_socket_id() is None
            return HttpResponse()

        request = RequestFactory().get("/", HTTP_X_SOCKET_ID=header)
        SocketIdMiddleware(view)(request)

    @pytest.mark.parametrize("header", FOREIGN)
    def test_clients_of_other_servers_have_ids_of_other_forms(self, header: str) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(current_socket_id())

        request = RequestFactory().get("/", HTTP_X_SOCKET_ID=header)
        response = SocketIdMiddleware(view)(request)
        assert isinstance(response, HttpResponse)
        assert response.content.decode() == header

    def test_the_id_ends_with_the_request_even_if_it_fails(self) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            assert current_socket_id() == "1.2"
            raise LookupError

        request = RequestFactory().get("/", HTTP_X_SOCKET_ID="1.2")
        with pytest.raises(LookupError):
            SocketIdMiddleware(view)(request)
        assert current_socket_id() is None

    async def test_requests_at_the_same_time_never_see_each_others(self) -> None:
        """App 12: no leakage."""
        everybody_is_in = asyncio.Barrier(10)

        async def view(request: HttpRequest) -> HttpResponse:
            await everybody_is_in.wait()
            return HttpResponse(current_socket_id())

        middleware: Any = SocketIdMiddleware(view)
        answers = await asyncio.gather(
            *(
                middleware(AsyncRequestFactory().get("/", headers={"X-Socket-ID": f"1.{n}"}))
                for n in range(10)
            )
        )
        assert [a.content.decode() for a in answers] == [f"1.{n}" for n in range(10)]
        assert current_socket_id() is None


class TestModifiers:
    def test_the_id_is_captured_when_it_is_dispatched(self, outbox: Outbox) -> None:
        """App 12: captured at dispatch."""
        prepared = Ticked(1).to_others()

        def view(request: HttpRequest) -> HttpResponse:
            prepared.dispatch()
            return HttpResponse()

        SocketIdMiddleware(view)(RequestFactory().get("/", HTTP_X_SOCKET_ID="5.6"))
        prepared.dispatch()
        assert excluded(outbox) == ["5.6", None]

    def test_an_id_of_ones_own_needs_no_request(self, outbox: Outbox) -> None:
        Ticked(1).to_others("7.8").dispatch()
        assert excluded(outbox) == ["7.8"]

    def test_meta_can_ask_for_it_and_a_call_undo_it(self, outbox: Outbox) -> None:
        event = OrderCancelled(Order(pk=1))

        def view(request: HttpRequest) -> HttpResponse:
            event.dispatch()
            event.to_everyone().dispatch()
            return HttpResponse()

        SocketIdMiddleware(view)(RequestFactory().get("/", HTTP_X_SOCKET_ID="1.2"))
        assert excluded(outbox) == ["1.2", None]
