"""Tenants: who may connect and publish, with which credentials and limits.

The first application of ``BROADCASTING["APPLICATIONS"]`` is the default one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from broadcasting.applications.base import BaseApplications
from broadcasting.applications.settings import SettingsApplications
from broadcasting.conf import get_settings, on_change
from broadcasting.protocol.application import Application

__all__ = ["Application", "BaseApplications", "default_application", "get_applications"]


@cache
def get_applications() -> BaseApplications:
    """Return the source of applications that the settings name. Raises ImproperlyConfigured."""
    entries = get_settings().applications
    if isinstance(entries, str):
        try:
            source = import_string(entries)()
        except ImportError as error:
            raise ImproperlyConfigured(
                f"BROADCASTING['APPLICATIONS']: cannot import {entries!r}: {error}"
            ) from error
        if not isinstance(source, BaseApplications):
            raise ImproperlyConfigured(
                f"BROADCASTING['APPLICATIONS']: {entries!r} is not a BaseApplications class"
            )
        return source
    return SettingsApplications(entries)


def default_application(app_id: str | None = None) -> Application:
    """Return the application ``app_id``, or the first one. Raises ImproperlyConfigured."""
    source = get_applications()
    if app_id is not None:
        application = source.by_id(app_id)
        if application is None:
            raise ImproperlyConfigured(f"No application has the id {app_id!r}")
        return application
    every: Sequence[Application] = source.all()
    if not every:
        raise ImproperlyConfigured("BROADCASTING['APPLICATIONS'] is empty")
    return every[0]


on_change(get_applications.cache_clear)
