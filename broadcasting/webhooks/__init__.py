"""Webhooks: endpoints over HTTP are told what occurs, in Pusher's format.

Occurrences become bodies (``bodies``), wait in line for their endpoint (``office``, ``lanes``)
and leave (``carrier``) from the server process (``sending``) or, with a queue that leaves it, from
a worker (``jobs``). ``log`` keeps them in the database, from where they can be sent again
(``replays``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broadcasting.lazy import lazy_face

if TYPE_CHECKING:
    from broadcasting.webhooks.replays import areplay, replay

__all__ = ["areplay", "replay"]

_HOMES = {
    "areplay": "broadcasting.webhooks.replays",
    "replay": "broadcasting.webhooks.replays",
}

__getattr__, __dir__ = lazy_face(globals(), _HOMES)
