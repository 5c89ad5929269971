"""Models that broadcast what happens to their rows: ``class Post(BroadcastsEvents, models.Model)``.

Laravel's model broadcasting. ``model`` is what models inherit, ``events`` the event that is
dispatched, ``receivers`` what listens to Django's own signals, ``options`` what may be declared.
"""

from broadcasting.broadcastable.events import ModelBroadcast
from broadcasting.broadcastable.model import BroadcastsEvents

__all__ = ["BroadcastsEvents", "ModelBroadcast"]
