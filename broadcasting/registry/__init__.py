"""Who is where: ``memory`` (this process), ``redis`` (all processes)."""

from __future__ import annotations

from broadcasting.families import OneBackend
from broadcasting.registry.base import (
    BaseRegistry,
    Cached,
    Departure,
    Enlisted,
    Joined,
    Left,
    Occupancy,
    Swept,
)

__all__ = [
    "BaseRegistry",
    "Cached",
    "Departure",
    "Enlisted",
    "Joined",
    "Left",
    "Occupancy",
    "Swept",
    "get_registry",
]

SHORT_NAMES = {
    "memory": "broadcasting.registry.memory.MemoryRegistry",
    "redis": "broadcasting.registry.redis.RedisRegistry",
}

get_registry = OneBackend[BaseRegistry](
    "['REGISTRY']", SHORT_NAMES, lambda settings: settings.registry
)
"""Return this process's registry. Raises ImproperlyConfigured."""
