"""What is asked of every node, in envelopes of the kind ``control``, and done here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from broadcasting.applications import get_applications
from broadcasting.backplanes import Envelope
from broadcasting.backplanes.control import (
    CONTROL_CHANNEL,
    DEPLOYMENT,
    Count,
    Members,
    Online,
    Remember,
    Restart,
    Revoke,
    Terminate,
    read,
)
from broadcasting.backplanes.envelope import UnreadableEnvelope
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.registry import Cached

if TYPE_CHECKING:
    from broadcasting.server.node import Node

logger = logging.getLogger("broadcasting.server")

HEAR_AGAIN = 5.0
"""Seconds until topics are joined that could not be when the node started."""

Restarter = Callable[[str, float], None]
"""Called with the id of the request, and with the seconds over which nodes spread."""


class Orders:
    """Hears what applications, and the deployment, ask of this node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._heard: set[str] = set()
        """Applications whose control topic is joined."""

        self._joining: asyncio.Task[None] | None = None
        self.restart: Restarter | None = None
        """Set by whoever can stop this process for its supervisor to start it again."""

    @property
    def joining(self) -> bool:
        """Whether something that is asked of this node may not arrive here yet."""
        return self._joining is not None and not self._joining.done()

    def hears(self, app_id: str) -> bool:
        """Whether control envelopes of an application arrive here."""
        return app_id in self._heard

    async def hear(self, app_id: str) -> None:
        """Return once they do. Raises BackplaneUnavailable."""
        await self._node.interests.hold((app_id, CONTROL_CHANNEL))
        self._heard.add(app_id)

    def hear_all(self) -> None:
        """Begin to hear what every application asks of its nodes, sockets or not.

        Once; servers that tell of their start have it done then, others with the first socket.
        """
        if self._node.interests.selective and self._joining is None:
            self._joining = self._node.loop.create_task(self._hear_all())

    def close(self) -> None:
        """Try no more to hear what could not be heard yet."""
        if self._joining is not None:
            self._joining.cancel()

    def obey(self, envelope: Envelope) -> None:
        """Do what a control envelope asks."""
        node, app_id = self._node, envelope.app_id
        try:
            asked = read(envelope)
        except UnreadableEnvelope as error:
            node.counters.unreadable += 1
            logger.warning("Ignored a control envelope: %s", error)
            return
        match asked:
            case Terminate():
                node.access.terminate(app_id, asked)
            case Revoke():
                node.access.revoke(app_id, asked)
            case Remember(channel=channel, frame=frame, id=id_, ttl=ttl):
                node.registry.remember(app_id, channel, Cached(frame=frame, id=id_, ttl=ttl))
            case Members():
                node.rosters.hear((app_id, envelope.channel), asked)
            case Count():
                node.hear_count((app_id, envelope.channel), asked)
            case Online():
                node.users.hear(app_id, asked)
            case Restart():
                self._restart(envelope, asked)

    def _restart(self, envelope: Envelope, asked: Restart) -> None:
        # An application's own topic is not where a deployment speaks.
        if envelope.app_id == DEPLOYMENT and self.restart is not None:
            self.restart(envelope.id, asked.over)
        else:
            logger.warning("Asked to restart, which only websockets_serve can")

    async def _hear_all(self) -> None:
        while not await self._has_heard_all():
            await asyncio.sleep(HEAR_AGAIN)

    async def _has_heard_all(self) -> bool:
        """Join what is not joined yet; False: the backplane is away."""
        try:
            ids = [DEPLOYMENT, *(application.id for application in get_applications().all())]
            for app_id in ids:
                if not self.hears(app_id):
                    await self.hear(app_id)
        except BackplaneUnavailable as error:
            # So does each application's first socket.
            logger.warning("Cannot hear yet what is asked of this node, trying again: %s", error)
            return False
        except Exception:  # a source of somebody else's raises what it likes
            logger.exception("Cannot hear what applications ask of this node")
        return True
