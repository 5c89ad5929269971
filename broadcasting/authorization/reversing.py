"""From the name of a rule back to a channel, so that programs spell no channel twice."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any

from django.db.models import Model

from broadcasting.authorization.finders import finders
from broadcasting.authorization.lookups import RowLookup
from broadcasting.authorization.outcomes import Refused
from broadcasting.authorization.patterns import InvalidPattern, Placeholder
from broadcasting.authorization.rule import Route
from broadcasting.authorization.rules import routes
from broadcasting.channels import (
    Channel,
    EncryptedPrivateChannel,
    PresenceChannel,
    PrivateChannel,
)
from broadcasting.exceptions import NoSuchRoute
from broadcasting.protocol.names import ChannelKind

_CLASSES = {
    ChannelKind.PRIVATE: PrivateChannel,
    ChannelKind.PRESENCE: PresenceChannel,
    ChannelKind.ENCRYPTED: EncryptedPrivateChannel,
}


def reverse(name: str, /, **values: Any) -> Channel:
    """Return the channel of the rule called ``name``; its text is the wire name.

    ``values``: one for each placeholder; a row stands for what its rule looks it up by. The
    channel is private, unless the rule decides about another kind only; ``.base`` is its name
    without a prefix. Raises NoSuchRoute for an unknown name, values that are missing or too
    many, and those that the rule would not read again; InvalidChannelName for characters that
    no channel may have.
    """
    found = _find(name)
    try:
        pattern = found.pattern
    except InvalidPattern as error:
        raise NoSuchRoute(f"{name!r} has a pattern that cannot be read: {error}") from error
    if missing := pattern.placeholders.keys() ^ values.keys():
        raise NoSuchRoute(
            f"{found.text!r} ({name!r}) takes {_words(pattern.placeholders)};"
            f" missing or too many: {_words(dict.fromkeys(sorted(missing)))}"
        )
    rows = found.plan.rows
    texts = {
        each: _text(placeholder, values[each], rows.get(each))
        for each, placeholder in pattern.placeholders.items()
    }
    base = pattern.fill(texts)
    _check(found, base, texts)
    kind = next((kind for kind in _CLASSES if kind in found.kinds), ChannelKind.PRIVATE)
    return _CLASSES[kind](base)


def _find(name: str) -> Route:
    named = [route for route in routes if route.reverse_name is not None]
    found = [route for route in named if route.reverse_name == name]
    if len(found) == 1:
        return found[0]
    if found:
        both = ", ".join(route.name for route in found)
        raise NoSuchRoute(f"{len(found)} channel rules are called {name!r}: {both}")
    names = sorted({str(route.reverse_name) for route in named})
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    raise NoSuchRoute(f"No channel rule is called {name!r}; {hint}")


def _text(placeholder: Placeholder, value: Any, row: RowLookup | None) -> str:
    if isinstance(value, Model):
        if row is not None and not isinstance(value, row.model):
            raise NoSuchRoute(
                f"{placeholder.name} is a {value._meta.label}, where the rule expects a"
                f" {row.model._meta.label}"
            )
        value = getattr(value, "pk" if row is None else row.field)
        # By a foreign key.
        value = value.pk if isinstance(value, Model) else value
    if value is None:
        raise NoSuchRoute(f"{placeholder.name} is None, or a row without what it is looked up by")
    if isinstance(value, Enum):
        value = value.value
    return str(value if placeholder.converter is None else placeholder.converter.to_url(value))


def _check(route: Route, base: str, texts: Mapping[str, str]) -> None:
    """Raise NoSuchRoute if the rule would read something else than what was written."""
    read = route.pattern.regex.fullmatch(base)
    if (
        read is None
        or read.groupdict() != texts
        or not all(_fits(route, *t) for t in texts.items())
    ):
        given = ", ".join(f"{name}={text!r}" for name, text in texts.items())
        raise NoSuchRoute(f"{route.text!r} does not allow {given}")


def _fits(route: Route, name: str, text: str) -> bool:
    """Whether ``text`` is of the type that the rule wants. What would be looked up is not."""
    convert = route.plan.converts.get(name)
    has_converter = route.pattern.placeholders[name].converter is not None
    if convert is None or has_converter or name in route.plan.rows or finders.get(name):
        return True
    try:
        convert(text)
    except Refused:
        return False
    return True


def _words(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "nothing"
