"""What sends broadcasts: ``broadcasters["alias"]``, as ``caches`` and ``storages``.

``channels`` (our own server, through the backplane), ``pusher`` (one that speaks Pusher's
HTTP API), ``ably``, ``redis`` (laravel-echo-server), ``log``, ``null`` and ``locmem``, or a
dotted path to a class of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from broadcasting.broadcasters.base import BaseBroadcaster
from broadcasting.broadcasters.options import OptionError
from broadcasting.conf import BackendSettings, get_settings, on_change
from broadcasting.families import make_backend

__all__ = ["SILENT", "BaseBroadcaster", "OptionError", "broadcasters"]

SHORT_NAMES = {
    "channels": "broadcasting.broadcasters.channels.ChannelsBroadcaster",
    "pusher": "broadcasting.broadcasters.pusher.PusherBroadcaster",
    "ably": "broadcasting.broadcasters.ably.AblyBroadcaster",
    "redis": "broadcasting.broadcasters.redis.RedisBroadcaster",
    "log": "broadcasting.broadcasters.log.LogBroadcaster",
    "null": "broadcasting.broadcasters.null.NullBroadcaster",
    "locmem": "broadcasting.broadcasters.locmem.LocmemBroadcaster",
}


SILENT = frozenset({"log", "null", "locmem"})
"""Those that send nothing to browsers."""


class Broadcasters:
    """This process's broadcasters, each made on first use and kept."""

    def __init__(self) -> None:
        self._made: dict[str, BaseBroadcaster] = {}

    def __getitem__(self, alias: str) -> BaseBroadcaster:
        """Return the broadcaster ``alias``. Raises ImproperlyConfigured."""
        made = self._made.get(alias)
        # No lock, which a fork could leave held: of two made at once, one is kept.
        return made if made is not None else self._made.setdefault(alias, self._make(alias))

    def build(self, entry: Mapping[str, Any]) -> BaseBroadcaster:
        """Return a new broadcaster for ``entry``, such as ``BROADCASTERS`` has: not kept.

        For servers that no settings know, a tenant's own. Whoever builds one closes it.
        Raises ImproperlyConfigured.
        """
        unknown = entry.keys() - {"BACKEND", "OPTIONS"}
        if unknown or not isinstance(entry.get("BACKEND"), str):
            raise ImproperlyConfigured(
                "A broadcaster is built of {'BACKEND': name, 'OPTIONS': {...}}, not of the keys"
                f" {', '.join(sorted(map(repr, entry)))}"
            )
        settings = BackendSettings(backend=entry["BACKEND"], options=entry.get("OPTIONS") or {})
        broadcaster: BaseBroadcaster = make_backend("['BROADCASTERS']", SHORT_NAMES, settings)
        return broadcaster

    def close(self) -> None:
        """Let the sync connections of this process's broadcasters go, as before a fork."""
        for broadcaster in tuple(self._made.values()):
            broadcaster.close()

    async def aclose(self) -> None:
        """Let their connections of the running loop go."""
        for broadcaster in tuple(self._made.values()):
            await broadcaster.aclose()

    def reset(self) -> None:
        """Forget every broadcaster, since the settings changed."""
        self._made = {}

    def _make(self, alias: str) -> BaseBroadcaster:
        entries = get_settings().broadcasters
        if alias not in entries:
            known = ", ".join(sorted(entries))
            raise ImproperlyConfigured(f"No broadcaster is called {alias!r}; known: {known}")
        broadcaster: BaseBroadcaster = make_backend(
            f"['BROADCASTERS'][{alias!r}]", SHORT_NAMES, entries[alias]
        )
        return broadcaster


broadcasters = Broadcasters()
on_change(broadcasters.reset)
