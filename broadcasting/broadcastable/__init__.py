"""Models that broadcast what happens to their rows: ``class Post(BroadcastsEvents, models.Model)``.

Laravel's model broadcasting. ``model`` is what models inherit, ``events`` the event that is
dispatched, ``receivers`` what listens to Django's own signals, ``memory`` what rows know of the
database, ``options`` what may be declared, ``adoption`` for models of others, ``rows`` for many
at once.
"""

from broadcasting.broadcastable.adoption import broadcasts_events
from broadcasting.broadcastable.events import ModelBroadcast
from broadcasting.broadcastable.model import BroadcastsEvents
from broadcasting.broadcastable.rows import abroadcast_updated, broadcast_updated

__all__ = [
    "BroadcastsEvents",
    "ModelBroadcast",
    "abroadcast_updated",
    "broadcast_updated",
    "broadcasts_events",
]
