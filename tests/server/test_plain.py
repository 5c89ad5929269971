"""What is read without a parser means the same to the parser."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broadcasting.server.plain import MAX_REQUEST, PlainRequest, read

WHOLE = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Parsed:
    """What httptools makes of bytes."""

    def __init__(self, data: bytes) -> None:
        self.url, self.body, self.begun, self.complete = b"", b"", 0, 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def test_a_whole_request() -> None:
    assert read(WHOLE) == PlainRequest("POST", b"/a", b"b=c", b"{}")
    assert read(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == PlainRequest("GET", b"/", b"", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE + WHOLE,
        b"\r\n" + WHOLE,
        WHOLE.replace(b"1.1", b"1.0"),
        WHOLE.replace(b"POST", b"PUT"),
        WHOLE.replace(b"/a", b"http://x/a"),
        WHOLE.replace(b"/a", b"/a#x"),
        WHOLE.replace(b"/a", b"/\xff"),
        WHOLE.replace(b"Host: x", b"Host : x"),
        WHOLE.replace(b"Host: x", b"Host: x\r\n folded"),
        WHOLE.replace(b"Host: x", b"Content-Length: 2"),
        WHOLE.replace(b"Host: x", b"Transfer-Encoding: chunked"),
        WHOLE.replace(b"Host: x", b"Expect: 100-continue"),
        WHOLE.replace(b"Host: x", b"Upgrade: websocket"),
        WHOLE.replace(b"Host: x", b"Connection: close"),
        WHOLE.replace(b"Content-Length: 2", b"Content-Length: +2"),
        WHOLE.replace(b"Content-Length: 2", b"Content-Length: 2, 2"),
        WHOLE.replace(b"Content-Length: 2", b"Content-Length: 0x2"),
        WHOLE.replace(b"Content-Length: 2", b"X-Content-Length: 2"),
        WHOLE.replace(b"\r\n", b"\n"),
        b"POST /" + b"x" * MAX_REQUEST + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_left_to_the_parser(data: bytes) -> None:
    assert read(data) is None


name = st.sampled_from(
    [b"Host", b"Content-Length", b"content-length", b"X-Y", b"Connection", b"\t"]
)
value = st.sampled_from([b"0", b"2", b"02", b" 2", b"2 ", b"", b"x", b"keep-alive", b"2\r\n 3"])
line = st.builds(lambda n, c, v: n + c + v, name, st.sampled_from([b":", b": ", b" : "]), value)
anything = st.builds(
    lambda method, url, lines, end, body: (
        method + b" /" + url + b" HTTP/1.1" + end + end.join([*lines, b"", b""]) + body
    ),
    st.sampled_from([b"GET", b"POST", b"PUT", b"POST "]),
    st.binary(max_size=4) | st.text("ab?&=%\"'<>{}|\\^`;,@", max_size=8).map(str.encode),
    st.lists(line, max_size=5),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
    st.sampled_from([b"", b"{}", b"x"]),
)


@given(anything | st.binary(max_size=40).map(lambda more: WHOLE[:-2] + more))
@example(WHOLE)
def test_the_parser_agrees(data: bytes) -> None:
    request = read(data)
    if request is None:
        return
    parsed = Parsed(data)
    assert (parsed.begun, parsed.complete) == (1, 1)
    assert parsed.parser.get_method() == request.method.encode()
    path, _, query = parsed.url.partition(b"?")
    assert (path, query) == (request.raw_path, request.query_string)
    assert parsed.body == request.body
    assert parsed.parser.should_keep_alive()
    assert not parsed.parser.should_upgrade()
    url = httptools.parse_url(parsed.url)
    assert (url.path, url.query or b"") == (path, query)
