"""Several broadcasts on their way: the batches that are still to go, and what failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from broadcasting.broadcasters.pusher import requests
from broadcasting.exceptions import BroadcastingError, BroadcastRefused, NotAllSent
from broadcasting.protocol.application import Application

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

CONTENT_REFUSED: Final = frozenset({400, 413, 422})
"""Statuses that are about what was sent, not about who sent it."""


class Batching:
    """Iterate over the batches, and say of each whether it failed.

    ``check`` raises a BroadcastingError for what may not be sent; that goes into no batch.
    """

    def __init__(
        self,
        application: Application,
        broadcasts: Iterable[Broadcast],
        check: Callable[[Broadcast], None],
    ) -> None:
        self._failures: list[tuple[Broadcast, Exception]] = []
        sound = [each for each in broadcasts if self._is_sound(each, check)]
        self._left = deque(requests.batches(application, sound))

    def __iter__(self) -> Iterator[requests.Events]:
        while self._left:
            yield self._left.popleft()

    def failed(self, together: requests.Events, error: BroadcastingError) -> None:
        """Let the events of a batch go one by one if that may help; else keep the error.

        A server refuses a batch whole, for one event of it or as it is too large.
        """
        of_content = isinstance(error, BroadcastRefused) and error.status in CONTENT_REFUSED
        if of_content and len(together) > 1:
            self._left.extendleft([one] for one in reversed(together))
        else:
            self._failures += [(broadcast, error) for broadcast, _ in together]

    def finish(self) -> None:
        """Raise NotAllSent if anything failed."""
        if self._failures:
            raise NotAllSent(self._failures)

    def _is_sound(self, broadcast: Broadcast, check: Callable[[Broadcast], None]) -> bool:
        try:
            check(broadcast)
        except BroadcastingError as error:
            self._failures.append((broadcast, error))
            return False
        return True
