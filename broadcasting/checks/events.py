"""Checks of event classes: that they can be sent, and are what they seem to be.

Seen are those of installed apps and of the project's own package that have been imported, as
``events.py`` of every app is when Django starts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from inspect import get_annotations
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.db.models import Model, QuerySet

from broadcasting.dispatching import EventOptions
from broadcasting.dispatching.options import OPTION_NAMES
from broadcasting.events import ShouldBroadcast
from broadcasting.notifications import BroadcastNotification
from broadcasting.protocol.names import CLIENT_PREFIX, is_event_name
from broadcasting.shown import is_shown

Event = type[ShouldBroadcast]


@register("broadcasting")
def check_events(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E010, W014, W015, W016: what cannot leave, names, and options that are none."""
    events = [*event_classes()]
    return [*(problem for event in events for problem in problems_of(event)), *same_names(events)]


def event_classes() -> Iterator[Event]:
    """Yield the event classes of this site that say where they go, each once, by their path."""
    # A decorator may make a second class of the same name in place of the first.
    found = {f"{e.__module__}.{e.__qualname__}": e for e in _below(ShouldBroadcast)}
    for path, event in sorted(found.items()):
        if "<locals>" not in path and _is_ours(event) and _goes_somewhere(event):
            yield event


def problems_of(event: Event) -> Iterator[CheckMessage]:
    """Yield what is wrong with one event class."""
    yield from _bare_models(event)
    yield from _impossible_name(event)
    yield from _misplaced_options(event)


def same_names(events: Iterable[Event]) -> Iterator[CheckMessage]:
    """Yield W014 for each name that several of ``events`` have."""
    named: dict[str, list[str]] = {}
    for event in events:
        if (name := _name_of(event)) is not None:
            named.setdefault(name, []).append(_path(event))
    for name, paths in named.items():
        if len(paths) > 1:
            yield CheckWarning(
                f"{' and '.join(paths)} have the same name {name!r}, so that clients of a channel"
                " cannot tell them apart.",
                hint="Name one of them differently: class Meta: name = ...",
                id="broadcasting.W014",
            )


def _below(cls: Any) -> Iterator[Event]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)


def _is_ours(event: Event) -> bool:
    module = event.__module__
    packages = [c.name for c in apps.get_app_configs() if c.name != "broadcasting"]
    if any(module == package or module.startswith(f"{package}.") for package in packages):
        return True
    root = str(getattr(django_settings, "ROOT_URLCONF", "")).rpartition(".")[0]
    return bool(root) and root in (module, module.rpartition(".")[0])


def _goes_somewhere(event: Event) -> bool:
    return event.broadcast_on is not ShouldBroadcast.broadcast_on


def _path(event: Event) -> str:
    return f"{event.__module__}.{event.__qualname__}"


def _bare_models(event: Event) -> Iterator[CheckMessage]:
    if _says_what_leaves(event):
        return
    options: EventOptions = event._broadcasting
    if "" in options.serializer:
        return
    for name, annotation in _shown_annotations(event):
        if name in options.fields or name in options.serializer:
            continue
        model = next(_models_in(annotation), None)
        if model is not None:
            yield Error(
                f"{_path(event)}.{name} is a {model.__name__}, and nothing says what of it may"
                " leave.",
                hint=f'class Meta: fields = {{"{name}": ["id", ...]}} or a serializer;'
                " or broadcast_with().",
                obj=event,
                id="broadcasting.E010",
            )


def _says_what_leaves(event: Event) -> bool:
    if event.broadcast_with is not ShouldBroadcast.broadcast_with:
        return True
    default = BroadcastNotification.to_broadcast
    return issubclass(event, BroadcastNotification) and event.to_broadcast is not default


def _shown_annotations(event: Event) -> Iterator[tuple[str, Any]]:
    """Yield what may be in the payload, as far as the annotations can be read here."""
    fields = getattr(event, "__dataclass_fields__", {})
    found: dict[str, Any] = {}
    for parent in reversed(event.__mro__):
        if parent is not ShouldBroadcast:
            for name, annotation in _annotations(parent).items():
                found[name] = _resolved(name, annotation, parent)
    for name, annotation in found.items():
        hidden = name.startswith("_") or (name in fields and not is_shown(fields[name]))
        if not hidden and ClassVar not in (annotation, get_origin(annotation)):
            yield name, annotation


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return get_annotations(cls)


def _resolved(name: str, annotation: Any, cls: type) -> Any:
    """Return the annotation itself for its text; None if that cannot be read."""
    # Models are often imported for type checkers only.
    models = {model.__name__: model for model in apps.get_models()}
    known = models | vars(sys.modules[cls.__module__])
    # Django's forgets what it is a QuerySet of.
    known |= {n: list for n, v in known.items() if isinstance(v, type) and issubclass(v, QuerySet)}
    try:
        return get_type_hints(type("Holder", (), {"__annotations__": {name: annotation}}), known)[
            name
        ]
    except Exception:
        # Whatever the text does when it is evaluated; sending the event says the rest.
        return None


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _name_of(event: Event) -> str | None:
    """Return the name if it is the same for every event of the class."""
    if event.broadcast_as is not ShouldBroadcast.broadcast_as:
        return None
    options: EventOptions = event._broadcasting
    if issubclass(event, BroadcastNotification):  # all called the same, of different types
        return options.name
    return options.name or event.__name__


def _impossible_name(event: Event) -> Iterator[CheckMessage]:
    name = _name_of(event)
    if name is not None and (not is_event_name(name) or name.startswith(CLIENT_PREFIX)):
        yield CheckWarning(
            f"{_path(event)} is called {name!r}, which no event of a program may be, so that it"
            " cannot be sent.",
            hint="Names are up to 200 characters long and do not begin with pusher:,"
            " pusher_internal: or client-: class Meta: name = ...",
            obj=event,
            id="broadcasting.W015",
        )


def _misplaced_options(event: Event) -> Iterator[CheckMessage]:
    for parent in event.__mro__:
        if parent is ShouldBroadcast:
            break
        annotated = _annotations(parent)
        for name, value in vars(parent).items():
            is_data = not hasattr(value, "__get__")
            if name in OPTION_NAMES and is_data and name not in annotated:
                yield CheckWarning(
                    f"{_path(event)}.{name} has no effect: it stands beside class Meta, not in it.",
                    hint=f"class Meta: {name} = ...; or annotate it, if it is part of the payload.",
                    obj=event,
                    id="broadcasting.W016",
                )
    if "socket" in dict(_shown_annotations(event)):
        yield CheckWarning(
            f"{_path(event)}.socket is taken for the id of a connection by some clients and"
            " servers.",
            hint="Call it something else.",
            obj=event,
            id="broadcasting.W016",
        )
