"""One look at every socket, now and then: who is silent, who does not end, whose tenant changed.

A timer for all of them, not one each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from broadcasting.applications import Application, get_applications
from broadcasting.protocol import messages
from broadcasting.protocol.errors import (
    ApplicationDisabled,
    HandshakeRefused,
    NotAuthorizedInTime,
    PongTimeout,
    UnknownApplication,
)
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame

if TYPE_CHECKING:
    from broadcasting.server.node import Node

logger = logging.getLogger("broadcasting.server")

SHORTEST_DEMAND = 1.0
"""Seconds: a demand to sign in sooner than that is looked after as if it were so long."""

LONGEST = 5.0
"""Seconds between two looks at most: also how late a changed application is noticed."""

LOOKS_A_TURN = 1_000
"""Sockets that are looked at before everything else has its turn: each may need a ping."""

PING_FRAME = Frame(messages.PING)


_Changes = dict[str, Application | None]
"""By id, the applications that are otherwise than before; None: gone."""


class Sweep:
    """Looks again and again while there are sockets."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._timer: asyncio.Handle | None = None
        self._is_looking = False
        """Whether a look has begun, and is not over."""

        self._known: dict[str, Application] = {}

    def wake(self, application: Application) -> None:
        """Look from now on: a socket of ``application`` has come."""
        if application.id not in self._known:
            self._known[application.id] = application
        first = self._node.holds(application.id) == 1
        if application.enable_user_authentication and first and not self._is_looking:
            # It may be in more of a hurry than those before it.
            self.stop()
        if self._timer is None:
            self._schedule()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        settings = self._node.settings
        # One tenant's hurry is everybody's work, so it has a bound, and an end with its sockets.
        hurries = [
            max(application.user_authentication_timeout, SHORTEST_DEMAND)
            for application in self._known.values()
            if application.enable_user_authentication and self._node.holds(application.id)
        ]
        shortest = min(settings.activity_timeout, settings.pong_timeout, *hurries)
        self._timer = self._node.loop.call_later(min(shortest / 4, LONGEST), self._look)

    def _look(self) -> None:
        everybody = iter(tuple(self._node.connections.values()))
        self._is_looking = True
        self._look_on(everybody, self._changed_applications())

    def _look_on(self, rest: Iterator[Connection], changes: _Changes) -> None:
        """Look at some of ``rest``, and at the others in the turns that follow."""
        now = self._node.now()
        some = tuple(islice(rest, LOOKS_A_TURN))
        for connection in some:
            if connection.closing:
                self._give_up(connection, now)
            elif not (changes and self._adopt(connection, changes)):
                self._check_liveness(connection, now)
        if len(some) == LOOKS_A_TURN:
            self._timer = self._node.loop.call_soon(self._look_on, rest, changes)
            return
        self._is_looking = False
        self._timer = None
        if self._node.connections:
            self._schedule()

    def _check_liveness(self, connection: Connection, now: float) -> None:
        protocol, settings = connection.protocol, self._node.settings
        if protocol.is_unauthorized(now):
            self._node.counters.unauthorized_closed += 1
            connection.refuse(NotAuthorizedInTime())
            return
        lane = connection.lane
        if lane is not None and lane.heard_at is not None:
            protocol.hear(lane.heard_at)
        else:
            lane = None
        if protocol.is_stale(now, settings.pong_timeout):
            self._node.counters.stale_closed += 1
            connection.refuse(PongTimeout())
        elif protocol.needs_ping(now, settings.activity_timeout):
            protocol.pinged_at = now
            # Whoever uses control frames may answer nothing else (as Reverb has it).
            if lane is not None:
                lane.ask()
            else:
                connection.reply(PING_FRAME)

    def _give_up(self, connection: Connection, now: float) -> None:
        """End a socket that was told to go, and does not even read that."""
        if connection.closing_since is None:
            connection.closing_since = now
        elif now - connection.closing_since >= self._node.settings.pong_timeout:
            connection.abandon()

    def _changed_applications(self) -> _Changes:
        """Return what the source of applications says otherwise than before, by id."""
        changes: _Changes = {}
        for app_id, known in tuple(self._known.items()):
            try:
                current = get_applications().by_id(app_id)
            except Exception:  # a source of somebody else's raises what it likes
                logger.exception("Cannot look up application %r", app_id)
                continue
            if current is known or current == known:
                continue
            logger.info("Application %r has changed", app_id)
            changes[app_id] = current
            if current is None:
                del self._known[app_id]
            else:
                self._known[app_id] = current
        return changes

    def _adopt(self, connection: Connection, changes: _Changes) -> bool:
        """Pass a change on to ``connection``; return whether that was its end."""
        app_id = connection.protocol.application.id
        if app_id not in changes:
            return False
        application = changes[app_id]
        problem: HandshakeRefused | None = None
        if application is None:
            problem = UnknownApplication()
        elif not application.enabled:
            problem = ApplicationDisabled()
        else:
            connection.protocol.adopt(application, self._node.now())
        if problem is not None:
            connection.refuse(problem)
        return problem is not None
