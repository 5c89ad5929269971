"""From an event to its hand-over: when, on which transaction, through which outlet.

``dispatch`` decides, ``transactions`` knows when to wait, ``rendering`` makes broadcasts,
``outlet`` hands them on, with ``pushing`` and ``together``. Knows no sockets and no wire format.
"""

from broadcasting.dispatching.dispatch import Dispatch, abroadcast, broadcast
from broadcasting.dispatching.muting import muted
from broadcasting.dispatching.options import EventOptions, options_of
from broadcasting.dispatching.outlet import flush
from broadcasting.dispatching.payloads import PerBroadcaster
from broadcasting.dispatching.together import batch

__all__ = [
    "Dispatch",
    "EventOptions",
    "PerBroadcaster",
    "abroadcast",
    "batch",
    "broadcast",
    "flush",
    "muted",
    "options_of",
]
