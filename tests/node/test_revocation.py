"""What Echo and pusher-js make of access that is taken away."""

from __future__ import annotations

import pytest

from tests.live import Server
from tests.node.conftest import Pages

pytestmark = pytest.mark.node


@pytest.fixture
def pages(pages_of_both: Pages) -> Pages:
    return pages_of_both


def test_a_revoked_channel_reaches_the_error_callback(server: Server, pages: Pages) -> None:
    page, other = pages(server, "ada"), pages(server, "bob")
    for one in (page, other):
        one.connect()
        one.listen("private", "orders.1", "Happened")
        one.join("private", "orders.1")
    page.post("/revoke/", user="ada", channel="private-orders.1")
    error = page.wait("refused", name="orders.1")["error"]
    assert (error["type"], error["status"]) == ("AuthError", 403)
    page.dispatch("private-orders.1", 1)
    other.wait("heard", name="orders.1")
    page.settle()
    assert not page.seen("heard")


def test_who_is_asked_anew_comes_back(server: Server, pages: Pages) -> None:
    """Echo leaves the channel and joins it again, which asks the rule."""
    page = pages(server, "ada")
    page.connect()
    page.join("private", "orders.1")
    page.post("/revoke/", user="ada", channel="private-orders.1")
    page.wait("refused", name="orders.1")
    page.do("leave", name="orders.1")
    page.listen("private", "orders.1", "Happened")
    page.wait("subscribed", name="orders.1")
    page.dispatch("private-orders.1", 2)
    assert page.wait("heard", name="orders.1")["data"] == {"number": 2}


def test_a_disconnected_user_stays_away(server: Server, pages: Pages) -> None:
    """It never signed in: the channel's answer said whose it is."""
    page = pages(server, "ada")
    page.connect()
    page.join("private", "orders.1")
    page.post("/revoke/", user="ada")
    page.wait("state", current="disconnected")


def test_a_deactivated_user_returns_and_asks_anew(server: Server, pages: Pages) -> None:
    page = pages(server, "ada")
    page.connect()
    page.join("private", "orders.1")
    page.post("/deactivate/", user="ada", active=False)
    page.post("/deactivate/", user="ada", active=True)
    page.wait("state", current="connected")
    page.wait("subscribed", name="orders.1")
