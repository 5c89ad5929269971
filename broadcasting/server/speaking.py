"""How often the log is told what goes on and on."""

from __future__ import annotations

import math
import time

from broadcasting.expiring import ExpiringMap

SECONDS_BETWEEN_LINES = 60.0

MOST = 1_000
"""Of what is told once each, the newest are remembered."""


class NowAndThen:
    """Whether a line may be written: once a minute, however much happens."""

    __slots__ = ("_silent_until",)

    def __init__(self) -> None:
        self._silent_until = 0.0

    def may_speak(self) -> bool:
        """Whether the last time is long ago; it is now then."""
        now = time.monotonic()
        if now < self._silent_until:
            return False
        self._silent_until = now + SECONDS_BETWEEN_LINES
        return True


class OnceEach:
    """Whether something is new to the log."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told = ExpiringMap[object, None](MOST, time.monotonic)

    def __len__(self) -> int:
        return len(self._told)

    def is_new(self, what: object) -> bool:
        """Whether ``what`` was not asked for lately; it was from now on."""
        return self._told.add(what, None, math.inf)
