"""What each client message does. One function a message; the table is ``handle``."""

from __future__ import annotations

from broadcasting.backplanes import Envelope
from broadcasting.exceptions import PublishError
from broadcasting.protocol import messages
from broadcasting.protocol.errors import ClientEventRefused, TryAgain
from broadcasting.protocol.messages import (
    ClientEvent,
    ClientMessage,
    Ping,
    Pong,
    Signin,
    Subscribe,
    Unsubscribe,
)
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.node import Node

PONG_FRAME = Frame(messages.PONG)


async def handle(node: Node, connection: Connection, message: ClientMessage) -> None:
    """Do what ``message`` asks. Raises ProtocolError, BackplaneUnavailable."""
    match message:
        case ClientEvent():
            await relay(node, connection, message)
        case Subscribe():
            await subscribe(node, connection, message)
        case Unsubscribe(channel=channel):
            await unsubscribe(node, connection, channel)
        case Signin():
            await node.users.sign_in(connection, message)
        case Ping():
            connection.reply(PONG_FRAME)
        case Pong():
            pass  # hearing anything at all has proved the peer alive


async def subscribe(node: Node, connection: Connection, message: Subscribe) -> None:
    """Join a channel; a second time only repeats the answer, as Reverb and soketi do."""
    protocol, channel = connection.protocol, message.channel
    # Before the signature is verified: a herd must not cost more than this.
    if not node.admission.admits_subscription(node.now(), first=not protocol.subscriptions):
        connection.refuse(TryAgain())
        return
    member = protocol.authorize(message)
    grant = protocol.grant(message, member)
    node.access.know(connection, grant)
    node.access.check(connection, channel, grant)
    if channel == protocol.own_channel:
        # Every socket that is signed in hears its user's own channel, unless it has left it.
        connection.reply_text(messages.subscription_succeeded(channel))
        node.hub.join((protocol.application.id, channel), connection)
    elif channel in protocol.subscriptions:
        await node.subscriptions.enter_again(connection, channel, member)
        if grant is not None and channel in protocol.subscriptions:
            protocol.grants[channel] = grant
    else:
        await node.subscriptions.enter(connection, channel, member, grant)


async def unsubscribe(node: Node, connection: Connection, channel: str) -> None:
    """Leave a channel; silence if it never was joined."""
    protocol = connection.protocol
    if channel == protocol.own_channel:
        node.hub.leave((protocol.application.id, channel), connection)
    else:
        await node.subscriptions.leave(connection, channel)


async def relay(node: Node, connection: Connection, message: ClientEvent) -> None:
    """Whisper to the other subscribers; who the sender is, is ours to say, never theirs."""
    protocol = connection.protocol
    user_id = protocol.check_client_event(message, node.now())
    frame = messages.event(message.event, message.channel, message.data, user_id)
    envelope = Envelope(
        app_id=protocol.application.id,
        channel=message.channel,
        frame=frame,
        except_socket=connection.socket_id,
    )
    try:
        await node.backplane.apublish(envelope)
    except PublishError:
        raise ClientEventRefused(
            "Client event rejected: it could not be delivered", channel=message.channel
        ) from None
    node.reporter.client_event(protocol.application, message, connection.socket_id, user_id)
