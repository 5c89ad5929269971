"""How a class is called on its way to another process, and found there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings

from broadcasting.exceptions import PayloadError


def find_class(name: str, base: type) -> Any:
    """Return the class ``module:Class`` of the site itself. Raises PayloadError for any other.

    ``base``: what it must be a subclass of.
    """
    module, _, path = name.partition(":")
    if not _is_ours(module):
        raise PayloadError("event", f"{module!r} belongs to no installed app of this site")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PayloadError("event", f"{name!r} cannot be found here: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PayloadError("event", f"{name!r} is no {base.__name__}")
    return found


def _is_ours(module: str) -> bool:
    root = str(getattr(django_settings, "ROOT_URLCONF", "")).rpartition(".")[0]
    packages = [config.name for config in apps.get_app_configs()]
    return any(module == p or module.startswith(f"{p}.") for p in [*packages, root] if p)


def class_name(cls: type) -> str:
    """Return what find_class() finds ``cls`` by. Raises PayloadError for what it would not."""
    if "<locals>" in cls.__qualname__:
        raise PayloadError(
            "event", f"{cls.__qualname__} is made in a function, where nobody finds it"
        )
    if not _is_ours(cls.__module__):
        raise PayloadError("event", f"{cls.__module__!r} belongs to no installed app of this site")
    return f"{cls.__module__}:{cls.__qualname__}"


def is_found(cls: type) -> bool:
    """Whether a worker finds ``cls``: the rows of a query and many others are made on the way."""
    try:
        return find_class(class_name(cls), tuple) is cls
    except PayloadError:
        return False
