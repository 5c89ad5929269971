"""For the tests of the program: a fake, rules without requests, a client in memory.

Names load on first use, so that pytest's plugin costs a project without Django nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broadcasting.lazy import lazy_face

if TYPE_CHECKING:
    from broadcasting.testing.authorization import (
        achannel_auth,
        auser_auth,
        channel_auth,
        user_auth,
    )
    from broadcasting.testing.client import PusherClient
    from broadcasting.testing.fakes import BroadcastingTestMixin, FakeBroadcasts, fake

__all__ = [
    "BroadcastingTestMixin",
    "FakeBroadcasts",
    "PusherClient",
    "achannel_auth",
    "auser_auth",
    "channel_auth",
    "fake",
    "user_auth",
]

_HOMES = {
    "BroadcastingTestMixin": "broadcasting.testing.fakes",
    "FakeBroadcasts": "broadcasting.testing.fakes",
    "PusherClient": "broadcasting.testing.client",
    "achannel_auth": "broadcasting.testing.authorization",
    "auser_auth": "broadcasting.testing.authorization",
    "channel_auth": "broadcasting.testing.authorization",
    "fake": "broadcasting.testing.fakes",
    "user_auth": "broadcasting.testing.authorization",
}

__getattr__, __dir__ = lazy_face(globals(), _HOMES)
