"""What every broadcaster promises: to send a finished broadcast, nothing else.

When, for whom and from which process is decided before it is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class BaseBroadcaster(ABC):
    """Send broadcasts somewhere. Each driver writes both colours itself."""

    known_options: ClassVar[frozenset[str] | None] = None
    """Keys that ``OPTIONS`` may have; None: whatever the driver likes."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def check(self, broadcast: Broadcast) -> None:  # noqa: B027
        """Raise what makes ``broadcast`` impossible to send, while its sender can still see it.

        Asked when an event is handed on, before any queue. Never blocks.
        """

    @abstractmethod
    def broadcast(self, broadcast: Broadcast) -> None:
        """Send ``broadcast`` from sync code, from any thread. Raises PublishError."""

    @abstractmethod
    async def abroadcast(self, broadcast: Broadcast) -> None:
        """See broadcast()."""
