"""What happens when Django starts: rules, events and listeners are found and checks registered."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.utils.module_loading import autodiscover_modules


class BroadcastingConfig(AppConfig):
    """Broadcasting."""

    name = "broadcasting"
    label = "broadcasting"
    verbose_name = "Broadcasting"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("broadcasting.checks")
        # The jobs that any worker must know.
        import_module("broadcasting.workers")
        import_module("broadcasting.listeners.jobs")
        import_module("broadcasting.webhooks.jobs")
        import_module("broadcasting.revocation.occasions").watch()
        import_module("broadcasting.authorization.lists").register_lists(discover("channels"))
        discover("events")
        discover("listeners")


def discover(name: str) -> list[ModuleType]:
    """Return the module ``name`` of every installed app and of the project's own package."""
    autodiscover_modules(name)
    paths = [f"{config.name}.{name}" for config in apps.get_app_configs()]
    package = str(getattr(django_settings, "ROOT_URLCONF", "")).rpartition(".")[0]
    # A root URLconf without a package stands beside manage.py, where "channels" is Django
    # Channels itself.
    if package and find_spec(f"{package}.{name}") is not None:
        import_module(path := f"{package}.{name}")
        paths.append(path)
    return [sys.modules[path] for path in dict.fromkeys(paths) if path in sys.modules]
