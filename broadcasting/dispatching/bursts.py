"""Which events of a burst leave, and when: those of one kind wait for each other, the last wins.

What the processes of a site must know of each other stands in Django's cache: the token of the
last one, when the burst began, when one left last. Without it each process is on its own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from os import urandom
from typing import Any, Final

from django.core.cache import caches

from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching.options import EventOptions

LATEST_JOB: Final = "latest"
DEFAULT_MAX_WAIT: Final = 10
"""Times ``debounce``."""

_GRACE: Final = 60
"""Seconds that what is kept outlives its use."""

logger = logging.getLogger("broadcasting.dispatching")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The turn of one broadcast, which a later one of its kind may take."""

    cache: str
    """An alias of ``CACHES``."""

    key: str
    token: str
    throttle: float
    delay: float
    """Seconds until it is due; 0: it leaves at once, whatever comes after it."""

    def is_last(self) -> bool:
        """Whether nobody took it meanwhile; if so, the burst is over. Never raises."""
        try:
            cache = caches[self.cache]
            # None: the cache forgot.
            if cache.get(self.key) not in (None, self.token):
                return False
            cache.delete(f"{self.key}:began")
            if self.throttle:
                _keep(cache, f"{self.key}:closed", time.time() + self.throttle, self.throttle)
        except Exception:
            logger.exception("The cache cannot tell which event of a burst is the last")
        return True

    def to_payload(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)


def kind_of(broadcasts: Sequence[Broadcast], key: str) -> str:
    """Return what jobs have in common of which only the last is to leave.

    ``broadcasts``: those of one event that travel together.
    """
    first = broadcasts[0]
    parts = [first.event_label, first.name, key]
    for broadcast in broadcasts:
        parts += [broadcast.broadcaster, *sorted(broadcast.channels)]
    # Hashed: caches refuse blanks, and names that are long.
    return sha256("\n".join(parts).encode()).hexdigest()


def take_turn(
    options: EventOptions, broadcasts: Sequence[Broadcast], key: str, patience: float
) -> Turn:
    """Return the turn of ``broadcasts``, taken from whatever of its kind waits. Never raises.

    ``patience``: how many seconds late a worker may still do its job.
    """
    name = f"broadcasting:burst:{kind_of(broadcasts, key)}"
    token = urandom(16).hex()
    alias, longest = options.unique_cache, max(_max_wait(options), options.throttle)
    delay = 0.0
    try:
        cache = caches[alias]
        delay = _throttled(cache, name, options) or _debounced(cache, name, options)
        _keep(cache, name, token, longest + patience)
    except Exception:
        # Better too many than none.
        logger.exception("The cache cannot hold back a burst of %s", broadcasts[0].event_label)
    return Turn(cache=alias, key=name, token=token, throttle=options.throttle, delay=delay)


def _max_wait(options: EventOptions) -> float:
    if options.max_wait is None:
        return options.debounce * DEFAULT_MAX_WAIT
    return max(options.max_wait, options.debounce)


def _debounced(cache: Any, name: str, options: EventOptions) -> float:
    """Return for how long it waits for a quiet moment."""
    if not options.debounce:
        return 0
    now, began = time.time(), cache.get(f"{name}:began")
    if began is None:
        _keep(cache, f"{name}:began", now, _max_wait(options))
        return options.debounce
    left: float = began + _max_wait(options) - now
    if left <= 0:
        cache.delete(f"{name}:began")
        return 0
    return min(options.debounce, left)


def _throttled(cache: Any, name: str, options: EventOptions) -> float:
    """Return for how long nothing of its kind may leave; if it may, close the gate behind it."""
    if not options.throttle:
        return 0
    now, closed = time.time(), cache.get(f"{name}:closed")
    if closed is not None and closed > now:
        # No longer than it could be, if a clock was set back.
        return min(float(closed - now), options.throttle)
    _keep(cache, f"{name}:closed", now + options.throttle, options.throttle)
    return 0


def _keep(cache: Any, name: str, value: object, seconds: float) -> None:
    # Whole seconds: some caches round down, to nothing.
    cache.set(name, value, math.ceil(seconds) + _GRACE)
