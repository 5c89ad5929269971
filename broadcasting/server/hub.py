"""The per-process hub: which local connections listen to which channel.

Synchronous on purpose. Knows nothing of JSON, Redis, Django or time; it only holds
connections and hands them finished frames.

What is sent in one turn of the loop goes out when that turn ends, joined by channel, so that a
burst costs each socket one write. A channel of very many listeners is served in slices, one a
turn, and of many channels as many as have that many, so that everything else has its turn in
between. Order per channel always holds, and
among the channels of one socket unless they are that large, or the socket leaves one: what waits
there is written before what waits in the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import groupby

from broadcasting.server.bursts import Burst, Run
from broadcasting.server.connection import Connection
from broadcasting.server.counters import Counters
from broadcasting.server.frames import Frame

Topic = tuple[str, str]
"""Application id and channel name."""

LARGE = 4_000
"""Listeners above which a burst is written in slices, and at which bursts of further channels wait
for the next turn: so many keep a loop for about 25 ms."""

SLICE = 1_000
"""Listeners in one slice."""

BURST_BYTES = 65_536
"""A burst of so many bytes goes out at once: joining more of it would save no more writes."""

BACKLOG_BYTES = 1_048_576
"""What may wait for a channel that is written in slices. Beyond it the rest of the slices is
written at once: whoever publishes faster than sockets can be written to has to wait for them."""

CallSoon = Callable[[Callable[[], None]], object]


class Hub:
    """The map of listeners of one node."""

    def __init__(self, call_soon: CallSoon, counters: Counters) -> None:
        """``call_soon``: the loop's, calls what it is given in the next turn."""
        self._call_soon = call_soon
        self._counters = counters
        # A dict keeps the order of joining, and removes in constant time.
        self._listeners: dict[Topic, dict[Connection, None]] = {}
        self._waiting: dict[Topic, Burst] = {}
        self._runs: dict[Topic, Run] = {}
        self._sent = 0
        self._last: Topic | None = None
        """Where the last frame went."""

        self._is_mixed = False
        """Whether frames that wait for different channels have come in turns."""

        self._is_due = False
        self._is_slicing = False

    def join(self, topic: Topic, connection: Connection) -> None:
        """Let ``connection`` hear ``topic`` from now on; twice is once."""
        listeners = self._listeners.setdefault(topic, {})
        if connection not in listeners:
            listeners[connection] = None
            if (waiting := self._waiting.get(topic)) is not None:
                waiting.skip(connection)

    def leave(self, topic: Topic, connection: Connection) -> None:
        """Let ``connection`` hear ``topic`` no more, but all that was sent until now."""
        listeners = self._listeners.get(topic)
        if listeners is None or connection not in listeners:
            return
        self.catch_up(topic, connection)
        del listeners[connection]
        if not listeners:
            # Whoever left has had what was to come.
            del self._listeners[topic]
            self._waiting.pop(topic, None)
            self._runs.pop(topic, None)

    def catch_up(self, topic: Topic, connection: Connection) -> None:
        """Write now what a listener has not had of ``topic``: something must come behind it."""
        if connection not in self._listeners.get(topic, ()):
            return
        if (run := self._runs.get(topic)) is not None:
            self._counters.frames_out += run.serve(connection)
        if (waiting := self._waiting.get(topic)) is not None:
            self._counters.frames_out += waiting.serve(connection)

    def send(self, topic: Topic, frame: Frame, spare: Collection[Connection] = ()) -> None:
        """Hand ``frame`` to every listener but those of ``spare`` when this turn ends."""
        if topic not in self._listeners:
            return
        waiting = self._waiting.get(topic)
        if waiting is None:
            waiting = self._waiting[topic] = Burst()
            if not self._is_due:
                self._is_due = True
                self._call_soon(self._end_turn)
        elif topic != self._last:
            self._is_mixed = True
        self._last = topic
        self._sent += 1
        waiting.add(self._sent, frame, spare)
        if waiting.size >= BURST_BYTES:
            self._hurry(topic, waiting)

    def flush(self) -> None:
        """Write now whatever waits for anybody: something else must come behind it."""
        for run in self._runs.values():
            self._counters.frames_out += run.send()
        self._runs.clear()
        self._write(tuple(self._waiting))

    def count(self, topic: Topic) -> int:
        """Return how many local connections hear ``topic``."""
        return len(self._listeners.get(topic, ()))

    def _end_turn(self) -> None:
        self._is_due = False
        self._begin()

    def _begin(self, *, all_of_it: bool = False) -> None:
        """Write what waits, or the first of it."""
        small, writes = [], 0
        # Those that came in turns are written frame by frame, and belong together.
        all_of_it = all_of_it or self._is_mixed
        for topic in tuple(self._waiting):
            if topic in self._runs:
                continue
            listeners = self._listeners[topic]
            if len(listeners) > LARGE:
                self._runs[topic] = Run(self._waiting.pop(topic), listeners)
            elif writes < LARGE or all_of_it:
                small.append(topic)
                writes += len(listeners)
            elif not self._is_due:
                self._is_due = True
                self._call_soon(self._end_turn)
        self._write(small)
        if self._runs and not self._is_slicing:
            self._is_slicing = True
            self._call_soon(self._send_slice)

    def _write(self, topics: Collection[Topic]) -> None:
        """Write what waits for these channels."""
        bursts = {topic: self._waiting.pop(topic) for topic in topics}
        mixed = self._is_mixed
        if not self._waiting:
            self._is_mixed = False
        if mixed and self._share_listeners(bursts):
            for topic, start, end in _in_order(bursts):
                listeners = tuple(self._listeners[topic])
                self._counters.frames_out += bursts[topic].send(listeners, start, end)
            return
        for topic, burst in bursts.items():
            self._counters.frames_out += burst.send(tuple(self._listeners[topic]))

    def _share_listeners(self, topics: Collection[Topic]) -> bool:
        """Whether anybody would see in which order different channels are written."""
        heard = [self._listeners[topic] for topic in topics]
        return len(set().union(*heard)) < sum(map(len, heard))

    def _hurry(self, topic: Topic, waiting: Burst) -> None:
        if topic not in self._runs:
            self._begin(all_of_it=True)
        elif waiting.size >= BACKLOG_BYTES:
            self._counters.backlogs += 1
            self._counters.frames_out += self._runs.pop(topic).send()
            self._write((topic,))

    def _send_slice(self) -> None:
        """Write one slice of the run whose turn it is."""
        self._is_slicing = False
        if self._runs:
            topic = next(iter(self._runs))
            # Out and in again: it is the last in line now.
            run = self._runs.pop(topic)
            self._counters.frames_out += run.send(SLICE)
            if not run.is_done:
                self._runs[topic] = run
        self._begin()


def _in_order(bursts: dict[Topic, Burst]) -> Iterator[tuple[Topic, int, int]]:
    """Return frames of several channels as they came: the channel, the first and the end."""
    came = sorted((n, topic) for topic, burst in bursts.items() for n in burst.numbers)
    done = dict.fromkeys(bursts, 0)
    for topic, group in groupby(topic for _, topic in came):
        start = done[topic]
        done[topic] = end = start + sum(1 for _ in group)
        yield topic, start, end
