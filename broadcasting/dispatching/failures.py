"""What could not be sent: logged without its payload, and counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from broadcasting.exceptions import NoServerHere
from broadcasting.forking import ForkSafeLock

logger = logging.getLogger("broadcasting.dispatching")

failed: Counter[str] = Counter()
"""Failures of this process that nobody was told of by an exception, by event."""

_lock = ForkSafeLock()


def report(
    error: BaseException, label: str, step: str, channels: Iterable[object] = (), via: str = ""
) -> None:
    """Log and count a failure that is not raised: event, channels, step, never the payload."""
    with _lock:
        failed[label] += 1
        # The same for every event of such a process: once is enough.
        repeated = isinstance(error, NoServerHere) and NoServerHere.__name__ in _said
        _said.add(type(error).__name__)
    logger.log(
        logging.DEBUG if repeated else logging.ERROR,
        "%s was not broadcast on %s: %s%s failed: %s: %s",
        label,
        ", ".join(map(str, channels)) or "any channel",
        step,
        f" ({via})" if via else "",
        type(error).__name__,
        error,
        # A mistake in a hook needs its place; a dead broker has none worth a traceback.
        exc_info=None if via else error,
    )


_said: set[str] = set()
