"""Checks of models that broadcast what happens to their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import FieldDoesNotExist

from broadcasting.broadcastable import BroadcastsEvents


@register("broadcasting")
def check_models(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E010 and E017: what of a row may leave, and that it is there."""
    return [
        message
        for model in apps.get_models()
        if issubclass(model, BroadcastsEvents)
        for message in _of(model)
    ]


def _of(model: Any) -> Iterator[CheckMessage]:
    options = model._broadcastable
    declares = options.fields or options.event.serializer
    if not declares and model.broadcast_with is BroadcastsEvents.broadcast_with:
        yield Error(
            f"{model._meta.label} broadcasts its rows, but nothing says what of them may leave.",
            hint='class BroadcastMeta: fields = ["id", ...] or a serializer; or broadcast_with().',
            obj=model,
            id="broadcasting.E010",
        )
    yield from _missing(model, options.fields)
    if options.soft_deletes is None:
        return
    try:
        model._meta.get_field(options.soft_deletes)
    except FieldDoesNotExist:
        yield Error(
            f"{model._meta.label} has no field {options.soft_deletes!r}, which"
            " BroadcastMeta.soft_deletes names.",
            hint="Name the field that is set while a row is deleted softly.",
            obj=model,
            id="broadcasting.E017",
        )


def _missing(model: Any, names: Iterable[str]) -> Iterator[CheckMessage]:
    # It would be every save that fails.
    for name in names:
        if not hasattr(model, name):
            close = get_close_matches(name, dir(model), 1)
            yield Error(
                f"{model._meta.label} has no attribute {name!r}, which BroadcastMeta.fields names.",
                hint=f"Did you mean {close[0]!r}?" if close else "Name what its rows have.",
                obj=model,
                id="broadcasting.E017",
            )
