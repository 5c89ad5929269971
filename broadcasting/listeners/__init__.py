"""What the program itself does when an event is dispatched: ``@listen(OrderShipped)``.

``declaring`` is what programs write, ``registry`` knows who listens to what, ``calling`` calls
them, ``jobs`` are those that wait in a queue. Listeners and broadcasts do not depend on each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broadcasting.lazy import lazy_face

if TYPE_CHECKING:
    from broadcasting.listeners.declaring import Subscriber, listen
    from broadcasting.listeners.registry import Listener, forget, has_listeners, listeners

__all__ = ["Listener", "Subscriber", "forget", "has_listeners", "listen", "listeners"]

# Late: events are built on dispatching, which looks for listeners.
__getattr__, __dir__ = lazy_face(
    globals(),
    {
        "Listener": "broadcasting.listeners.registry",
        "Subscriber": "broadcasting.listeners.declaring",
        "forget": "broadcasting.listeners.registry",
        "has_listeners": "broadcasting.listeners.registry",
        "listen": "broadcasting.listeners.declaring",
        "listeners": "broadcasting.listeners.registry",
    },
)
