"""What ends connections by itself: a logout, a new password, a user who is disabled or deleted.

Never breaks what it watches: a backplane that is down is logged. ``QuerySet.update()`` sends
no signals, so nothing is seen of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_save
from django.http import HttpRequest

from broadcasting.authorization.answers import session_of
from broadcasting.broadcasters import broadcasters
from broadcasting.channels import user_id_of
from broadcasting.conf import get_settings
from broadcasting.dispatching.transactions import open_transaction
from broadcasting.exceptions import AutocommitOff, NotSupported

logger = logging.getLogger("broadcasting.revocation")

FIELDS = {"password": "password_change", "is_active": "deactivation"}
"""What is watched of a user, and the occasion that a change of it is."""

_CHANGED = "_broadcasting_disconnect"


def watch() -> None:
    """Listen to Django's signals; harmless when repeated."""
    if not apps.is_installed("django.contrib.auth"):
        return
    user_logged_out.connect(_logged_out, dispatch_uid="broadcasting.revocation")
    # Without a sender: a proxy or child of the user model is saved in its own name.
    pre_save.connect(_before_save, dispatch_uid="broadcasting.revocation")
    post_save.connect(_after_save, dispatch_uid="broadcasting.revocation")
    # With one: Django would load the rows of every model before it deletes them.
    for model in _models_of_users():
        post_delete.connect(_after_delete, sender=model, dispatch_uid="broadcasting.revocation")


def _models_of_users() -> list[type[Model]]:
    """Return the user model and its proxies, in whose own name their rows are deleted."""
    try:
        users = get_user_model()._meta.concrete_model
    except ImproperlyConfigured:  # said by Django itself
        return []
    return [model for model in apps.get_models() if model._meta.concrete_model is users]


def _logged_out(request: HttpRequest | None, user: Any, **kwargs: object) -> None:
    """End the connections of the session that ends."""
    if not _wanted("logout") or user is None or request is None:
        return
    session = session_of(request)
    if session is not None:
        _disconnect(user, None, session=session)


def _before_save(
    sender: type[Model],
    instance: Model,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None,
    **kwargs: object,
) -> None:
    """Note whether the row is about to lose what it is connected by."""
    if not issubclass(sender, get_user_model()) or raw or instance._state.adding:
        return
    instance.__dict__.pop(_CHANGED, None)  # of a save that failed
    columns = {field.attname for field in sender._meta.concrete_fields}
    watched = [
        name
        for name, occasion in FIELDS.items()
        if _wanted(occasion)
        and (update_fields is None or name in update_fields)
        # A field that is deferred is not there; what is there need not be a field.
        and name in instance.__dict__
        and name in columns
    ]
    if not watched:
        return
    rows = sender._base_manager.using(using).filter(pk=instance.pk)
    before = rows.values(*watched).first()
    if before is None:
        return
    lost = "password" in watched and before["password"] != instance.__dict__["password"]
    if "is_active" in watched:
        lost |= bool(before["is_active"] and not instance.__dict__["is_active"])
    if lost:
        setattr(instance, _CHANGED, True)


def _after_save(sender: type[Model], instance: Model, using: str, **kwargs: object) -> None:
    if instance.__dict__.pop(_CHANGED, False):
        # Whoever may still come returns at once, as the session that set the new password.
        _disconnect(instance, using, reconnect=True)


def _after_delete(instance: Model, using: str, **kwargs: object) -> None:
    if _wanted("deactivation"):
        _disconnect(instance, using, reconnect=True)


def _disconnect(user: Any, using: str | None, **how: Any) -> None:
    """Do it at once, or once a transaction of ``using`` has committed. Never raises."""
    _try(partial(_disconnect_or_raise, user, using, how))


def _disconnect_or_raise(user: Any, using: str | None, how: dict[str, Any]) -> None:
    # Now: a row that is deleted has no key later.
    act = partial(_try, partial(_end, user_id_of(user), how))
    try:
        transaction = None if using is None else open_transaction(using)
    except AutocommitOff:
        transaction = None
    if transaction is None:
        act()
    else:
        transaction.on_commit(act)


def _end(user_id: str, how: dict[str, Any]) -> None:
    broadcasters[get_settings().default_broadcaster].disconnect(user_id, **how)


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except NotSupported:
        logger.debug("The default broadcaster cannot end connections")
    except Exception as error:  # a logout must work, whatever is down or misconfigured
        logger.error(
            "The connections of a user could not be ended (%s: %s)", type(error).__name__, error
        )


def _wanted(occasion: str) -> bool:
    return occasion in get_settings().authorization.revoke_on
