"""pusher-js as browsers get it: its own builds, unmodified, against both servers (247)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.clients import open_page
from tests.browser.conftest import Visitors
from tests.live import Server
from tests.node.client import back_end, publish
from tests.node.process import HERE as NODE
from tests.node.process import missing

versions = pytest.mark.parametrize("library", ["pusher-js", "pusher-js-7"])
ENCRYPTED = "web/pusher-with-encryption.min.js"

MEET = """async ({ channels, options }) => {
  window.heard = [];
  window.pusher = new Pusher(options.key, {
    ...options,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) =>
        authorize(socketId, channelName).then((answer) => callback(null, answer)),
    },
  });
  pusher.connection.bind("error", (error) => heard.push(["error", error]));
  const all = channels.map((name) => {
    const channel = pusher.subscribe(name);
    channel.bind("came", (data) => heard.push([name, data]));
    return new Promise((done) => channel.bind("pusher:subscription_succeeded", done));
  });
  await Promise.all(all);
}"""


@pytest.fixture
def visitors(chromium: Browser) -> Iterator[Visitors]:
    if reason := missing():
        pytest.skip(reason)
    visitors = Visitors(chromium)
    yield visitors
    visitors.close()


def open_with(visitors: Visitors, server: Server, library: str, build: str) -> Page:
    """Return a page with a build of pusher-js, for which Pusher's Python library signs."""
    script = NODE / "node_modules" / library / "dist" / build
    page = open_page(visitors.new(), server, script, options={})

    def authorize(socket_id: str, channel: str) -> Any:
        member = {"user_id": "ada"} if channel.startswith("presence-") else None
        with back_end(server) as sdk:
            answer = sdk.authenticate(channel, socket_id, member)
        # The library gives the key of an encrypted channel as bytes, which are no JSON.
        return {k: v.decode() if isinstance(v, bytes) else v for k, v in answer.items()}

    page.expose_function("authorize", authorize)
    return page


def where(server: Server, key: str = "full-key") -> dict[str, Any]:
    """Return the options that lead to ``server``."""
    return {
        "key": key,
        "cluster": "",
        "wsHost": "127.0.0.1",
        "wsPort": server.port,
        "forceTLS": False,
        "enabledTransports": ["ws"],
    }


@versions
@pytest.mark.parametrize("build", ["web/pusher.min.js", ENCRYPTED])
def test_every_kind(server: Server, visitors: Visitors, library: str, build: str) -> None:
    """140, 247; encrypted channels with the build that is made for them."""
    page = open_with(visitors, server, library, build)
    channels = ["web", "private-web", "presence-web"]
    channels += ["private-encrypted-web"] if build == ENCRYPTED else []
    page.evaluate(MEET, {"channels": channels, "options": where(server)})
    for channel in channels:
        publish(server, channel, "came", {"in": channel})
    page.wait_for_function("(count) => heard.length === count", arg=len(channels))
    assert page.evaluate("heard") == [[channel, {"in": channel}] for channel in channels]
    assert not visitors.all[0].complaints


@versions
def test_a_foreign_origin_stays_out(server: Server, visitors: Visitors, library: str) -> None:
    """212: 4009, and it does not try again."""
    page = open_with(visitors, server, library, "web/pusher.min.js")
    page.evaluate(
        """(options) => {
          window.states = [];
          window.errors = [];
          const { connection } = new Pusher(options.key, options);
          connection.bind("state_change", ({ current }) => states.push(current));
          connection.bind("error", ({ error }) => errors.push(error.data.code));
        }""",
        where(server, "origins-key"),
    )
    page.wait_for_function("states.at(-1) === 'disconnected'")
    assert page.evaluate("[errors, states]") == [[4009], ["disconnected"]]


def test_in_a_worker(server: Server, visitors: Visitors) -> None:
    """247."""
    library = NODE / "node_modules" / "pusher-js" / "dist"
    page = open_with(visitors, server, "pusher-js", "web/pusher.min.js")
    page.evaluate(
        """([library, options]) => {
          const own = `
            const channel = new Pusher(options.key, options).subscribe("worker");
            channel.bind("pusher:subscription_succeeded", () => postMessage("subscribed"));
            channel.bind("came", (data) => postMessage(data));`;
          // It ends in a comment.
          const parts = [library, `\\nconst options = ${JSON.stringify(options)};`, own];
          const worker = new Worker(URL.createObjectURL(new Blob(parts)));
          window.heard = [];
          worker.onmessage = ({ data }) => heard.push(data);
        }""",
        [read(library / "worker" / "pusher.worker.min.js"), where(server)],
    )
    page.wait_for_function("heard.length === 1")
    publish(server, "worker", "came", 7)
    page.wait_for_function("heard.length === 2")
    assert page.evaluate("heard") == ["subscribed", 7]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
