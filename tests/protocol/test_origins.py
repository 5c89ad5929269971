"""What is an origin, and which entry lets it in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasting.protocol.origins import Origin, read_entry, read_origin

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9\-]{0,8}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=2, max_size=4).map(".".join)
SCHEME = st.sampled_from(["http", "https"])
PORT = st.integers(1, 65_535)


def lets_in(entry: str, origin: str) -> bool:
    found, read = read_origin(origin), read_entry(entry)
    return found is not None and read is not None and read.takes(found)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.test", Origin("https", "shop.test", 443)),
        ("HTTPS://Shop.Test", Origin("https", "shop.test", 443)),
        ("http://shop.test:80", Origin("http", "shop.test", 80)),
        ("https://shop.test.", Origin("https", "shop.test", 443)),
        ("http://[0:0::1]:8000", Origin("http", "[::1]", 8000)),
        ("capacitor://localhost", Origin("capacitor", "localhost", None)),
        ("https://xn--mller-kva.test", Origin("https", "xn--mller-kva.test", 443)),
    ],
)
def test_what_browsers_send(text: str, origin: Origin) -> None:
    assert read_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "*", "shop.test", "//shop.test", "https://", "file://", "https:shop.test"),
        *("https://shop.test@evil.test", "https://evil.test@shop.test", "https://a:b@shop.test"),
        *(
            "https://shop.test/",
            "https://shop.test/evil",
            "https://shop.test?x",
            "https://shop.test#",
        ),
        *("https://shop.test:port", "https://shop.test:", "https://shop.test:0"),
        *("https://shop.test:65536", "https://shop.test:-1", "https://shop.test:443:443"),
        *("https://shop.test, https://evil.test", "https://shop.test https://evil.test"),
        *(" https://shop.test", "https://shop.test\t", "https://shop.test\r\nx: y"),
        *("https://shop.test\\@evil.test", "https://[bad", "https://[::1", "https://::1"),
        *(
            "https://.shop.test",
            "https://shop..test",
            "https://*.shop.test",
            "https://m\xfcller.test",
        ),
        *("https://shop.test%2eevil.test", "https://shop.test\x00"),
    ],
)
def test_what_they_do_not(text: str) -> None:
    assert read_origin(text) is None


@pytest.mark.parametrize(
    ("entry", "origin", "allowed"),
    [
        ("*.shop.test", "https://shop.test", False),
        ("*.shop.test", "https://www.shop.test", True),
        ("*.shop.test", "https://a.b.shop.test:8443", True),
        ("*.shop.test", "https://eshop.test", False),
        ("https://*.shop.test", "https://www.shop.test", True),
        ("https://*.shop.test", "http://www.shop.test", False),
        ("https://*.shop.test", "https://www.shop.test:8443", False),
        ("https://*.shop.test:8443", "https://www.shop.test:8443", True),
        ("https://*.shop.test", "https://shop.test", False),
        ("shop.test:443", "https://shop.test", True),
        ("shop.test:443", "http://shop.test:443", True),
        ("shop.test:443", "http://shop.test", False),
        ("SHOP.test.", "https://shop.test", True),
        ("https://shop.test/", "https://shop.test", True),
        ("m\xfcller.test", "https://xn--mller-kva.test", True),
        ("*.m\xfcller.test", "https://www.xn--mller-kva.test", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("[0:0:0:0:0:0:0:1]", "http://[::1]:8000", True),
        ("127.0.0.1", "http://127.0.0.1:5173", True),
        ("shop.test", "https://shop.test.evil.test", False),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("capacitor://localhost", "https://localhost", False),
    ],
)
def test_which_entry_lets_it_in(entry: str, origin: str, allowed: bool) -> None:
    assert lets_in(entry, origin) is allowed


@pytest.mark.parametrize(
    "entry",
    ["", "*.", ".shop.test", "https://", "*", "https://*", "shop.test/app", "a@shop.test", "a b"],
)
def test_what_can_let_nobody_in(entry: str) -> None:
    assert read_entry(entry) is None


@given(SCHEME, HOST, PORT)
def test_an_entry_lets_its_own_origin_in_however_it_is_written(
    scheme: str, host: str, port: int
) -> None:
    origin = f"{scheme}://{host}:{port}"
    for entry in (origin, f"{host}:{port}", host, origin.upper(), f"{origin}/"):
        assert lets_in(entry, origin)
    parent = host.partition(".")[2]
    assert lets_in(f"*.{parent}", origin)
    assert lets_in(f"{scheme}://*.{parent}:{port}", origin)
    assert not lets_in(f"*.{host}", origin)


@given(HOST, HOST, st.text(max_size=10), SCHEME)
def test_nothing_that_is_not_that_host_or_below_it_gets_in(
    host: str, other: str, junk: str, scheme: str
) -> None:
    for origin in (
        f"{scheme}://{other}",
        f"{scheme}://{host}.{other}",
        f"{scheme}://{host}{junk}",
        f"{scheme}://{junk}{host}",
        f"{scheme}://{host}@{other}",
        f"{scheme}://{other}/{host}",
    ):
        found = read_origin(origin)
        if found is not None and found.host != host:
            assert not lets_in(host, origin)
            if not found.host.endswith(f".{host}"):
                assert not lets_in(f"*.{host}", origin)


@given(st.text(max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    read_origin(text)
    read_entry(text)
