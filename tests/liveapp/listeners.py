"""What a worker does when it hears of something. It says so in its log."""

from __future__ import annotations

import logging
from collections import Counter

from broadcasting import listen
from tests.liveapp.events import Told

logger = logging.getLogger("broadcasting.liveapp")

_attempts: Counter[str] = Counter()


@listen(queued=True, tries=2, backoff=0)
def write_down(event: Told) -> None:
    _attempts[event.word] += 1
    if _attempts[event.word] == 1:
        raise ConnectionError("not yet")
    name = event.user.username
    logger.info("%s: heard of %s at attempt %s", event.word, name, _attempts[event.word])


@listen(queued=True)
async def awrite_down(event: Told) -> None:
    logger.info("%s: awaited for %s", event.word, event.user.username)
