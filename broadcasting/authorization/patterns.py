"""Channel name patterns: ``orders.{order}``, matched against names without their prefix.

Text in, values out. Knows Django's path converters by name, but no rules, no users and no
models: ``{post:slug}`` only remembers that ``post`` is looked up by ``slug``.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls.converters import get_converters

_SEGMENT = r"[^.\n]+"
_BRACES = re.compile(r"\{([^{}]*)\}")


class InvalidPattern(ValueError):
    """A pattern that cannot be read; the message says which part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """One ``{...}`` of a pattern."""

    name: str
    converter: Any = None
    """Django's path converter of ``{int:id}``, or None."""

    field: str | None = None
    """The model field of ``{post:slug}``, or None."""

    @property
    def regex(self) -> str:
        """What the placeholder's text must look like."""
        # Django's "str" stops at slashes, which no channel name has; ours stops at dots.
        if self.converter is None or self.converter.regex == "[^/]+":
            return _SEGMENT
        return str(self.converter.regex)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A compiled pattern."""

    text: str
    placeholders: Mapping[str, Placeholder]
    regex: re.Pattern[str]

    def match(self, name: str) -> dict[str, Any] | None:
        """Return the placeholders' values in pattern order, or None.

        As in URLs, text that an inline converter refuses is no match.
        """
        found = self.regex.fullmatch(name)
        if found is None:
            return None
        values: dict[str, Any] = {}
        for placeholder in self.placeholders.values():
            text = found[placeholder.name]
            try:
                converter = placeholder.converter
                values[placeholder.name] = text if converter is None else converter.to_python(text)
            except ValueError:
                return None
        return values

    def fill(self, texts: Mapping[str, str]) -> str:
        """Return the name with ``texts`` in the place of its placeholders; checks nothing."""
        parts = _BRACES.split(self.text)
        parts[1::2] = [texts[name] for name in self.placeholders]
        return "".join(parts)


def compile_pattern(text: str) -> Pattern:
    """Return the pattern that ``text`` describes; raise InvalidPattern."""
    placeholders: dict[str, Placeholder] = {}
    regex = ""
    # Every second part stood in braces.
    for index, part in enumerate(_BRACES.split(text)):
        if index % 2 == 0:
            if "{" in part or "}" in part:
                raise InvalidPattern(f"{text!r} has a brace without its partner")
            regex += re.escape(part)
            continue
        placeholder = _placeholder(text, part)
        if placeholder.name in placeholders:
            raise InvalidPattern(f"{text!r} has {{{placeholder.name}}} twice")
        placeholders[placeholder.name] = placeholder
        regex += f"(?P<{placeholder.name}>{placeholder.regex})"
    if not text:
        raise InvalidPattern("the pattern is empty")
    try:
        compiled = re.compile(regex)
    except re.error as error:  # a path converter of somebody else's
        raise InvalidPattern(f"{text!r} makes no regular expression: {error}") from error
    return Pattern(text=text, placeholders=placeholders, regex=compiled)


def _placeholder(text: str, part: str) -> Placeholder:
    first, colon, second = part.partition(":")
    name, converter, field = first, None, None
    if colon:
        # "int:id" as in URLs, unless the first word is no converter: then "post:slug".
        converter = get_converters().get(first)
        if converter is None:
            field = second
        else:
            name = second
    for word in (name,) if field is None else (name, field):
        if not word.isascii() or not word.isidentifier() or keyword.iskeyword(word):
            raise InvalidPattern(f"{text!r}: {{{part}}} is not a placeholder")
    return Placeholder(name=name, converter=converter, field=field)
