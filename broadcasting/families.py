"""How a family of backends finds the one that the settings name, as Django's caches do.

Knows nothing of what the backends are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Generic, TypeVar

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
        backend: T = make_backend(self._path, self._short_names, entry)
        return backend


class MayWait:
    """A backend whose coroutines may suspend, unless its class says that they never do.

    What never does is answered over HTTP, and forgotten with its socket, in one step.
    """

    waits: ClassVar[bool] = True
    """Not inherited: a class that is made of one that never waits says so for itself."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        cls.waits = vars(cls).get("waits", True)


def make_backend(path: str, short_names: Mapping[str, str], entry: BackendSettings) -> Any:
    """Return what ``entry`` describes, an instance of its class.

    The class may name in ``known_options`` what ``OPTIONS`` may hold; None stands for whatever
    it likes. Raises ImproperlyConfigured for anything else, and as import_backend() does.
    """
    cls = import_backend(path, short_names, entry)
    known = getattr(cls, "known_options", None)
    if known is not None and (unknown := entry.options.keys() - known):
        raise ImproperlyConfigured(
            f"BROADCASTING{path}: {entry.backend!r} has no option"
            f" {', '.join(sorted(map(repr, unknown)))}; known: {', '.join(sorted(known)) or 'none'}"
        )
    return cls(entry.options)


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
