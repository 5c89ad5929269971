"""``manage.py demo``: what it prints works, what it starts ends, and what breaks comes back."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from websockets.sync.client import connect

from tests import live
from tests.browser.conftest import Demo, Visitors, demo, live_page


def descendants(pid: int) -> list[int]:
    """Return every process that ``pid`` has started, and theirs."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            child = int(status.parent.name)
            found += [child, *descendants(child)]
    return found


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def site_alone(database: Path, port: int) -> Iterator[str]:
    """Run the demo's server without the command around it."""
    words = [sys.executable, "-m", "django", "websockets_serve", "--port", str(port)]
    environment = {
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DEMO_DATABASE": str(database),
    }
    log = database.with_name(f"site-{port}.log")
    process = live.spawn(words, environment, log)
    try:
        live.wait_for_port(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        live.stop(process)


def test_the_first_run_complains_of_nothing(uvicorn_demo: Demo) -> None:
    before_it_serves = uvicorn_demo.log.read_text().partition("Kiln, the example")[0]
    assert before_it_serves.strip() == ""


@pytest.mark.skipif(not shutil.which("openssl"), reason="the printed lines need openssl")
@pytest.mark.skipif(not shutil.which("curl"), reason="the printed lines need curl")
def test_the_printed_lines_publish_an_event(uvicorn_demo: Demo) -> None:
    printed = uvicorn_demo.log.read_text()
    lines = re.search(r"^ *body=.*?^ *curl [^\n]*", printed, re.DOTALL | re.MULTILINE)
    assert lines
    address = f"ws://127.0.0.1:{uvicorn_demo.port}/app/app-key?protocol=7&client=t&version=1"
    with connect(address) as socket:
        socket.recv(timeout=5)
        socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "shop"}}))
        assert "subscription_succeeded" in str(socket.recv(timeout=5))
        subprocess.run(["sh", "-c", lines[0]], check=True, timeout=20)
        event = json.loads(socket.recv(timeout=5))
    assert event["event"] == "ActivityRecorded"
    assert json.loads(event["data"])["activity"]["text"] == "Hello from curl"


def test_it_says_who_to_sign_in_as(uvicorn_demo: Demo) -> None:
    printed = uvicorn_demo.log.read_text()
    assert uvicorn_demo.url in printed
    assert "seller, buyer, admin   (password: demo)" in printed


@pytest.mark.parametrize("port", [None, 0, 65_536])
def test_a_port_that_cannot_be_used_is_told_before_anything_starts(port: int | None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        chosen = taken.getsockname()[1] if port is None else port
        settings = {"DJANGO_SETTINGS_MODULE": "example_project.settings"}
        done = live.run(settings, "-m", "django", "demo", "--port", str(chosen))
    assert done.returncode != 0
    assert str(chosen) in done.stderr
    assert "Sign in" not in done.stdout


def test_the_topmost_order_of_the_seller_is_the_buyers(chromium: Browser, tmp_path: Path) -> None:
    """What the README says to try first has to show something."""
    with demo("uvicorn", tmp_path / "fresh.sqlite3") as running:
        visitors = Visitors(chromium, running.url)
        buyer, seller = visitors.new().sign_in("buyer"), visitors.new().sign_in("seller")
        seller.get_by_role("button", name="Ship").first.click()
        expect(buyer.locator("[data-order][data-status=shipped]")).to_have_count(1)
        visitors.close()


@pytest.mark.parametrize(
    ("kind", "number"), [("uvicorn", signal.SIGTERM), ("daphne", signal.SIGINT)]
)
def test_it_ends_with_all_it_has_started(
    kind: live.Kind, number: signal.Signals, demo_database: Path
) -> None:
    with demo(kind, demo_database) as running:
        children = descendants(running.process.pid)
        assert children
        running.process.send_signal(number)
        assert running.process.wait(live.PATIENCE) == 0
    assert [pid for pid in children if is_running(pid)] == []


def test_a_page_says_that_it_is_offline_and_catches_up(
    chromium: Browser, demo_database: Path, uvicorn_demo: Demo
) -> None:
    """Events of the gap are lost; the page asks Django for what they would have said."""
    visitors = Visitors(chromium)
    port = live.free_port()
    with site_alone(demo_database, port) as url:
        visitor = visitors.new()
        visitor.base_url = url
        page = visitor.sign_in("buyer", "/orders/")
        page.get_by_role("button", name="Order it").click()
        placed = page.locator("[data-order][data-status=placed]").first
        expect(placed).to_be_visible()
        pk = placed.get_attribute("data-order")
    state = page.locator(".link-state")
    expect(state).to_have_text("Reconnecting")

    # Another process ships meanwhile; its own server tells its own visitors only.
    seller = visitors.new()
    seller.base_url = uvicorn_demo.url
    there = seller.sign_in("seller")
    there.locator(f'[data-order="{pk}"]').get_by_role("button", name="Ship").click()
    expect(there.locator(f'[data-order="{pk}"] .status')).to_have_text("Shipped")
    expect(page.locator(f'[data-order="{pk}"] .status')).to_have_text("In the kiln")

    with site_alone(demo_database, port):
        # pusher-js waits up to 15 seconds between attempts, unless the network is back.
        page.evaluate("() => window.dispatchEvent(new Event('online'))")
        expect(state).to_have_text("Live", timeout=20_000)
        expect(page.locator(f'[data-order="{pk}"] .status')).to_have_text("Shipped")
        live_page(page)
    visitors.close()


def test_with_redis_events_pass_through_a_worker(chromium: Browser, demo_database: Path) -> None:
    with demo("uvicorn", demo_database, "--redis") as running:
        children = descendants(running.process.pid)
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children]
        assert any("valkey" in command for command in commands)
        assert any("celery" in command for command in commands)
        visitors = Visitors(chromium, running.url)
        buyer = visitors.new().sign_in("buyer")
        guest = live_page(visitors.new().open("/"))
        buyer.get_by_text("Rimmed plate", exact=True).last.click()
        buyer.get_by_role("button", name="Order it").click()
        # The worker may still be starting; a job waits for it for a minute.
        newest = guest.locator("#ticker li").first
        expect(newest).to_contain_text("New order: one rimmed plate", timeout=20_000)
        visitors.close()
        before = running.log.stat().st_size
        os.killpg(running.process.pid, signal.SIGINT)  # as Control-C in a terminal does
        assert running.process.wait(live.PATIENCE) == 0
        # Valkey is the last to go, so nobody misses it.
        assert "onnection" not in running.log.read_bytes()[before:].decode()
    assert [pid for pid in children if is_running(pid)] == []
