"""The Channels consumer that speaks the Pusher protocol over any ASGI server.

It has no channel layer of its own, and its plain receive loop replaces Channels'
dispatch: no task, no thread hop and no database connection per message.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer
from django.conf import settings as django_settings

from broadcasting.applications import get_applications
from broadcasting.backplanes import get_backplane
from broadcasting.backplanes.local import LocalBackplane
from broadcasting.exceptions import BackplaneUnavailable, RegistryUnavailable
from broadcasting.protocol import messages
from broadcasting.protocol.errors import (
    BinaryFrame,
    HandshakeRefused,
    MessageTooLarge,
    OriginRefused,
    ProtocolError,
    Reconnect,
    SendsTooMuch,
    SubscriptionRefused,
    TryAgain,
)
from broadcasting.protocol.messages import Subscribe
from broadcasting.protocol.protocol import Protocol, check_application, check_version
from broadcasting.server import origins
from broadcasting.server.actions import handle
from broadcasting.server.connection import Connection
from broadcasting.server.lane import LANE
from broadcasting.server.node import Node, get_node
from broadcasting.typing import Receive, Scope, Send

logger = logging.getLogger("broadcasting.server")

MESSAGES_A_TURN = 16
"""Messages of one socket that are handled before the others have their turn."""


class PusherConsumer(AsyncConsumer):
    """Sockets at ``/app/{key}``, each from its handshake to its end."""

    channel_layer_alias = None  # type: ignore[assignment]  # the stubs forget that None is off

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        """Return the ASGI application; building it says that this process holds sockets."""
        backplane = get_backplane()
        if isinstance(backplane, LocalBackplane):
            backplane.expect_node()
        # It keeps nothing of a socket, so one is enough for all of them.
        return cls(**initkwargs)

    async def __call__(  # type: ignore[override]  # ours are looser
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one socket. Protocol errors are answered; nothing else ends it silently."""
        if (await receive())["type"] != "websocket.connect":
            return
        # Browsers cannot read an HTTP refusal: accept first, then say what is wrong.
        await send({"type": "websocket.accept"})
        node = get_node()
        try:
            # Before anything is looked up: a herd must not cost more than this.
            if not node.admission.admits_socket(node.now()):
                raise TryAgain
            address = node.addresses.enter(scope)
            protocol = await self.open(node, scope, address)
        except HandshakeRefused as problem:
            node.counters.refused += 1
            node.counters.note(problem)
            await send({"type": "websocket.send", "text": messages.error(problem)})
            await send({"type": "websocket.close", "code": problem.code, "reason": problem.message})
            return
        connection = Connection(
            protocol,
            send,
            node.settings,
            node.counters,
            task=asyncio.current_task(),
            lane=(scope.get("extensions") or {}).get(LANE),
        )
        try:
            if await node.connect(connection):
                await self.listen(node, connection, receive)
        except asyncio.CancelledError:
            # Ours for a peer that reads nothing; a server's own (Daphne stopping) has not
            # closed yet.
            if not connection.closing:
                connection.refuse(Reconnect())
                raise
        finally:
            connection.detach()
            node.addresses.leave(address)
            await node.disconnect(connection)

    async def open(self, node: Node, scope: Scope, address: str | None) -> Protocol:
        """Return the state of an acceptable connection; raise HandshakeRefused.

        ``address`` is where it is counted; see Addresses.
        """
        try:
            return await self._open(node, scope)
        except BaseException:
            node.addresses.leave(address)
            raise

    async def _open(self, node: Node, scope: Scope) -> Protocol:
        key = scope["url_route"]["kwargs"]["key"]
        application = check_application(
            get_applications().by_key(key), secure=_came_over_tls(scope)
        )
        if not origins.is_allowed(_origin(scope), application):
            raise OriginRefused
        protocol = Protocol(application, node.new_socket_id(), node.now())
        node.check_capacity(protocol)
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        check_version(query["protocol"][0] if "protocol" in query else None)
        if not node.orders.hears(application.id):
            try:
                await node.orders.hear(application.id)
            except BackplaneUnavailable as problem:
                logger.error("Refusing a socket of %r: %s", application.id, problem)
                raise TryAgain from problem
            node.check_capacity(protocol)  # others may have come meanwhile
        return protocol

    async def listen(self, node: Node, connection: Connection, receive: Receive) -> None:
        """Handle frames one after the other until the socket is gone."""
        protocol = connection.protocol
        since_a_pause = 0
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                # Of a frame that the server itself would not read.
                unread = not connection.closing and event.get("code") == MessageTooLarge.close_code
                node.counters.too_large += unread
                return
            # A server hands on what one read brought without ever suspending: thousands of
            # small frames, while every other socket waits.
            since_a_pause += 1
            if since_a_pause >= MESSAGES_A_TURN:
                since_a_pause = 0
                await asyncio.sleep(0)
            if connection.closing:
                continue
            node.counters.messages_in += 1
            text = event.get("text")
            subscribes = False
            try:
                if text is None:
                    raise BinaryFrame
                message = protocol.receive(text, node.now())
                subscribes = isinstance(message, Subscribe)
                await handle(node, connection, message)
            except ProtocolError as problem:
                node.counters.protocol_errors += 1
                node.counters.note(problem)
                await self.answer(connection, problem)
            except (BackplaneUnavailable, RegistryUnavailable) as problem:
                # The channel would be silent, or who is in it unknown: let the client return.
                logger.error("Closing %s: %s", connection.socket_id, problem)
                node.notice(problem)
                connection.refuse(TryAgain())
            except Exception:
                node.counters.failures += 1
                logger.exception("A message of %s could not be handled", connection.socket_id)
                connection.reply_text(messages.error(ProtocolError("Internal error")))
            if connection.asks_too_much:
                node.counters.unread_held += 1
                await connection.answers_read()
            now = node.now()
            wait = protocol.pace.wait(protocol.application, subscribes=subscribes, now=now)
            if wait and not connection.closing:
                await self.hold(node, connection, wait, now)

    async def hold(self, node: Node, connection: Connection, wait: float, now: float) -> None:
        """Take nothing more from a peer that sends too much, for a moment or for good.

        What it sends meanwhile waits with it: a server that hands on one frame at a time stops
        reading from it.
        """
        node.counters.held_back += 1
        if not connection.protocol.pace.is_flood(now):
            await asyncio.sleep(wait)
            return
        node.counters.flooded_closed += 1
        logger.info("Closing %s: it sends more than it may", connection.socket_id)
        connection.refuse(SendsTooMuch())

    async def answer(self, connection: Connection, problem: ProtocolError) -> None:
        """Tell the peer what it did wrong, and close only where the protocol cannot go on."""
        connection.reply_text(messages.error(problem))
        if isinstance(problem, SubscriptionRefused):
            logger.info("Refused %s: %s", connection.socket_id, problem.message)
            connection.reply_text(messages.subscription_error(problem))
        if problem.close_code is not None:
            await connection.aclose(problem.close_code, problem.message)


def _header(scope: Scope, name: bytes) -> str | None:
    found = next((value for key, value in scope["headers"] if key.lower() == name), None)
    return None if found is None else found.decode("latin-1")


def _origin(scope: Scope) -> str | None:
    # Two of them are no origin: somebody in between may look at the other one.
    found = [value for key, value in scope["headers"] if key.lower() == b"origin"]
    return b", ".join(found).decode("latin-1") if found else None


def _came_over_tls(scope: Scope) -> bool:
    """Whether the socket is encrypted, by the word of the trusted proxy, else of the server.

    As Django reads it: the header wins, and of several proxies the first one counts.
    """
    if django_settings.SECURE_PROXY_SSL_HEADER is not None:
        header, secure = django_settings.SECURE_PROXY_SSL_HEADER
        name = header.removeprefix("HTTP_").replace("_", "-").lower()
        value = _header(scope, name.encode())
        if value is not None:
            return value.split(",")[0].strip() == secure
    return scope.get("scheme") in ("wss", "https")
