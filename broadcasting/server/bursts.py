"""What waits for one channel: frames of one turn of the loop, and who is not to get all of them.

A burst costs each socket one write, however many frames it has. Nothing here waits or times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from broadcasting.server.connection import Connection, send_all
from broadcasting.server.frames import Frame

NOBODY: frozenset[Connection] = frozenset()


class Burst:
    """Frames for the same listeners, in their order."""

    __slots__ = ("_frames", "_served", "_spared", "numbers", "size")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._spared: dict[int, frozenset[Connection]] = {}
        """Who does not get a frame, by its index; hardly any frame spares anybody."""

        self._served: dict[Connection, int] = {}
        """How many of the frames, from the first one on, are not for a connection any more."""

        self.numbers: list[int] = []
        """Of each frame among all that the hub was given, in whatever channel."""

        self.size = 0
        """Bytes of all frames on the wire."""

    def add(self, number: int, frame: Frame, spare: Collection[Connection] = ()) -> None:
        """Put ``frame`` behind the others; ``spare`` will not get it."""
        if spare:
            self._spared[len(self._frames)] = frozenset(spare)
        self._frames.append(frame)
        self.numbers.append(number)
        self.size += frame.size

    def skip(self, connection: Connection) -> None:
        """What is here so far is not for ``connection``: it came later, or was served."""
        self._served[connection] = len(self._frames)

    def serve(self, connection: Connection) -> int:
        """Give a connection now what is here for it so far; return how many frames."""
        # Nobody looks through all of it for one that is gone: when a server dies, crowds are.
        handed = 0 if connection.closing else self._send_some(connection, 0, len(self._frames))
        self.skip(connection)
        return handed

    def send(
        self, connections: Collection[Connection], start: int = 0, end: int | None = None
    ) -> int:
        """Write frames ``start`` to ``end`` to each connection; return how many were handed on."""
        end = len(self._frames) if end is None else end
        frames = self._frames[start:end]
        special = self._served.keys() | NOBODY.union(*self._spared.values())
        plain = [c for c in connections if c not in special] if special else connections
        send_all(plain, Frame.join(frames))
        handed = len(plain) * len(frames)
        if len(plain) < len(connections):
            handed += sum(self._send_some(c, start, end) for c in connections if c in special)
        return handed

    def _send_some(self, connection: Connection, start: int, end: int) -> int:
        first = max(start, self._served.get(connection, 0))
        numbers = range(first, end)
        wanted = [self._frames[n] for n in numbers if connection not in self._spared.get(n, NOBODY)]
        if wanted:
            connection.send(Frame.join(wanted))
        return len(wanted)


class Run:
    """A burst on its way to very many listeners, a slice at a time."""

    __slots__ = ("_burst", "_connections", "_done", "_rest")

    def __init__(self, burst: Burst, connections: Iterable[Connection]) -> None:
        self._burst = burst
        self._connections = tuple(connections)
        self._done = 0
        self._rest: set[Connection] | None = None
        """Who has not had it, and has not left; made when the first one leaves."""

    def send(self, limit: int | None = None) -> int:
        """Write to the next ``limit`` connections, or to all that are left; see Burst.send()."""
        end = len(self._connections) if limit is None else self._done + limit
        some = self._connections[self._done : end]
        self._done = end
        if self._rest is not None:
            some = tuple([connection for connection in some if connection in self._rest])
            self._rest.difference_update(some)
        return self._burst.send(some)

    def serve(self, connection: Connection) -> int:
        """Give a connection the burst now, if it has not had it; return how many frames."""
        if self._rest is None:
            self._rest = set(self._connections[self._done :])
        if connection not in self._rest:
            return 0
        self._rest.discard(connection)
        return 0 if connection.closing else self._burst.send((connection,))

    @property
    def is_done(self) -> bool:
        return self._done >= len(self._connections)
