"""The rule that nobody has to write: users may join their own private channel.

Laravel's projects begin with it. It is asked where no rule of the project matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db.models import Model

from broadcasting.authorization.rule import Route
from broadcasting.channels import own_name
from broadcasting.conf import get_settings
from broadcasting.protocol.names import ChannelKind


def default_routes() -> Iterator[Route]:
    """Yield the rule of a user's own channel, as ``accounts.User.{pk}``, unless it is off."""
    if get_settings().authorization.user_channel and _has_users():
        yield _route(django_settings.AUTH_USER_MODEL)


def own_user_channel(user: Any, pk: str) -> bool:
    """Whether the channel is the user's own."""
    model = get_user_model()
    return isinstance(user, model) and own_name(user) == f"{_label(model)}.{pk}"


def _has_users() -> bool:
    label = django_settings.AUTH_USER_MODEL.partition(".")[0]
    return any(config.label == label for config in apps.get_app_configs())


@cache
def _route(user_model: str) -> Route:
    label = _label(apps.get_model(user_model))
    kinds = frozenset({ChannelKind.PRIVATE, ChannelKind.ENCRYPTED})
    return Route(f"{label}.{{pk}}", own_user_channel, kinds=kinds)


def _label(model: type[Model]) -> str:
    """Return the label that own_name() gives, however the setting is written: a proxy shares it."""
    return model._meta.concrete_model._meta.label  # type: ignore[union-attr]
