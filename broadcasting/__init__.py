"""Realtime for Django: Laravel's broadcasting and a Pusher-protocol server on Channels.

The public face. Names load on first use, so that ``from broadcasting import ...`` works
in ``models.py`` before the app registry is ready, and a web worker never pays for
the server it does not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broadcasting.lazy import lazy_face

if TYPE_CHECKING:
    from broadcasting.anonymous import on, presence, private
    from broadcasting.authorization import (
        ChannelRoute,
        Lookup,
        bind,
        channel,
        include,
        reverse,
        route,
        user_resolver,
    )
    from broadcasting.broadcastable import (
        BroadcastsEvents,
        ModelBroadcast,
        abroadcast_updated,
        broadcast_updated,
        broadcasts_events,
    )
    from broadcasting.channels import (
        Channel,
        EncryptedPrivateChannel,
        PresenceChannel,
        PrivateChannel,
        UserChannel,
    )
    from broadcasting.client_events import on_client_event
    from broadcasting.dispatching import (
        Dispatch,
        PerBroadcaster,
        abroadcast,
        batch,
        broadcast,
        muted,
    )
    from broadcasting.events import ShouldBroadcast, ShouldBroadcastNow
    from broadcasting.listeners import Subscriber, listen
    from broadcasting.middleware import current_socket_id
    from broadcasting.notifications import (
        BroadcastNotification,
        anotify,
        anotify_on,
        notify,
        notify_on,
    )
    from broadcasting.revocation import adisconnect, arevoke, disconnect, revoke

__version__ = "0.1.0"

__all__ = [
    "BroadcastNotification",
    "BroadcastsEvents",
    "Channel",
    "ChannelRoute",
    "Dispatch",
    "EncryptedPrivateChannel",
    "Lookup",
    "ModelBroadcast",
    "PerBroadcaster",
    "PresenceChannel",
    "PrivateChannel",
    "ShouldBroadcast",
    "ShouldBroadcastNow",
    "Subscriber",
    "UserChannel",
    "abroadcast",
    "abroadcast_updated",
    "adisconnect",
    "anotify",
    "anotify_on",
    "arevoke",
    "batch",
    "bind",
    "broadcast",
    "broadcast_updated",
    "broadcasts_events",
    "channel",
    "current_socket_id",
    "disconnect",
    "include",
    "listen",
    "muted",
    "notify",
    "notify_on",
    "on",
    "on_client_event",
    "presence",
    "private",
    "reverse",
    "revoke",
    "route",
    "user_resolver",
]

_HOMES = {
    "BroadcastNotification": "broadcasting.notifications",
    "BroadcastsEvents": "broadcasting.broadcastable",
    "Channel": "broadcasting.channels",
    "ChannelRoute": "broadcasting.authorization",
    "Dispatch": "broadcasting.dispatching",
    "EncryptedPrivateChannel": "broadcasting.channels",
    "Lookup": "broadcasting.authorization",
    "ModelBroadcast": "broadcasting.broadcastable",
    "PerBroadcaster": "broadcasting.dispatching",
    "PresenceChannel": "broadcasting.channels",
    "PrivateChannel": "broadcasting.channels",
    "ShouldBroadcast": "broadcasting.events",
    "ShouldBroadcastNow": "broadcasting.events",
    "Subscriber": "broadcasting.listeners",
    "UserChannel": "broadcasting.channels",
    "abroadcast": "broadcasting.dispatching",
    "abroadcast_updated": "broadcasting.broadcastable",
    "adisconnect": "broadcasting.revocation",
    "anotify": "broadcasting.notifications",
    "anotify_on": "broadcasting.notifications",
    "arevoke": "broadcasting.revocation",
    "batch": "broadcasting.dispatching",
    "bind": "broadcasting.authorization",
    "broadcast": "broadcasting.dispatching",
    "broadcast_updated": "broadcasting.broadcastable",
    "broadcasts_events": "broadcasting.broadcastable",
    "channel": "broadcasting.authorization",
    "current_socket_id": "broadcasting.middleware",
    "disconnect": "broadcasting.revocation",
    "include": "broadcasting.authorization",
    "listen": "broadcasting.listeners",
    "muted": "broadcasting.dispatching",
    "notify": "broadcasting.notifications",
    "notify_on": "broadcasting.notifications",
    "on": "broadcasting.anonymous",
    "on_client_event": "broadcasting.client_events",
    "presence": "broadcasting.anonymous",
    "private": "broadcasting.anonymous",
    "reverse": "broadcasting.authorization",
    "revoke": "broadcasting.revocation",
    "route": "broadcasting.authorization",
    "user_resolver": "broadcasting.authorization",
}

__getattr__, __dir__ = lazy_face(globals(), _HOMES)
