"""The tutorial's first event, typed as it stands and watched in two browsers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import live
from tests.browser.conftest import Visitors

PAGE = live.ROOT / "docs" / "tutorial" / "first-event.md"
BLOCK = re.compile(r"```\{code-block\} \S+\n:caption: (\S+)\n\n(.*?)```", re.DOTALL)
TYPED = ("django-admin startproject", "python -m broadcasting install", "python manage.py")
CONNECTED = "() => window.Echo?.connector?.pusher.connection.state === 'connected'"
SUBSCRIBED = "() => Echo.connector.pusher.allChannels().every((channel) => channel.subscribed)"
SHELL = "from notices.events import NoticePosted; NoticePosted('From the shell').dispatch()"


class Reader:
    """Somebody who types what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = PAGE.read_text()
        self.environment = {
            name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
        } | {"PYTHONPATH": str(live.ROOT)}

    def run(self, line: str, *more: str) -> None:
        program, *arguments = [*line.split(), *more]
        known = {"python": [sys.executable], "django-admin": [sys.executable, "-m", "django"]}
        subprocess.run(
            [*known[program], *arguments],
            cwd=self.folder,
            env=self.environment,
            check=True,
            timeout=60,
            capture_output=True,
        )

    def run_all(self, until: str) -> None:
        """Run the console lines before the heading ``until``."""
        for line in re.findall(r"^\$ (.+)$", self.text.partition(f"## {until}")[0], re.MULTILINE):
            if line.startswith(TYPED) and not line.endswith("runserver"):
                self.run(line)

    def write(self, start: str, end: str) -> None:
        """Write the files between the headings ``start`` and ``end``."""
        part = self.text.partition(f"## {start}")[2].partition(f"## {end}")[0]
        blocks = BLOCK.findall(part)
        assert blocks
        for name, content in blocks:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new, 1))


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.fixture
def visitors(chromium: Browser) -> Iterator[Visitors]:
    everybody = Visitors(chromium)
    yield everybody
    everybody.close()


@contextmanager
def serving(reader: Reader) -> Iterator[str]:
    """Run the reader's site and give its address."""
    port = live.free_port()
    log = reader.folder / "server.log"
    words = ["manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=reader.folder,
            env=reader.environment,
            stdout=output,
            stderr=output,
        )
    try:
        live.wait_for_port(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(live.PATIENCE)


def post(page: Page, text: str) -> None:
    page.get_by_label("Your notice").fill(text)
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_role("listitem").first).to_have_text(text)


def test_the_first_event_arrives(reader: Reader, visitors: Visitors) -> None:
    reader.run_all("A view that dispatches it")
    reader.edit("mysite/settings.py", "'broadcasting',\n", "'broadcasting',\n    'notices',\n")
    reader.write("An app with an event", "Only for those who may")
    with serving(reader) as visitors.base_url:
        writer, watcher = visitors.new().open(), visitors.new().open()
        for page in (writer, watcher):
            page.wait_for_function(CONNECTED)
            page.wait_for_function(SUBSCRIBED)
        post(writer, "Hello")
        expect(watcher.get_by_role("listitem")).to_have_text(["Hello"])
        post(watcher, "Hello yourself")
        expect(writer.get_by_role("listitem")).to_have_text(["Hello yourself", "Hello"])
        with pytest.raises(subprocess.CalledProcessError) as failed:
            reader.run("python manage.py shell -c", SHELL)
        assert b"broadcasting.exceptions.NoServerHere: " in failed.value.stderr

    reader.write("Only for those who may", "From elsewhere")
    reader.edit("notices/static/notices/board.js", "Echo.channel", "Echo.private")
    reader.environment |= {
        "DJANGO_SUPERUSER_USERNAME": "ada",
        "DJANGO_SUPERUSER_PASSWORD": "a-long-password",
        "DJANGO_SUPERUSER_EMAIL": "ada@example.com",
    }
    reader.run("python manage.py createsuperuser --noinput")
    with serving(reader) as visitors.base_url:
        guest = visitors.new()
        board = guest.open()
        board.wait_for_function(CONNECTED)
        page = visitors.new().open("/admin/login/?next=/")
        page.get_by_label("Username").fill("ada")
        page.get_by_label("Password").fill("a-long-password")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(visitors.base_url + "/")
        page.wait_for_function(CONNECTED)
        page.wait_for_function(SUBSCRIBED)
        post(board, "From a guest")
        expect(page.get_by_role("listitem")).to_have_text(["From a guest"])
        assert any("private-notices was not authorized (403)" in c for c in guest.complaints)
