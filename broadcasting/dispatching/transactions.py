"""Whether a transaction must commit first, found out without opening a connection.

Django's ``on_commit()`` connects outside an atomic block; a process that never touches
the database must not pay for that, so it is only called inside one.
"""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.db.models.query import QuerySet

from broadcasting.exceptions import AutocommitOff


def database_of(values: Any) -> str:
    """Return the database alias of the first model among ``values``, else the default one."""
    for value in values:
        if isinstance(value, list | tuple) and value:
            value = value[0]
        if isinstance(value, Model) and value._state.db:
            return value._state.db
        if isinstance(value, QuerySet):
            return value.db
    return DEFAULT_DB_ALIAS


def open_transaction(using: str) -> BaseDatabaseWrapper | None:
    """Return this thread's connection if it is in an atomic block, else None.

    Raises AutocommitOff where a transaction is managed by hand: nobody could say when it
    commits.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        return connection
    # Before it connects, a connection says False whatever the settings say.
    connected = connection.connection is not None
    if not (connection.autocommit if connected else connection.settings_dict["AUTOCOMMIT"]):
        raise AutocommitOff(
            f"Autocommit is off on the database {using!r} and no atomic block is open, so nobody"
            " can tell when this event may be sent. Dispatch it inside transaction.atomic(), or"
            " set after_commit=False in its Meta to send it at once."
        )
    return None
