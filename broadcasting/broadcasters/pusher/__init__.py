"""Send through an HTTP API of Pusher's kind: Pusher itself, Reverb, soketi or another of ours.

``requests`` says what is asked, ``client`` asks it, ``broadcaster`` is what the settings name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broadcasting.lazy import lazy_face

if TYPE_CHECKING:
    from broadcasting.broadcasters.pusher.broadcaster import PusherBroadcaster

__all__ = ["PusherBroadcaster"]

# Late: who only signs a request, as `websockets_restart` does, need not have an HTTP library.
__getattr__, __dir__ = lazy_face(
    globals(), {"PusherBroadcaster": "broadcasting.broadcasters.pusher.broadcaster"}
)
