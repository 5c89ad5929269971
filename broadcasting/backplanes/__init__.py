"""What carries envelopes between processes: ``local``, ``channel_layer`` or ``redis``."""

from __future__ import annotations

from broadcasting.backplanes.base import BaseBackplane
from broadcasting.backplanes.envelope import Envelope
from broadcasting.families import OneBackend

__all__ = ["BaseBackplane", "Envelope", "get_backplane"]

SHORT_NAMES = {
    "local": "broadcasting.backplanes.local.LocalBackplane",
    "channel_layer": "broadcasting.backplanes.channel_layer.ChannelLayerBackplane",
    "redis": "broadcasting.backplanes.redis.RedisBackplane",
}

get_backplane = OneBackend[BaseBackplane](
    "['BACKPLANE']", SHORT_NAMES, lambda settings: settings.backplane
)
"""Return this process's backplane. Raises ImproperlyConfigured."""
