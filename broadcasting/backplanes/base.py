"""What every backplane promises: to carry envelopes, nothing else.

Local delivery is never a backplane's business; that is the hub's. Each backplane writes
both colours itself, with no bridge between them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from broadcasting.backplanes.envelope import Envelope
from broadcasting.families import MayWait

Receiver = Callable[[Envelope], None]
"""What a node gives: called on its event loop, never blocks, never raises."""

GapEnded = Callable[[], None]
"""Told, as a Receiver is, that the node hears again what it listens to, after it did not."""


class BaseBackplane(MayWait, ABC):
    """Carry envelopes between processes."""

    known_options: ClassVar[frozenset[str] | None] = None
    """Keys that ``OPTIONS`` may have; None: whatever the backplane likes."""

    crosses_processes: ClassVar[bool] = True
    """Whether an envelope published in one process reaches nodes in another."""

    @abstractmethod
    def publish(self, envelope: Envelope) -> None:
        """Hand ``envelope`` on from sync code, from any thread, within ``PUBLISH_TIMEOUT``.

        Raises NoServerHere or BackplaneUnavailable.
        """

    @abstractmethod
    async def apublish(self, envelope: Envelope) -> None:
        """See publish()."""

    @abstractmethod
    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> Subscription:
        """Attach a node that lives on the running event loop; begin to receive.

        ``on_gap`` is called each time that envelopes arrive again after some may have been
        lost, once all topics are joined: what the node knows from envelopes may be out of date.
        """


class Subscription(ABC):
    """One node's end of a backplane. Used on the node's event loop only."""

    selective: ClassVar[bool] = True
    """Whether only topics that were joined arrive; False: everything does, nobody need join."""

    gaps: int = 0
    """How often envelopes may have been lost, because nothing could be heard for a while."""

    @property
    def problem(self) -> str | None:
        """Why envelopes do not arrive at present, without any secret; None: as far as is known,
        they do."""
        return None

    @property
    def connected(self) -> bool:
        """Whether envelopes arrive, as far as is known."""
        return self.problem is None

    @abstractmethod
    async def join(self, app_id: str, channel: str) -> None:
        """Receive envelopes for ``channel`` from now on. Raises BackplaneUnavailable."""

    @abstractmethod
    async def leave(self, app_id: str, channel: str) -> None:
        """Stop receiving envelopes for ``channel``. Raises BackplaneUnavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Detach the node; nothing is received after this returns."""
