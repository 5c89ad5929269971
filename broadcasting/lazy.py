"""Module faces whose names load on first use (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_face(
    namespace: dict[str, Any], homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of the module whose ``globals()`` are given.

    ``homes`` maps each public name to the module it lives in.
    """

    def load(name: str) -> Any:
        try:
            home = homes[name]
        except KeyError:
            module = namespace["__name__"]
            raise AttributeError(f"module {module!r} has no attribute {name!r}") from None
        value = namespace[name] = getattr(import_module(home), name)
        return value

    def names() -> list[str]:
        return sorted({*namespace, *homes})

    return load, names
