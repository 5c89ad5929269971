"""@laravel/echo-react and @laravel/echo-vue, unmodified, in a real document (5.19)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.clients import bundle, open_page
from tests.browser.conftest import Visitor, Visitors
from tests.conformance.caller import Caller
from tests.live import Server
from tests.node.process import missing

NOTIFICATION = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"

Open = Callable[..., Page]

OWN = {"ada": "auth.User.1", "bob": "auth.User.2"}
"""The private channel of each user."""


@pytest.fixture(scope="session")
def pages_of_hooks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("hooks")
    return {name: bundle(f"hooks/{name}", folder) for name in ("react.jsx", "vue.js")}


@pytest.fixture
def visitors(chromium: Browser) -> Iterator[Visitors]:
    visitors = Visitors(chromium)
    yield visitors
    visitors.close()
    assert not [text for visitor in visitors.all for text in visitor.complaints]


@pytest.fixture(params=[("react.jsx", "reverb"), ("vue.js", "pusher")], ids=["react", "vue"])
def open_hooks(
    request: pytest.FixtureRequest,
    server: Server,
    visitors: Visitors,
    pages_of_hooks: dict[str, Path],
) -> Open:
    """Call it with a user for a tab whose channels are joined.

    In each framework, which have another broadcaster each.
    """
    source, broadcaster = request.param

    def open_one(user: str) -> Page:
        return open_as(visitors.new(), server, pages_of_hooks[source], user, broadcaster)

    return open_one


def open_as(visitor: Visitor, server: Server, script: Path, user: str, broadcaster: str) -> Page:
    options = {
        "broadcaster": broadcaster,
        "cluster": "",
        "key": "app-key",
        "namespace": False,
        "wsHost": "127.0.0.1",
        "wsPort": server.port,
        "forceTLS": False,
        "enabledTransports": ["ws"],
        "bearerToken": user,
        "own": OWN[user],
    }
    page = open_page(visitor, server, script, options=options, kind="module")
    expect(page.locator("#status")).to_have_text("connected")
    joined(page)
    return page


def joined(page: Page) -> None:
    """Return once every channel of the page is joined, and there are some."""
    page.wait_for_function(
        """() => {
          const channels = echo().connector.pusher.allChannels();
          return channels.length && channels.every((channel) => channel.subscribed);
        }"""
    )


def expect_heard(page: Page, *texts: str) -> None:
    expect(page.locator("li")).to_have_text(list(texts))


def test_every_hook_hears_its_own(server: Server, open_hooks: Open) -> None:
    """245, 249: private, model, notification, public and presence."""
    page = open_hooks("ada")
    expect_heard(page, 'here ["ada"]')
    caller = Caller(server)
    for channel, name, data in (
        ("private-orders.1", "Happened", '"order"'),
        ("private-orders.1", "order.shipped", '"custom"'),
        ("private-orders.1", "Other", '"nobody"'),
        ("private-shop.Order.1", "OrderUpdated", '{"model":{"id":1}}'),
        ("private-App.Models.User.1", NOTIFICATION, '{"type":"other"}'),
        ("private-App.Models.User.1", NOTIFICATION, '{"type":"paid","id":"7"}'),
        ("ticker", "Happened", '"ticker"'),
        ("presence-chat.hooks", "Happened", '"room"'),
    ):
        assert caller.trigger(channel, name, data).status == 200
    expect_heard(
        page,
        'here ["ada"]',
        'order "order"',
        'order "custom"',
        'model {"model":{"id":1}}',
        'notification {"type":"paid","id":"7"}',
        'ticker "ticker"',
        'room "room"',
    )


def test_models_and_notifications_are_heard(server: Server, open_hooks: Open) -> None:
    """App 16: what Django sends by itself is what the hooks listen to, and no more of it."""
    page = open_hooks("ada")
    expect_heard(page, 'here ["ada"]')
    for path, wish in (
        ("rows", {"pk": 1, "title": "One"}),
        ("rows", {"pk": 1, "title": "Two"}),
        ("rows", {"pk": 1, "title": None}),
        ("notify", {"users": ["ada", "bob"], "number": 7}),
    ):
        assert page.request.post(f"{server.url}/{path}/", data=wish).ok
    expect(page.locator("li")).to_have_count(5)
    *posts, told = page.locator("li").all_inner_texts()[1:]
    assert posts == [
        'post {"model":{"id":1,"title":"One"}}',
        'post {"model":{"id":1,"title":"Two"}}',
        'post {"model":{"id":1,"title":"Two"}}',
    ]
    assert told.startswith('told {"number":7,"id":"')
    assert told.endswith('","type":"tests.liveapp.notifications.Paid"}')


def test_two_tabs(server: Server, open_hooks: Open) -> None:
    """245, 246: the socket id is the one to exclude; a component that goes leaves its channels,
    one that returns joins them again."""
    ada, bob = open_hooks("ada"), open_hooks("bob")
    expect_heard(ada, 'here ["ada"]', 'joining "bob"')
    caller = Caller(server)
    socket_id = ada.locator("#socket").inner_text()
    assert caller.trigger("ticker", "Happened", "0", socket_id=socket_id).status == 200
    expect_heard(bob, 'here ["ada","bob"]', "ticker 0")
    bob.get_by_role("button", name="Toggle").click()
    expect_heard(ada, 'here ["ada"]', 'joining "bob"', 'leaving "bob"')
    assert bob.evaluate("echo().connector.pusher.allChannels().length") == 0
    assert caller.trigger("ticker", "Happened", "1").status == 200
    expect(ada.locator("li").last).to_have_text("ticker 1")
    bob.get_by_role("button", name="Toggle").click()
    expect(ada.locator("li").last).to_have_text('joining "bob"')
    joined(bob)
    assert caller.trigger("ticker", "Happened", "2").status == 200
    expect(bob.locator("li").last).to_have_text("ticker 2")
    # Under React's strict mode the library tells once for each of two mounts who is here.
    heard = [text for text in bob.locator("li").all_inner_texts() if not text.startswith("here")]
    assert heard == ["ticker 0", "ticker 2"]
    assert "ticker 0" not in ada.locator("li").all_inner_texts()


def test_a_name_that_changes_moves_the_subscription(server: Server, open_hooks: Open) -> None:
    page = open_hooks("ada")
    page.get_by_role("button", name="Next").click()
    page.wait_for_function("echo().connector.pusher.channel('private-orders.2')?.subscribed")
    joined(page)
    caller = Caller(server)
    assert caller.trigger("private-orders.1", "Happened", "1").status == 200
    assert caller.trigger("private-orders.2", "Happened", "2").status == 200
    expect(page.locator("li").last).to_have_text("order 2")
    assert "order 1" not in page.locator("li").all_inner_texts()
