"""The cases of the Autobahn testsuite, by its numbers: what is sent, and what must come back.

Sections 1 to 7 and 10 as tables of frames; 9, whose messages are large, is in its test.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.websocket.client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close,
    wire,
)

Answer = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """Frames of a client, each as bytes, and the answers; then a close with ``code``.

    Of code None the peer closes itself, with 1000, once it has all answers.
    """

    name: str
    frames: tuple[bytes, ...]
    answers: tuple[Answer, ...] = ()
    code: int | None = None


KOSME = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
HELLO = b"Hello, world!"


def echoed(name: str, payload: bytes, opcode: int = TEXT) -> Case:
    return Case(name, (wire(payload, opcode),), ((opcode, payload),))


def refused(name: str, *frames: bytes, code: int = 1002, answers: tuple[Answer, ...] = ()) -> Case:
    return Case(name, frames, answers, code)


def parts(payloads: list[bytes], opcode: int = TEXT) -> tuple[bytes, ...]:
    """Return the frames of one message."""
    last = len(payloads) - 1
    return tuple(
        wire(payload, CONTINUATION if place else opcode, fin=place == last)
        for place, payload in enumerate(payloads)
    )


def octets(payload: bytes) -> list[bytes]:
    return [bytes([octet]) for octet in payload]


SIZES = (0, 125, 126, 127, 128, 65_535, 65_536)
FRAMING = [
    *(echoed(f"1.1.{n}", b"*" * size) for n, size in enumerate(SIZES, 1)),
    *(echoed(f"1.2.{n}", b"\xfe" * size, BINARY) for n, size in enumerate(SIZES, 1)),
]

TEN = [b"payload-%d" % n for n in range(10)]
PINGS = [
    *(
        Case(f"2.{n}", (wire(payload, PING),), ((PONG, payload),))
        for n, payload in enumerate(
            [b"", HELLO, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125], 1
        )
    ),
    refused("2.5", wire(b"\xfe" * 126, PING)),
    Case("2.7", (wire(b"", PONG),)),
    Case("2.8", (wire(HELLO, PONG),)),
    Case("2.9", (wire(HELLO, PONG), wire(b"ping", PING)), ((PONG, b"ping"),)),
    Case("2.10", tuple(wire(p, PING) for p in TEN), tuple((PONG, p) for p in TEN)),
]

ONE = wire(HELLO)
ECHO: tuple[Answer, ...] = ((TEXT, HELLO),)
RESERVED_BITS = [
    refused("3.1", wire(HELLO, rsv=1)),
    *(
        refused(f"3.{rsv}", ONE, wire(HELLO, rsv=rsv), wire(b"", PING), answers=ECHO)
        for rsv in (2, 3, 4)
    ),
    refused("3.5", wire(b"\xff" * 8, BINARY, rsv=5)),
    refused("3.6", wire(HELLO, PING, rsv=6)),
    refused("3.7", wire(b"", CLOSE, rsv=7)),
]

OPCODES = [
    refused("4.1.1", wire(b"", 3)),
    refused("4.1.2", wire(b"reserved opcode payload", 4)),
    refused("4.1.3", ONE, wire(b"", 5), wire(b"", PING), answers=ECHO),
    refused("4.1.4", ONE, wire(b"reserved", 6), wire(b"", PING), answers=ECHO),
    refused("4.1.5", ONE, wire(b"reserved", 7), wire(b"", PING), answers=ECHO),
    refused("4.2.1", wire(b"", 11)),
    refused("4.2.2", wire(b"reserved opcode payload", 12)),
    refused("4.2.3", ONE, wire(b"", 13), wire(b"", PING), answers=ECHO),
    refused("4.2.4", ONE, wire(b"reserved", 14), wire(b"", PING), answers=ECHO),
    refused("4.2.5", ONE, wire(b"reserved", 15), wire(b"", PING), answers=ECHO),
]

TWO = parts([b"fragment1", b"fragment2"])
JOINED: tuple[Answer, ...] = ((TEXT, b"fragment1fragment2"),)
FIVE = parts([b"fragment%d" % n for n in range(1, 6)])
STRAY = wire(b"non-continuation", CONTINUATION)
STRAY_PART = wire(b"non-continuation", CONTINUATION, fin=False)
FRAGMENTATION = [
    refused("5.1", *parts([b"frag", b"ment"], PING)),
    refused("5.2", *parts([b"frag", b"ment"], PONG)),
    Case("5.3", TWO, JOINED),
    Case("5.6", (TWO[0], wire(b"ping", PING), TWO[1]), ((PONG, b"ping"), *JOINED)),
    refused("5.9", STRAY, ONE),
    refused("5.12", STRAY_PART, ONE),
    refused("5.15", *TWO, STRAY_PART, ONE, answers=JOINED),
    refused("5.16", *(STRAY_PART, wire(b"f", fin=False), STRAY) * 2),
    refused("5.17", *(STRAY, wire(b"f", fin=False), STRAY) * 2),
    refused("5.18", wire(b"fragment1", fin=False), wire(b"fragment2")),
    Case(
        "5.19",
        (*FIVE[:2], wire(b"one", PING), *FIVE[2:4], wire(b"two", PING), FIVE[4]),
        ((PONG, b"one"), (PONG, b"two"), (TEXT, b"fragment1fragment2fragment3fragment4fragment5")),
    ),
]

VALID = {
    "6.5": ["hello$world", "hello¢world", "hello€world", "hello\U00024b62world", KOSME.decode()],
    "6.7": ["\0", "\x80", "\u0800", "\U00010000"],
    "6.9": ["\x7f", "\u07ff", "\uffff", "\U0010ffff"],
    "6.11": ["\ud7ff", "\ue000", "\ufffd", "\U0010ffff"],
    "6.22": [chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)],
    "6.23": ["\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"],
}
LONELY = [
    b" ".join(octets(bytes(range(first, last + 1)))) + b" "
    for first, last in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
]
CUT_SHORT = [
    "c0",
    "e080",
    "f08080",
    "f8808080",
    "fc80808080",
    "df",
    "efbf",
    "f7bfbf",
    "fbbfbfbf",
    "fdbfbfbfbf",
]
INVALID = {
    "6.8": ["f888808080", "fc8480808080"],
    "6.10": ["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"],
    "6.12": [
        *("80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf"),
        bytes(range(0x80, 0xC0)).hex(),
    ],
    "6.13": [lonely.hex() for lonely in LONELY],
    "6.14": CUT_SHORT,
    "6.15": ["".join(CUT_SHORT)],
    "6.16": ["fe", "ff", "fefeffff"],
    "6.17": ["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"],
    "6.18": ["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"],
    "6.19": ["c080", "e08080", "f0808080", "f880808080", "fc8080808080"],
    "6.20": ["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"],
    "6.21": [
        *("eda080edb080", "eda080edbfbf", "edadbfedb080", "edadbfedbfbf"),
        *("edae80edb080", "edae80edbfbf", "edafbfedb080", "edafbfedbfbf"),
    ],
}
BAD = KOSME + b"\xed\xa0\x80edited"
WHOLE = {2, 5, 7, 9, 11}
"""How many bytes of KOSME end with a character."""

UTF_8 = [
    echoed("6.1.1", b""),
    Case("6.1.2", parts([b"", b"", b""]), ((TEXT, b""),)),
    Case("6.1.3", parts([b"", b"middle frame payload", b""]), ((TEXT, b"middle frame payload"),)),
    echoed("6.2.1", "Hello-µ@ßöäüàá-UTF-8!!".encode()),
    Case(
        "6.2.2",
        parts(["Hello-µ@ßöä".encode(), "üàá-UTF-8!!".encode()]),
        ((TEXT, "Hello-µ@ßöäüàá-UTF-8!!".encode()),),
    ),
    Case(
        "6.2.3",
        parts(octets("Hello-µ@ßöäüàá-UTF-8!!".encode())),
        ((TEXT, "Hello-µ@ßöäüàá-UTF-8!!".encode()),),
    ),
    Case("6.2.4", parts(octets(KOSME)), ((TEXT, KOSME),)),
    refused("6.3.1", wire(BAD), code=1007),
    refused("6.3.2", *parts(octets(BAD)), code=1007),
    *(
        echoed(f"6.6.{n}", KOSME[:n])
        if n in WHOLE
        else refused(f"6.6.{n}", wire(KOSME[:n]), code=1007)
        for n in range(1, 12)
    ),
    *(
        echoed(f"{group}.{n}", text.encode())
        for group, texts in VALID.items()
        for n, text in enumerate(texts, 1)
    ),
    refused("6.11.5", wire(bytes.fromhex("f4908080")), code=1007),
    *(
        refused(f"{group}.{n}", wire(bytes.fromhex(text)), code=1007)
        for group, texts in INVALID.items()
        for n, text in enumerate(texts, 1)
    ),
]

BEYOND = b"\xf4\x90\x80\x80"
"""Behind the last character of Unicode: wrong from its second byte on."""

FAIL_FAST = {
    # What may come, and what no text goes on with; the message is not over behind either.
    "6.4.1": (parts([KOSME, BEYOND, b"edited"])[0], parts([KOSME, BEYOND, b"edited"])[1]),
    "6.4.2": (
        b"".join(parts([KOSME + BEYOND[:1], BEYOND[1:], b"edited"])[:1]),
        parts([KOSME + BEYOND[:1], BEYOND[1:], b"edited"])[1],
    ),
    "6.4.3": (wire(KOSME + BEYOND + b"edited")[: 6 + 11], None),
    "6.4.4": (wire(KOSME + BEYOND + b"edited")[: 6 + 12], None),
}

VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
BYE = close(1000)
LARGE = b"x" * 262_144
NOTHING = 1005
"""A close frame that says no code."""

CLOSING = [
    Case("7.1.1", (ONE, BYE), ECHO, 1000),
    Case("7.1.2", (BYE, BYE), (), 1000),
    Case("7.1.3", (BYE, wire(b"", PING)), (), 1000),
    Case("7.1.4", (BYE, ONE), (), 1000),
    Case("7.1.5", (TWO[0], BYE, TWO[1]), (), 1000),
    Case("7.1.6", (wire(LARGE), BYE, wire(b"", PING)), ((TEXT, LARGE),), 1000),
    Case("7.3.1", (close(),), (), NOTHING),
    refused("7.3.2", wire(b"a", CLOSE)),
    Case("7.3.3", (BYE,), (), 1000),
    Case("7.3.4", (close(1000, HELLO),), (), 1000),
    Case("7.3.5", (close(1000, b"*" * 123),), (), 1000),
    refused("7.3.6", close(1000, b"*" * 124)),
    refused("7.5.1", close(1000, BAD), code=1007),
    *(Case(f"7.7.{n}", (close(code),), (), code) for n, code in enumerate(VALID_CODES, 1)),
    *(refused(f"7.9.{n}", close(code)) for n, code in enumerate(INVALID_CODES, 1)),
    refused("7.13.1", close(5000)),
    refused("7.13.2", close(65_535)),
]

LONG = b"*" * 65_536
AUTO_FRAGMENT = [
    Case("10.1.1", parts([LONG[at : at + 1300] for at in range(0, 65_536, 1300)]), ((TEXT, LONG),)),
]

CASES = [
    *(*FRAMING, *PINGS, *RESERVED_BITS, *OPCODES, *FRAGMENTATION, *UTF_8, *CLOSING),
    *AUTO_FRAGMENT,
]
