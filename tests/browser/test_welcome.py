"""The welcome page of a bare project in Chromium: it works, and says where it stops."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, WebSocketRoute

from tests.browser.conftest import Visitors
from tests.live import ROOT
from tests.wheel.bare_project import make_live, serving

PATH = "/broadcasting/welcome/"
HURRIED = f"{PATH}?wait=0.5"
# Under which no page of ours would run; those that bring a policy of their own keep it.
POLICY = "default-src 'none'; script-src 'nonce-of-the-site'"
STRICT = f'''"""A policy for every page, and less patience where the address asks for it."""


def middleware(get_response):
    def serve(request):
        response = get_response(request)
        response.setdefault("Content-Security-Policy", "{POLICY}")
        if wait := request.GET.get("wait"):
            text = response.text.replace('data-wait="5"', f'data-wait="{{wait}}"')
            response.content = text.encode()
        return response

    return serve
'''


@pytest.fixture(scope="module")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bare project, made live by the command and served by its own ``runserver``."""
    project = tmp_path_factory.mktemp("bare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        make_live(Path(sys.executable), project)
        (project / "mysite" / "strict.py").write_text(STRICT, encoding="utf-8")
        with (project / "mysite" / "settings.py").open("a", encoding="utf-8") as settings:
            settings.write("\nMIDDLEWARE += ['mysite.strict.middleware']\n")
        with serving(Path(sys.executable), project) as port:
            yield f"http://127.0.0.1:{port}"


@pytest.fixture
def visitors(chromium: Browser, bare_site: str) -> Iterator[Visitors]:
    made = Visitors(chromium, bare_site)
    yield made
    made.close()


def press(page: Page) -> None:
    page.locator("#send button:enabled").click()


def state(page: Page, step: str, expected: str) -> None:
    page.wait_for_selector(f'[data-step="{step}"][data-state="{expected}"]')


def violations(page: Page) -> str:
    result = Axe().run(page)
    return result.generate_report() if result.violations_count else ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_press_arrives(visitors: Visitors, scheme: Literal["light", "dark"], width: int) -> None:
    visitor = visitors.new(scheme=scheme, width=width)
    page = visitor.open(PATH)
    for number in (1, 2):
        press(page)
        page.wait_for_function(f"() => /event {number} /.test(verdict.textContent)")
    for step in ("connected", "subscribed", "dispatched", "arrived"):
        state(page, step, "done")
        assert page.locator(f'[data-step="{step}"] .time').inner_text().endswith(" ms")
    assert page.locator("#doctor").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == ""
    assert visitor.complaints == []


def test_it_stops_at_the_connection(visitors: Visitors) -> None:
    visitor = visitors.new()
    visitor.context.route_web_socket("**/app/**", lambda socket: socket.close())
    page = visitor.open(HURRIED)
    state(page, "connected", "failed")
    assert "/app/app-key" in page.locator('[data-step="connected"] .cure').inner_text()
    assert "broadcasting_doctor" in page.locator("#doctor").inner_text()
    assert page.locator("#send button").is_disabled()
    assert violations(page) == ""


def test_it_stops_at_the_subscription(visitors: Visitors) -> None:
    visitor = visitors.new()

    def deaf(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(
            lambda text: None if "pusher:subscribe" in str(text) else server.send(text)
        )

    visitor.context.route_web_socket("**/app/**", deaf)
    page = visitor.open(HURRIED)
    state(page, "subscribed", "failed")
    state(page, "connected", "done")
    assert page.locator("#verdict").inner_text().count("Subscribed")


def test_it_stops_where_every_subscription_is_sent_away(visitors: Visitors) -> None:
    """As a server does whose backplane is down: greeted, sent away, and back again."""
    visitor = visitors.new()
    attempts: list[WebSocketRoute] = []

    def away(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        attempts.append(socket)

        def passed(text: str | bytes) -> None:
            if "pusher:subscribe" in str(text):
                socket.close(code=4100, reason="Temporarily unavailable, reconnect later")
            else:
                server.send(text)

        socket.on_message(passed)

    visitor.context.route_web_socket("**/app/**", away)
    page = visitor.open(PATH)
    state(page, "subscribed", "failed")
    assert "Subscribed" in page.locator("#verdict").inner_text()
    assert "4100" in page.locator('[data-step="subscribed"] .time').inner_text()
    assert page.locator("#doctor").is_visible()
    # It goes on trying, and goes on saying so.
    while len(attempts) < 3:
        page.wait_for_timeout(50)
    assert page.locator('[data-step="subscribed"]').get_attribute("data-state") == "failed"
    assert "events arrive" not in page.locator("#live").inner_text()
    assert page.locator("#send button").is_disabled()
    visitor.context.unroute_all()


def test_it_stops_at_the_dispatch(visitors: Visitors) -> None:
    visitor = visitors.new()
    visitor.context.route(
        f"**{PATH}send",
        lambda route: route.fulfill(status=503, body=json.dumps({"message": "The broker is down"})),
    )
    page = visitor.open(PATH)
    press(page)
    state(page, "dispatched", "failed")
    assert "The broker is down" in page.locator('[data-step="dispatched"] .cure').inner_text()
    visitor.context.unroute(f"**{PATH}send")
    press(page)
    state(page, "arrived", "done")
    assert page.locator("#doctor").is_hidden()
    assert page.locator("#verdict").inner_text().startswith("It works")


def test_it_stops_before_the_arrival(visitors: Visitors) -> None:
    visitor = visitors.new()

    def mute(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(
            lambda text: None if "broadcasting.welcome" in str(text) and '"press' in str(text)
            else socket.send(text)
        )  # fmt: skip

    visitor.context.route_web_socket("**/app/**", mute)
    page = visitor.open(HURRIED)
    press(page)
    state(page, "arrived", "failed")
    state(page, "dispatched", "done")
    assert page.locator("#doctor").is_visible()


def test_a_lost_connection_shows_and_returns(visitors: Visitors) -> None:
    visitor = visitors.new()
    sockets: list[WebSocketRoute] = []

    def watch(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    visitor.context.route_web_socket("**/app/**", watch)
    page = visitor.open(PATH)
    state(page, "subscribed", "done")
    sockets[-1].close(code=4200)
    page.wait_for_function("() => document.getElementById('live').dataset.state !== 'done'")
    press(page)
    state(page, "arrived", "done")
    assert len(sockets) == 2


def test_snippets_are_copied(visitors: Visitors) -> None:
    visitor = visitors.new()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.open(PATH)
    page.get_by_role("button", name="Copy the channel rule").click()
    page.wait_for_function("() => copied.textContent === 'Copied'")
    text = page.evaluate("navigator.clipboard.readText()")
    assert '@channel("orders.{order_id}")' in text
    assert "-> bool" in text


def test_a_page_without_its_scripts_says_so(visitors: Visitors) -> None:
    visitor = visitors.new()
    visitor.context.route("**/broadcasting.js", lambda route: route.abort())
    page = visitor.open(PATH)
    state(page, "connected", "failed")
    assert "did not load" in page.locator("#live").inner_text()
