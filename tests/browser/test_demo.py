"""The example, visited by several people at once."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Demo, Visitor, Visitors, live_page

BASIC = {"Authorization": "Basic " + b64encode(b"buyer:demo").decode()}
NOBODY = {"Cookie": ""}
"""A program, though it asks through a browser that is signed in."""


@pytest.fixture
def visitors(chromium: Browser, site: Demo) -> Iterator[Visitors]:
    """People with a browser each, none of whom may see an error."""
    everybody = Visitors(chromium, site.url)
    yield everybody
    complaints = [complaint for one in everybody.all for complaint in one.complaints]
    everybody.close()
    assert complaints == []


def order_pot(page: Page, name: str = "Ochre bowl") -> str:
    """Order through the page and return the id of the new order."""
    known = page.locator("[data-order]").evaluate_all("all => all.map((one) => one.dataset.order)")
    page.get_by_text(name, exact=True).last.click()
    page.get_by_role("button", name="Order it").click()
    newest = page.locator("[data-order]").first
    page.wait_for_function(
        "(known) => !known.includes(document.querySelector('[data-order]')?.dataset.order)",
        arg=known,
    )
    found = newest.get_attribute("data-order")
    assert found
    live_page(page)
    return found


def frames(page: Page) -> None:
    """Keep every event that arrives at this tab in ``window.heard``."""
    page.evaluate(
        """() => {
          window.heard = [];
          Echo.connector.pusher.bind_global((event) => heard.push(event));
        }"""
    )


def test_the_buyer_sees_the_order_ship(visitors: Visitors) -> None:
    buyer = visitors.new().sign_in("buyer")
    seller = visitors.new().sign_in("seller")
    pk = order_pot(buyer)
    card = f'[data-order="{pk}"]'
    # It came to the seller by itself, too.
    expect(seller.locator(card)).to_contain_text("Bea Okafor")
    live_page(seller)
    expect(buyer.locator(card).locator(".status")).to_have_text("In the kiln")
    buyer.evaluate("window.notReloaded = true")

    seller.locator(card).get_by_role("button", name="Ship").click()

    expect(buyer.locator(card).locator(".status")).to_have_text("Shipped")
    expect(buyer.locator("[data-announcer]")).to_have_text(re.compile(r"Order \d+ has shipped\."))
    expect(seller.locator(card).locator(".status")).to_have_text("Shipped")
    expect(seller.locator(card).get_by_role("button")).to_have_count(0)
    assert buyer.evaluate("window.notReloaded")


def test_a_customer_is_notified_on_any_page(visitors: Visitors) -> None:
    buyer = visitors.new().sign_in("buyer")
    seller = visitors.new().sign_in("seller")
    pk = order_pot(buyer)
    buyer.get_by_role("link", name="Chat").click()
    live_page(buyer)
    news = buyer.locator("[data-news]")
    expect(news).to_be_hidden()
    seller.locator(f'[data-order="{pk}"]').get_by_role("button", name="Ship").click()
    expect(news).to_have_text(re.compile(r"Order \d+: your ochre bowl is on its way\."))
    expect(seller.locator("[data-news]")).to_be_hidden()
    assert Axe().run(buyer).response["violations"] == []


def test_a_new_topic_is_seen_in_the_room(visitors: Visitors) -> None:
    reader, admin = visitors.new(), visitors.new()
    reader.sign_in("buyer")
    room = live_page(reader.open("/chat/kiln/"))
    admin.sign_in("admin")
    page = admin.open("/admin/chat/room/")
    page.get_by_role("link", name="Kiln talk").click()
    topic = f"Cracks {uuid4().hex[:6]}"
    page.get_by_label("Topic").fill(topic)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(room.locator(".talk-head")).to_contain_text(topic)


def test_a_longer_topic_hides_no_message(visitors: Visitors) -> None:
    room = visitors.new(width=390, height=844).sign_in("buyer", "/chat/kiln/")
    visitor = visitors.new()
    visitor.sign_in("admin")
    admin = visitor.open("/admin/chat/room/")
    room.get_by_label("Message", exact=True).fill("A long story. " * 70)
    room.get_by_role("button", name="Send").click()
    expect(room.get_by_text("A long story.").last).to_be_visible()
    admin.get_by_role("link", name="Kiln talk").click()
    admin.get_by_label("Topic").fill(topic := "Glazes and clay, " * 5 + uuid4().hex[:6])
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(room.locator(".talk-head")).to_contain_text(topic)
    below = "pane => pane.scrollHeight - pane.scrollTop - pane.clientHeight"
    assert room.locator("[data-scroll]").evaluate(below) < 2


def test_a_program_says_something_through_the_api(visitors: Visitors) -> None:
    reader = visitors.new()
    reader.sign_in("seller")
    room = live_page(reader.open("/chat/counter/"))
    text = f"Beep {uuid4().hex[:6]}"
    url = f"{reader.base_url}/api/messages/"
    form: dict[str, str | float | bool] = {"room": "counter", "text": text}
    assert room.request.post(url, form=form, headers=BASIC | NOBODY).status == 201
    expect(room.locator("#messages li").last).to_contain_text(text)
    expect(room.locator("#messages li").last).to_contain_text("Bea Okafor")
    newest = room.request.get(url, headers=BASIC | NOBODY).json()[0]
    assert (newest["room"], newest["author"], newest["text"]) == ("counter", "buyer", text)


def test_the_senders_tab_is_excluded_and_their_other_tab_is_not(visitors: Visitors) -> None:
    buyer = visitors.new().sign_in("buyer")
    seller = visitors.new()
    acting = seller.sign_in("seller")
    watching = live_page(seller.open("/orders/"))
    pk = order_pot(buyer)
    for page in (acting, watching):
        page.wait_for_selector(f'[data-order="{pk}"]')
        live_page(page)
        frames(page)

    with acting.expect_request("**/ship/") as request:
        acting.locator(f'[data-order="{pk}"]').get_by_role("button", name="Ship").click()
    assert request.value.all_headers()["x-socket-id"] == acting.evaluate("Echo.socketId()")

    expect(watching.locator(f'[data-order="{pk}"] .status')).to_have_text("Shipped")
    expect(acting.locator(f'[data-order="{pk}"] .status')).to_have_text("Shipped")
    assert "OrderShipped" in watching.evaluate("heard")
    # The next event to both of them shows that the first one is not merely late.
    again = order_pot(buyer)
    acting.wait_for_selector(f'[data-order="{again}"]')
    assert acting.evaluate("heard").count("OrderShipped") == 0
    assert "OrderPlaced" in acting.evaluate("heard")


def test_all_orders_are_authorized_in_one_request(visitors: Visitors) -> None:
    seller = visitors.new()
    seller.sign_in("seller")
    page = seller.context.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/auth") else None)
    page.goto(seller.base_url + "/orders/")
    live_page(page)
    assert page.evaluate("Echo.connector.pusher.allChannels().length") > 2
    assert len(asked) == 1


def test_the_ticker_needs_no_login(visitors: Visitors) -> None:
    guest = live_page(visitors.new().open("/"))
    buyer = visitors.new().sign_in("buyer")
    order_pot(buyer, "Tall vase")
    expect(guest.locator("#ticker li").first).to_contain_text("New order: one tall vase")


def test_what_went_wrong_is_seen(chromium: Browser, uvicorn_demo: Demo) -> None:
    visitors = Visitors(chromium, uvicorn_demo.url)
    visitor = visitors.new()
    page = visitor.sign_in("buyer")
    notice = page.locator("[data-notice]")
    expect(notice).to_be_hidden()
    visitor.context.route("**/orders/place/", lambda route: route.fulfill(status=500))
    page.get_by_role("button", name="Order it").click()
    expect(notice).to_have_text("That did not work. Try again.")
    expect(notice).to_be_visible()
    expect(page.get_by_role("button", name="Order it")).to_be_focused()
    visitor.context.unroute("**/orders/place/")
    order_pot(page)
    expect(notice).to_be_hidden()

    visitor.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Order it").click()
    expect(notice).to_have_text("You are signed out. Sign in again")
    assert Axe().run(page).response["violations"] == []
    notice.get_by_role("link").click()
    page.wait_for_url("**/login/?next=/orders/")
    visitors.close()


def test_a_keyboard_goes_on_where_its_button_was(visitors: Visitors) -> None:
    buyer = visitors.new().sign_in("buyer")
    seller = visitors.new().sign_in("seller")
    pk = order_pot(buyer)
    card = seller.locator(f'[data-order="{pk}"]')
    card.get_by_role("button", name="Ship").press("Enter")
    expect(card.locator(".status")).to_have_text("Shipped")
    expect(card).to_be_focused()


# The rest is the same code on both servers, and browsers are slow.
only_uvicorn = pytest.mark.parametrize("site", ["uvicorn"], indirect=True)


class TestChat:
    def sit_down(self, visitor: Visitor, username: str) -> Page:
        return visitor.sign_in(username, "/chat/counter/")

    def test_people_come_and_go(self, visitors: Visitors) -> None:
        buyer = self.sit_down(visitors.new(), "buyer")
        members = buyer.locator("[data-member]")
        expect(members).to_have_text([re.compile(r"Bea Okafor \(you\)")])
        seller = self.sit_down(visitors.new(), "seller")
        expect(members).to_have_count(2)
        expect(buyer.locator("[data-count]")).to_have_text("2")
        expect(seller.locator("[data-member]")).to_have_count(2)
        seller.close()
        expect(members).to_have_count(1)
        expect(buyer.locator("[data-announcer]")).to_have_text("Sol Ferrer left.")

    @only_uvicorn
    def test_two_tabs_are_one_person(self, visitors: Visitors) -> None:
        seller = self.sit_down(visitors.new(), "seller")
        buyer = visitors.new()
        first = self.sit_down(buyer, "buyer")
        second = live_page(buyer.open("/chat/counter/"))
        for page in (seller, first, second):
            expect(page.locator("[data-member]")).to_have_count(2)
        frames(seller)
        first.close()
        # Heard after whatever the closed tab could have caused.
        second.get_by_label("Message", exact=True).fill("still here")
        second.get_by_role("button", name="Send").click()
        expect(seller.get_by_text("still here")).to_be_visible()
        expect(seller.locator("[data-member]")).to_have_count(2)
        assert "pusher_internal:member_removed" not in seller.evaluate("heard")

    def test_messages_reach_every_tab_once(self, visitors: Visitors) -> None:
        seller = self.sit_down(visitors.new(), "seller")
        visitor = visitors.new()
        buyer = self.sit_down(visitor, "buyer")
        other_tab = live_page(visitor.open("/chat/counter/"))
        text = f"<b>Is my vase dry? {uuid4()}</b>"
        buyer.get_by_label("Message", exact=True).fill(text)
        buyer.get_by_role("button", name="Send").click()
        for page in (seller, buyer, other_tab):
            last = page.locator(".message").last
            expect(last).to_contain_text(text)
            expect(page.locator("[data-id]").filter(has_text=text)).to_have_count(1)
        expect(seller.locator(".message").last).not_to_have_class(re.compile("own"))
        expect(other_tab.locator(".message").last).to_have_class(re.compile("own"))
        seller.reload()
        expect(seller.locator(".message").last).to_contain_text(text)

    @only_uvicorn
    def test_typing_is_whispered_and_fades(self, visitors: Visitors) -> None:
        seller = self.sit_down(visitors.new(), "seller")
        buyer = self.sit_down(visitors.new(), "buyer")
        buyer.get_by_label("Message", exact=True).press_sequentially("he")
        expect(seller.locator("[data-typing]")).to_have_text("Bea Okafor is typing…")
        expect(buyer.locator("[data-typing]")).to_have_text("")
        expect(seller.locator("[data-typing]")).to_have_text("", timeout=6000)

    @only_uvicorn
    def test_a_whisper_in_anothers_name_shows_only_who_is_here(self, visitors: Visitors) -> None:
        seller = self.sit_down(visitors.new(), "seller")
        buyer = self.sit_down(visitors.new(), "buyer")
        buyer.evaluate("Echo.join('chat.counter').whisper('typing', {id: 999, name: 'The boss'})")
        buyer.get_by_label("Message", exact=True).press_sequentially("x")
        expect(seller.locator("[data-typing]")).to_have_text("Bea Okafor is typing…")


def test_it_works_without_scripts(chromium: Browser, uvicorn_demo: Demo) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(uvicorn_demo.url + "/login/")
    page.get_by_role("button", name="buyer").click()
    page.wait_for_url("**/orders/")
    before = page.locator("[data-order]").count()
    page.get_by_role("button", name="Order it").click()
    expect(page.locator("[data-order]")).to_have_count(before + 1)
    context.close()
