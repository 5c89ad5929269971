"""Whether a transaction must commit first, found out without opening a connection.

Django's ``on_commit()`` connects outside an atomic block; a process that never touches
the database must not pay for that, so it is only called inside one.
"""

from __future__ import annotations

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from broadcasting.exceptions import AutocommitOff


def open_transaction(using: str) -> BaseDatabaseWrapper | None:
    """Return this thread's connection if it is in an atomic block, else None.

    Raises AutocommitOff where a transaction is managed by hand: nobody could say when it
    commits.
    """
    connection = connections[using]
    manual = not connection.settings_dict["AUTOCOMMIT"]
    # A block that did not switch autocommit off does not commit either, and where nobody ever
    # switches it on, no hook is called: Django keeps them until then.
    if connection.in_atomic_block and (connection.commit_on_exit or not manual):
        return connection
    # Before it connects, a connection says False whatever the settings say.
    if manual if connection.connection is None else not connection.autocommit:
        elsewhere = "" if manual else " Or dispatch it inside transaction.atomic()."
        raise AutocommitOff(
            f"Autocommit is off on the database {using!r}, so nobody can tell when this event may"
            f" be sent. Set after_commit=False in its Meta to send it at once.{elsewhere}"
        )
    return None
