"""Our own server: one frame and one envelope per channel, handed to the backplane.

``OPTIONS``: ``application``, the id of one of ``APPLICATIONS`` (default: the first).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from broadcasting.applications import Application, default_application
from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.broadcasters.base import BaseBroadcaster
from broadcasting.exceptions import (
    EncryptionUnavailable,
    InvalidChannelName,
    InvalidEventName,
    PayloadError,
)
from broadcasting.protocol import messages
from broadcasting.protocol.names import ChannelKind, is_socket_id, kind_of

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
        if len(broadcast.name) > application.max_event_name_length:
            raise InvalidEventName(
                f"{broadcast.name!r} has more than {application.max_event_name_length} characters"
            )
        for channel in broadcast.channels:
            if len(channel) > application.max_channel_name_length:
                raise InvalidChannelName(
                    f"{channel!r} has more than {application.max_channel_name_length} characters"
                )
            if kind_of(channel) is ChannelKind.ENCRYPTED:
                raise EncryptionUnavailable(
                    f"{channel}: encrypted channels come with a later version"
                )
        size, limit = (
            len(broadcast.data.encode("utf-8", "surrogatepass")),
            application.max_event_payload_kb,
        )
        if size > limit * 1024:
            raise PayloadError(
                "payload",
                f"has {size / 1024:.1f} KB, more than the {limit} KB that the application"
                f" {application.id!r} takes (max_event_payload_kb)",
            )

    def broadcast(self, broadcast: Broadcast) -> None:
        backplane = get_backplane()
        for envelope in self._envelopes(broadcast):
            backplane.publish(envelope)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        backplane = get_backplane()
        for envelope in self._envelopes(broadcast):
            await backplane.apublish(envelope)

    def _envelopes(self, broadcast: Broadcast) -> Iterator[Envelope]:
        self.check(broadcast)
        except_socket = broadcast.except_socket
        if except_socket is not None and not is_socket_id(except_socket):
            logger.debug("Ignored a malformed socket id of %s", broadcast.event_label)
            except_socket = None
        app_id = self.application.id
        for number, channel in enumerate(broadcast.channels):
            yield Envelope(
                app_id=app_id,
                channel=channel,
                frame=messages.event(broadcast.name, channel, broadcast.data),
                except_socket=except_socket,
                # The same for every attempt, so that a repeated envelope can be known.
                id=f"{broadcast.id}.{number}",
            )
