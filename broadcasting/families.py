"""How a family of backends finds the one that the settings name, as Django's caches do.

Knows nothing of what the backends are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured

from broadcasting.conf import BackendSettings, Settings, get_settings, on_change

T = TypeVar("T")


class OneBackend(Generic[T]):
    """Call it for the process's one backend of a family; made on first use.

    Raises ImproperlyConfigured when it is made and its settings are wrong.
    """

    def __init__(
        self,
        path: str,
        short_names: Mapping[str, str],
        entry: Callable[[Settings], BackendSettings],
    ) -> None:
        self._path = path
        self._short_names = short_names
        self._entry = entry
        self.reset()
        on_change(self.reset)

    def __call__(self) -> T:
        made = self._made.get(self._path)
        # No lock, which a fork could leave held: of two made at once, one is kept.
        return made if made is not None else self._made.setdefault(self._path, self._make())

    def reset(self) -> None:
        """Forget the backend, since the settings changed."""
        self._made: dict[str, T] = {}

    def _make(self) -> T:
        entry = self._entry(get_settings())
        backend: T = import_backend(self._path, self._short_names, entry)(entry.options)
        return backend


def import_backend(path: str, short_names: Mapping[str, str], entry: BackendSettings) -> Any:
    """Return the class that ``entry`` names: one of ``short_names`` or a dotted path.

    ``path`` is where the entry stands in the settings, for the error message. Raises
    ImproperlyConfigured for an unknown name, or with the cause when an import fails.
    """
    dotted = short_names.get(entry.backend, entry.backend)
    module_name, _, attribute = dotted.rpartition(".")
    if not module_name or module_name.startswith("."):
        known = ", ".join(sorted(short_names))
        raise ImproperlyConfigured(
            f"BROADCASTING{path}: unknown BACKEND {entry.backend!r}."
            f" Use one of {known}, or a dotted path to your own class."
        )
    try:
        return getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ImproperlyConfigured(
            f"BROADCASTING{path}: cannot import BACKEND {dotted!r}: {error}"
        ) from error
