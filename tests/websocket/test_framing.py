"""The decoder beside another implementation: any cut of any frames, and any garbage."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from broadcasting.server import framing
from broadcasting.server.framing import Decoder, Violation
from tests.websocket.cases import CASES, Case, octets
from tests.websocket.client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, wire

Events = list[tuple[int, Any]]

MAX_SIZE = 70_000


def ours(pieces: list[bytes], max_size: int = 1 << 20) -> tuple[Events, int | None]:
    """Return what the decoder reads, and the code of its violation."""
    decoder, events = Decoder(max_size), []
    for piece in pieces:
        decoder.feed(piece)
        try:
            while (event := decoder.next()) is not None:
                if event is not framing.PART:
                    events.append(event)
                if event[0] == CLOSE:
                    framing.read_close(event[1])
                    decoder.stop()
        except Violation as violation:
            return events, violation.code
    return events, None


def theirs(pieces: list[bytes], max_size: int = 1 << 20) -> tuple[Events, int | None]:
    """Return what ``websockets`` reads, and the code with which it fails."""
    protocol = ServerProtocol(state=OPEN, max_size=max_size)
    for piece in pieces:
        protocol.receive_data(piece)
    events: Events = []
    kind, parts = CONTINUATION, b""
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode >= CLOSE:
            events.append((int(frame.opcode), bytes(frame.data)))
            continue
        kind, parts = int(frame.opcode) or kind, parts + bytes(frame.data)
        if frame.fin:
            try:
                events.append((kind, parts.decode() if kind == TEXT else parts))
            except UnicodeDecodeError:
                return events, 1007
            parts = b""
    failed = protocol.parser_exc is not None and protocol.close_sent is not None
    return events, protocol.close_sent.code if failed and protocol.close_sent else None


@st.composite
def messages(draw: st.DrawFn) -> list[bytes]:
    """Return the frames of a few messages, with control frames between fragments."""
    frames = []
    control = st.builds(wire, st.binary(max_size=125), st.sampled_from([PING, PONG]))
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            payload, opcode = draw(st.text(max_size=200)).encode(), TEXT
        else:
            payload, opcode = draw(st.binary(max_size=200)), BINARY
        payload *= draw(st.sampled_from([1, 1, 1, 2, 300]))
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        edges = [0, *cuts, len(payload)]
        for place, (start, end) in enumerate(itertools.pairwise(edges)):
            kind, last = CONTINUATION if place else opcode, place == len(cuts)
            frames.append(wire(payload[start:end], kind, fin=last))
            frames.extend(draw(st.lists(control, max_size=1)))
    return frames


@st.composite
def chopped(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    edges = [0, *cuts, len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


@given(st.data())
def test_any_messages_in_any_pieces_are_the_same_for_both(data: st.DataObject):
    frames = data.draw(messages())
    pieces = data.draw(chopped(b"".join(frames)))
    events, code = ours(pieces)
    assert (events, code) == theirs(pieces)
    assert code is None


@given(st.data(), st.binary(max_size=40))
def test_garbage_behind_frames_fails_for_both_or_waits(data: st.DataObject, garbage: bytes):
    whole = b"".join(data.draw(messages())) + garbage
    pieces = data.draw(chopped(whole))
    events, code = ours(pieces, MAX_SIZE)
    assert code in (None, 1002, 1007, 1009)
    others, other = theirs(pieces, MAX_SIZE)
    # Theirs waits for the end of a text that cannot be one any more, and takes long lengths.
    if code in (None, other):
        assert (events, code) == (others, other)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_garbage_never_raises_anything_else(pieces: list[bytes]):
    assert ours(pieces, 1000)[1] in (None, 1002, 1007, 1009)


@given(st.integers(0, 15), st.binary(max_size=70_000))
def test_what_we_build_is_what_they_read(opcode: int, payload: bytes):
    opcode = TEXT if opcode < 8 else BINARY
    built = framing.frame(opcode, payload)
    assert built == bytes([0x80 | opcode]) + wire(payload, opcode, masked=False)[1:]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_octet_by_octet(case: Case):
    whole = b"".join(case.frames)
    at_once, bytewise = ours([whole]), ours(octets(whole) if len(whole) < 2_000 else [whole])
    assert at_once == bytewise
    if case.code is not None and case.answers == () and case.code in (1002, 1007):
        # Two of these codes are also valid ones to be echoed.
        assert at_once[1] in (case.code, None)


def test_a_text_is_refused_at_its_first_impossible_byte():
    """Each of them, in one frame that is not whole yet."""
    text = b"fine \xce\xba\xf4\x90\x80\x80 more"
    frame = wire(text)
    pieces = octets(frame)
    first_bad = 6 + text.index(b"\x90")
    assert ours(pieces[:first_bad])[1] is None
    assert ours(pieces[: first_bad + 1])[1] == 1007


def test_parts_without_anything_in_them_are_not_kept():
    decoder = Decoder(10)
    decoder.feed(wire(b"", fin=False) + wire(b"", CONTINUATION, fin=False) * 1_000)
    assert [decoder.next() for _ in range(1_001)] == [framing.PART] * 1_001
    assert decoder.next() is None
    assert not decoder.waiting


def test_a_message_may_be_as_large_as_the_limit_over_all_its_frames():
    whole = [wire(b"12345", fin=False), wire(b"67890", CONTINUATION)]
    assert ours(whole, 10) == ([(TEXT, "1234567890")], None)
    assert ours(whole, 9)[1] == 1009
    assert ours([wire(b"1234567890")[:2]], 9)[1] == 1009


@pytest.mark.parametrize(
    ("payload", "said"),
    [(b"", (1005, "")), (b"\x03\xe8", (1000, "")), (b"\x0f\xa0bye", (4000, "bye"))],
)
def test_a_close_frame_says_code_and_reason(payload: bytes, said: tuple[int, str]):
    assert framing.read_close(payload) == said


def test_a_long_reason_is_cut_between_characters():
    sent = framing.close_frame(1000, "é" * 100)
    assert sent == framing.frame(CLOSE, b"\x03\xe8" + "é".encode() * 61)
    assert framing.close_frame(1005) == framing.frame(CLOSE, b"")
    assert close(1000)[1] == 0x82


@pytest.fixture(scope="module")
def bare() -> Any:
    """The same module where ``websockets`` is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "websockets.speedups", None)
        spec = importlib.util.spec_from_file_location("bare_framing", framing.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


@given(data=st.binary(), mask=st.binary(min_size=4, max_size=4))
def test_masks_are_taken_off_without_websockets_too(bare: Any, data: bytes, mask: bytes):
    theirs = vars(framing)["apply_mask"]
    assert bare.apply_mask is not theirs
    assert bare.apply_mask(data, mask) == theirs(data, mask)
