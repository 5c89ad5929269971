"""Models of other people: ``broadcasts_events(fields=["id", "name"])(Group)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from django.db.models import Model

from broadcasting.broadcastable.model import BroadcastsEvents, prepare
from broadcasting.broadcastable.options import model_options
from broadcasting.channels import Targets, TargetsByBroadcaster

_HOOKS: Final = ("broadcast_on", "broadcast_as", "broadcast_with")

AnyModel = TypeVar("AnyModel", bound=type[Model])


def broadcasts_events(
    *,
    broadcast_on: Callable[[Any, str], Targets | TargetsByBroadcaster] | None = None,
    broadcast_as: Callable[[Any, str], str | None] | None = None,
    broadcast_with: Callable[[Any, str], Any] | None = None,
    **options: Any,
) -> Callable[[AnyModel], AnyModel]:
    """Return what makes a model broadcast its rows, as if it inherited BroadcastsEvents.

    ``options`` are those of ``BroadcastMeta``; the hooks take the row and the event. Called once
    for a model, best in ``models.py`` or ``ready()`` of one's own app. What extends the model
    or is its proxy broadcasts as well. Raises TypeError for a mistake in the options, and for a
    model that broadcasts already.
    """
    hooks = dict(zip(_HOOKS, (broadcast_on, broadcast_as, broadcast_with), strict=True))

    def adopt(model: AnyModel) -> AnyModel:
        if issubclass(model, BroadcastsEvents):
            raise TypeError(f"{model.__name__} broadcasts its rows already")
        said: Any = {name: hook for name, hook in hooks.items() if hook is not None}
        said["BroadcastMeta"] = type("BroadcastMeta", (), options)
        adopted = type("BroadcastsEvents", (BroadcastsEvents,), said)
        before = model.__bases__
        # A base more, as the mixin is one, so that from_db() and the like find their super().
        model.__bases__ = (adopted, *before)
        try:
            for one in _family(model):
                model_options(one)
        except TypeError:
            model.__bases__ = before
            raise
        for one in _family(model):
            prepare(one)
        return model

    return adopt


def _family(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    for child in model.__subclasses__():
        yield from _family(child)
