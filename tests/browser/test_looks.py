"""Every page of the example as it is seen, and as it is read aloud.

Pictures go to a temporary folder, or to the one in BROADCASTING_SCREENSHOTS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Demo, Visitors, live_page

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PAGES = [
    ("home", None, "/"),
    ("login", None, "/login/"),
    ("orders-buyer", "buyer", "/orders/"),
    ("orders-seller", "seller", "/orders/"),
    ("chat", "buyer", "/chat/counter/"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = os.environ.get("BROADCASTING_SCREENSHOTS")
    if folder is None:
        return tmp_path_factory.mktemp("screenshots")
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def visitors(chromium: Browser, uvicorn_demo: Demo) -> Iterator[Visitors]:
    everybody = Visitors(chromium, uvicorn_demo.url)
    yield everybody
    everybody.close()


@pytest.mark.parametrize(("name", "user", "path"), PAGES)
def test_every_page_is_clean(
    visitors: Visitors, pictures: Path, name: str, user: str | None, path: str
) -> None:
    visitor = visitors.new()
    page = visitor.sign_in(user, path) if user else live_page(visitor.open(path))
    found = {}
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=pictures / f"{name}-{size}-{scheme}.png", full_page=True)
            found[size, scheme] = violations(page)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert {look: problems for look, problems in found.items() if problems} == {}
    assert visitor.complaints == []


def test_the_login_form_is_clean_when_it_is_open(visitors: Visitors) -> None:
    page = visitors.new().open("/login/")
    page.get_by_text("Or with a name and a password").click()
    page.get_by_label("Name").fill("seller")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("do not belong together")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("seller")
    assert violations(page) == []


def test_a_keyboard_is_enough(visitors: Visitors) -> None:
    page = visitors.new().sign_in("buyer")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Speckled mug")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Ochre bowl")).to_be_checked()
    before = page.locator("[data-order]").count()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("[data-order]")).to_have_count(before + 1)


def violations(page: Page) -> list[str]:
    """Return what axe finds, in words."""
    found = Axe().run(page)
    assert found.response["passes"], "axe did not run"
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']]}"
        for one in found.response["violations"]
    ]
