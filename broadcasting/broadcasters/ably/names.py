"""An Ably key, and what channels are called at Ably: ``private:orders.1``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broadcasting.broadcasters.options import OptionError
from broadcasting.protocol.names import ChannelKind, kind_of

PUBLIC = "public:"

_KEY = re.compile(r"([^\s:]+\.[^\s:]+):([^\s:]+)")
_PREFIXES = {"private:": ChannelKind.PRIVATE, "presence:": ChannelKind.PRESENCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class AblyKey:
    """What an application signs with, and signs in with."""

    name: str
    """What everybody may know: the part before the colon."""

    secret: str = field(repr=False)


def read_key(options: Mapping[str, Any]) -> AblyKey:
    """Return the option ``key``. Raises OptionError."""
    match = _KEY.fullmatch(str(options.get("key", "")))
    if match is None:
        raise OptionError("ably", "key", "must be as Ably shows it: 'app.key:secret'")
    return AblyKey(name=match[1], secret=match[2])


def ably_name(channel: str) -> str:
    """Return what ``channel``, a wire name, is called at Ably."""
    for prefix, kind in _PREFIXES.items():
        if kind_of(channel) is kind:
            return prefix + channel.removeprefix(kind.value)
    return PUBLIC + channel


def wire_name(name: str) -> str:
    """Return the guarded channel that Ably calls ``name``; nothing if there is none."""
    for prefix, kind in _PREFIXES.items():
        if name.startswith(prefix):
            return kind.value + name.removeprefix(prefix)
    return ""
