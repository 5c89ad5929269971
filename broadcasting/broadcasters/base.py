"""What every broadcaster promises: to send a finished broadcast. Some can do more.

When, for whom and from which process is decided before it is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from broadcasting.exceptions import NotAllSent, NotSupported

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class BaseBroadcaster(ABC):
    """Send broadcasts somewhere. Each driver writes both colours itself."""

    known_options: ClassVar[frozenset[str] | None] = None
    """Keys that ``OPTIONS`` may have; None: whatever the driver likes."""

    dialect: ClassVar[str] = "pusher"
    """How its clients ask for channels: as those of ``pusher``, ``socket.io`` or ``ably``."""

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

    def broadcast_many(self, broadcasts: Sequence[Broadcast]) -> None:
        """Send several in order; a driver that can sends them together.

        All are tried. Raises NotAllSent with those that did not leave: a queue tries them again,
        and only them.
        """
        failures: list[tuple[Broadcast, Exception]] = []
        for broadcast in broadcasts:
            try:
                self.broadcast(broadcast)
            except Exception as error:  # a driver of somebody else's raises what it likes
                failures.append((broadcast, error))
        if failures:
            raise NotAllSent(failures)

    async def abroadcast_many(self, broadcasts: Sequence[Broadcast]) -> None:
        """See broadcast_many()."""
        failures: list[tuple[Broadcast, Exception]] = []
        for broadcast in broadcasts:
            try:
                await self.abroadcast(broadcast)
            except Exception as error:
                failures.append((broadcast, error))
        if failures:
            raise NotAllSent(failures)

    def channels(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Return the occupied channels whose names begin with ``prefix``, and what is known.

        Raises NotSupported, as do all that follow, where there is nobody to ask.
        """
        self._unable("list channels")

    async def achannels(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """See channels()."""
        self._unable("list channels")

    def channel(self, name: str) -> dict[str, Any]:
        """Return whether the channel is ``occupied``, and what else is known of it."""
        self._unable("describe channels")

    async def achannel(self, name: str) -> dict[str, Any]:
        """See channel()."""
        self._unable("describe channels")

    def members(self, name: str) -> list[str]:
        """Return the ids of the users in a presence channel."""
        self._unable("list members")

    async def amembers(self, name: str) -> list[str]:
        """See members()."""
        self._unable("list members")

    def revoke(self, user_id: str, channel: str) -> None:
        """Take every connection of a user out of ``channel``, a wire name.

        Answers that were signed until now are not good any more. Raises PublishError, and
        NotSupported by a driver that cannot.
        """
        self._unable("revoke access to a channel")

    async def arevoke(self, user_id: str, channel: str) -> None:
        """See revoke()."""
        self._unable("revoke access to a channel")

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        """End every connection of a user.

        ``reconnect``: whether clients may return at once, and authorize anew. ``session``: a
        hash of the one session whose connections are meant, and those of which it is not known.
        Raises PublishError, and NotSupported by a driver that cannot.
        """
        self._unable("end connections")

    async def adisconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        """See disconnect()."""
        self._unable("end connections")

    def close(self) -> None:  # noqa: B027
        """Let sync connections of this process go, if there are any; sending opens new ones."""

    async def aclose(self) -> None:  # noqa: B027
        """Let connections of the running loop go, if there are any."""

    def _unable(self, deed: str) -> NoReturn:
        raise NotSupported(f"{type(self).__name__} cannot {deed}")
