"""What several server processes under one parent need; asked where their number is known."""

from __future__ import annotations

from django.core.checks import Error

from broadcasting.backplanes import get_backplane


def lack_of_workers() -> Error | None:
    """Return E050 where the workers of one server could not reach each other."""
    if get_backplane().crosses_processes:
        return None
    return Error(
        "Several workers need a backplane that crosses processes: what one of them is told would"
        " never reach the sockets of the others.",
        hint="Use BACKPLANE = {'BACKEND': 'redis', 'OPTIONS': {'url': ...}}, or 'channel_layer'"
        " with a Redis channel layer; or serve with one process, without --workers.",
        id="broadcasting.E050",
    )
