"""What an entry of ``allowed_origins`` lets in."""

from __future__ import annotations

import pytest

from broadcasting.protocol.application import Application
from broadcasting.server import origins
from broadcasting.server.origins import is_allowed
from broadcasting.server.speaking import MOST


@pytest.mark.parametrize(
    ("entry", "origin", "allowed"),
    [
        ("localhost:5173", "http://localhost:5173", True),
        ("localhost:5173", "http://localhost:3000", False),
        ("localhost:443", "https://localhost", True),
        ("localhost", "http://localhost:5173", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("Shop.test", "https://shop.test", True),
        ("*.shop.test", "https://www.shop.test", True),
        ("*.shop.test:8443", "https://www.shop.test", False),
        ("*.shop.test", "https://eshop.test", False),
        ("https://shop.test", "https://shop.test:443", True),
        ("https://shop.test", "http://shop.test", False),
        ("https://shop.test", "https://shop.test.evil.test", False),
        ("shop.test", "null", False),
        ("https://shop.test:port", "https://shop.test", False),
    ],
)
def test_an_entry_is_an_origin_or_a_host_with_or_without_a_port(entry, origin, allowed):
    application = Application(id="a", key="k", secret="s", allowed_origins=(entry,))
    assert is_allowed(origin, application) is allowed


def test_what_was_refused_is_remembered_within_bounds(caplog: pytest.LogCaptureFixture):
    application = Application(id="a", key="k", secret="s", allowed_origins=())
    for number in range(MOST + 1):
        assert not is_allowed(f"https://{number}.test/{'x' * 8_000}", application)
    assert len(origins._reported) == MOST
    caplog.clear()
    # Of each only the beginning.
    assert not is_allowed(f"https://{MOST}.test/{'x' * 8_000}y", application)
    assert not caplog.text
    # The newest is still told, once.
    for _ in range(2):
        is_allowed("https://shop.test", application)
    assert caplog.text.count("https://shop.test") == 1
