"""Send through an HTTP API of Pusher's kind: Pusher itself, Reverb, soketi or another of ours.

``requests`` says what is asked, ``client`` asks it, ``broadcaster`` is what the settings name.
"""

from __future__ import annotations

from broadcasting.broadcasters.pusher.broadcaster import PusherBroadcaster

__all__ = ["PusherBroadcaster"]
