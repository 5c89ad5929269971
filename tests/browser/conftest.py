"""Chromium for the tests, and the demo as a process for it to visit.

Fixtures live as long as a module at most: Playwright's sync API keeps a loop running in the
thread, which would be in the way of the async tests that follow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests import live

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# A machine that is busy with other tests is slow, not wrong.
expect.set_options(timeout=15_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker("browser")


_sessions: dict[tuple[str, str], Any] = {}


@dataclass(frozen=True)
class Demo:
    """A running demo."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path


@dataclass
class Visitor:
    """A browser context of its own, and every complaint of its pages."""

    context: BrowserContext
    base_url: str = ""
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """Return a new tab at ``path``."""
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.base_url + path)
        return page

    def sign_in(self, username: str, path: str = "/orders/") -> Page:
        """Return a live tab of ``username`` at ``path``."""
        # Through the page once; checking a password is slow on purpose.
        if cookies := _sessions.get((self.base_url, username)):
            self.context.add_cookies(cookies)
        else:
            page = self.open("/login/")
            page.get_by_role("button", name=username).click()
            page.wait_for_url("**/orders/")
            page.close()
            _sessions[self.base_url, username] = self.context.cookies()
        return live_page(self.open(path))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")


def live_page(page: Page) -> Page:
    """Return ``page`` once its socket is up and its channels have joined."""
    page.wait_for_selector("[data-connection=connected]")
    page.wait_for_function("() => Echo.connector.pusher.allChannels().every((c) => c.subscribed)")
    return page


class Visitors:
    """Makes visitors, and closes their windows."""

    def __init__(self, browser: Browser, base_url: str = "") -> None:
        self._browser = browser
        self.base_url = base_url
        self.all: list[Visitor] = []

    def new(
        self,
        *,
        scheme: Literal["light", "dark"] = "light",
        width: int = 1280,
        height: int = 900,
    ) -> Visitor:
        context = self._browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(20_000)
        self.all.append(Visitor(context, self.base_url))
        return self.all[-1]

    def close(self) -> None:
        for visitor in self.all:
            visitor.context.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser process a module."""
    path = os.environ.get("BROADCASTING_CHROMIUM") or next(
        filter(None, map(shutil.which, BROWSERS)), None
    )
    if path is None:
        pytest.skip("no Chromium; name one in BROADCASTING_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def demo_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo processes of this session keep what visitors did."""
    return tmp_path_factory.mktemp("demo") / "demo.sqlite3"


@contextmanager
def demo(kind: live.Kind, database: Path, *options: str) -> Iterator[Demo]:
    """Run ``manage.py demo`` as its user does, and end it."""
    port = live.free_port()
    log = database.with_name(f"demo-{kind}-{port}.log")
    words = ["demo", "--port", str(port), "--server", kind, "--noreload", *options]
    environment = {
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DEMO_DATABASE": str(database),
    }
    process = live.spawn([sys.executable, "-m", "django", *words], environment, log)
    try:
        live.wait_for_port(port, process, log)
        yield Demo(f"http://127.0.0.1:{port}", port, process, log)
    finally:
        process.terminate()
        process.wait(live.PATIENCE)


@pytest.fixture(scope="session")
def uvicorn_demo(demo_database: Path) -> Iterator[Demo]:
    """The demo on the production server, shared by tests that bring their own orders."""
    with demo("uvicorn", demo_database) as running:
        yield running


@pytest.fixture(scope="session")
def daphne_demo(demo_database: Path) -> Iterator[Demo]:
    """See uvicorn_demo(); on the development server."""
    with demo("daphne", demo_database) as running:
        yield running


@pytest.fixture(params=["uvicorn", "daphne"])
def site(request: pytest.FixtureRequest) -> Demo:
    """The demo on each server."""
    running: Demo = request.getfixturevalue(f"{request.param}_demo")
    return running
