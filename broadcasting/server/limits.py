"""How many connections one process can hold: each is one of the files that it may open.

Where that ends, more are turned away before they take what the process needs itself: its
backplane, its databases, a file to read. The log says so, now and then.
"""

from __future__ import annotations

import logging
import os

from broadcasting.server.speaking import NowAndThen

logger = logging.getLogger("broadcasting.server")

RESERVE = 100
"""Files kept for what is no connection of a peer; of a small limit, a quarter."""

FEW = 10_000
"""Sockets; a server on its own that can hold less is worth a warning."""

CURE = "`ulimit -n 65536` in the shell, or LimitNOFILE=65536 in its systemd unit, lets it hold more"


def raise_file_limit() -> int | None:
    """Let this process open as many files as it is allowed to; return how many.

    None: there is no limit, or none that counts sockets (Windows).
    """
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls its own bound infinite, and refuses whatever is above this one.
    for limit in (hard, 10_240):
        if soft in (hard, resource.RLIM_INFINITY):
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError):
            continue
        soft = limit
        break
    return None if soft == resource.RLIM_INFINITY else soft


def capacity(files: int | None) -> int | None:
    """Return how many connections fit where ``files`` may be open, those that are not counted."""
    if files is None:
        return None
    return max(1, files - _open_files() - min(RESERVE, files // 4))


def _open_files() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0


class Door:
    """Says whether one more connection fits. Used on the server's event loop only."""

    __slots__ = ("_capacity", "_line", "_turned_away")

    def __init__(self, capacity: int | None = None) -> None:
        """``capacity``: how many connections fit; None: no limit."""
        self._capacity = capacity
        self._turned_away = 0
        self._line = NowAndThen()

    def admits(self, connections: int) -> bool:
        """Whether so many connections may be here, the new one among them."""
        if self._capacity is None or connections <= self._capacity:
            return True
        self._turned_away += 1
        self.report()
        return False

    def report(self) -> None:
        """Log what was turned away since the last line, unless that was just now."""
        if self._turned_away and self._line.may_speak():
            logger.warning(
                "Turned away %d more than the %s connections that fit: %s",
                self._turned_away,
                f"{self._capacity:,}",
                CURE,
            )
            self._turned_away = 0

    def look(self) -> None:
        """Log if no file can be opened: whoever connects is cut off then, maybe unseen by us."""
        self.report()
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as problem:
            if self._line.may_speak():
                logger.warning("Cannot take connections now (%s): %s", problem.strerror, CURE)
