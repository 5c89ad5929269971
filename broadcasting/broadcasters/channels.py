"""Our own server: one frame and one envelope per channel, published for every node.

An encrypted channel gets a ciphertext of its own, so that its subscribers alone can read it.

``OPTIONS``: ``application``, the id of one of ``APPLICATIONS`` (default: the first).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from broadcasting.applications import Application, default_application
from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.backplanes.control import Revoke, Terminate, now_ms
from broadcasting.backplanes.control import envelope as control_envelope
from broadcasting.broadcasters.base import BaseBroadcaster
from broadcasting.broadcasters.limits import check_names
from broadcasting.encryption import channel_key, encrypt
from broadcasting.exceptions import PayloadError
from broadcasting.protocol import messages
from broadcasting.protocol.encryption import sealed_size
from broadcasting.protocol.names import ChannelKind, is_socket_id, kind_of
from broadcasting.publishing import apublish, publish

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

logger = logging.getLogger("broadcasting.channels")


class ChannelsBroadcaster(BaseBroadcaster):
    """Reach the sockets of this deployment, in whatever process they are."""

    known_options: ClassVar[frozenset[str] | None] = frozenset({"application"})

    @property
    def application(self) -> Application:
        """Whose channels these are. Raises ImproperlyConfigured."""
        return default_application(self.options.get("application"))

    def check(self, broadcast: Broadcast) -> None:
        application = self.application
        check_names(
            broadcast,
            channel=application.max_channel_name_length,
            event=application.max_event_name_length,
        )
        for channel in broadcast.channels:
            if kind_of(channel) is ChannelKind.ENCRYPTED:
                channel_key(application, channel)
        _check_size(broadcast, application)

    def broadcast(self, broadcast: Broadcast) -> None:
        for envelope in self._envelopes(broadcast):
            publish(envelope)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        for envelope in self._envelopes(broadcast):
            await apublish(envelope)

    def revoke(self, user_id: str, channel: str) -> None:
        get_backplane().publish(self._revocation(user_id, channel))

    async def arevoke(self, user_id: str, channel: str) -> None:
        await get_backplane().apublish(self._revocation(user_id, channel))

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        get_backplane().publish(self._termination(user_id, reconnect, session))

    async def adisconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        await get_backplane().apublish(self._termination(user_id, reconnect, session))

    def _revocation(self, user_id: str, channel: str) -> Envelope:
        control = Revoke(user_id=user_id, channel=channel, at=now_ms())
        return control_envelope(self.application.id, control)

    def _termination(self, user_id: str, reconnect: bool, session: str | None) -> Envelope:
        control = Terminate(user_id=user_id, reconnect=reconnect, session=session, at=now_ms())
        return control_envelope(self.application.id, control)

    def _envelopes(self, broadcast: Broadcast) -> list[Envelope]:
        self.check(broadcast)
        except_socket = broadcast.except_socket
        if except_socket is not None and not is_socket_id(except_socket):
            logger.debug("Ignored a malformed socket id of %s", broadcast.event_label)
            except_socket = None
        application, envelopes = self.application, []
        for number, channel in enumerate(broadcast.channels):
            data = broadcast.data
            if kind_of(channel) is ChannelKind.ENCRYPTED:
                data = encrypt(application, channel, data)
            envelope = Envelope(
                app_id=application.id,
                channel=channel,
                frame=messages.event(broadcast.name, channel, data),
                except_socket=except_socket,
                # The same for every attempt, so that a repeated envelope can be known.
                id=f"{broadcast.id}.{number}",
            )
            envelopes.append(envelope)
        return envelopes


def _check_size(broadcast: Broadcast, application: Application) -> None:
    """Raise PayloadError for more than the application takes.

    As with Pusher, what is sent counts: on an encrypted channel that is the ciphertext, a
    third larger than the payload.
    """
    limit = application.max_event_payload_kb
    # A character takes four bytes at most, and six once encrypted, beside a nonce: nearly every
    # payload is small enough at a glance.
    if len(broadcast.data) * 6 + 100 <= limit * 1024:
        return
    size = len(broadcast.data.encode("utf-8", "surrogatepass"))
    words = f"{size / 1024:.1f} KB"
    if any(kind_of(channel) is ChannelKind.ENCRYPTED for channel in broadcast.channels):
        size = sealed_size(size)
        words = f"{size / 1024:.1f} KB once encrypted"
    if size > limit * 1024:
        raise PayloadError(
            "payload",
            f"has {words}, more than the {limit} KB that the application {application.id!r}"
            " takes (max_event_payload_kb)",
        )
