"""What a project says once about a placeholder, for every rule that has it.

A registry by placeholder name; how the answers are used is the business of ``binding``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

Finder = Callable[[Any], Any]

_Function = TypeVar("_Function", bound=Finder)


class Finders:
    """The finders, by the name of their placeholder. The last one registered counts."""

    def __init__(self) -> None:
        self._finders: dict[str, Finder] = {}
        self.duplicates: list[tuple[str, Finder, Finder]] = []
        """Names that were bound twice, with both finders, for the checks."""

    def get(self, name: str) -> Finder | None:
        """Return the finder of the placeholder ``name``, or None."""
        return self._finders.get(name)

    def add(self, name: str, finder: Finder) -> None:
        """Register ``finder``, in the place of another one of that name."""
        known = self._finders.get(name, finder)
        if known is not finder:
            self.duplicates.append((name, known, finder))
        self._finders[name] = finder

    @contextmanager
    def isolated(self) -> Iterator[Finders]:
        """Begin with no finders and forget what is registered meanwhile; for tests."""
        kept = self._finders, self.duplicates
        self._finders, self.duplicates = {}, []
        try:
            yield self
        finally:
            self._finders, self.duplicates = kept


finders = Finders()


@overload
def bind(name: str, finder: Finder) -> None: ...


@overload
def bind(name: str) -> Callable[[_Function], _Function]: ...


def bind(name: str, finder: Finder | None = None) -> Any:
    """Let ``finder`` find what every placeholder called ``name`` stands for.

    ``finder``: takes the value from the channel name (text, or what an inline converter
    made of it), sync or async; left out, the function that this then decorates. None, an
    ObjectDoesNotExist, an Http404, and a value that does not fit (ValueError, ValidationError)
    refuse the channel; the very value that it was given leaves it to the annotation. A
    placeholder that names a field, as ``{post:slug}``, does not ask it. Raises TypeError for
    what is no callable or no identifier.
    """
    if not str(name).isidentifier():
        raise TypeError(f"A placeholder is bound by its bare name, not {name!r}")
    if finder is not None:
        _add(name, finder)
        return None

    def register(function: _Function) -> _Function:
        _add(name, function)
        return function

    return register


def _add(name: str, finder: Finder) -> None:
    if not callable(finder):
        raise TypeError(f"The placeholder {{{name}}} is bound to a callable, not {finder!r}")
    finders.add(name, finder)
