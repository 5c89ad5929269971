"""Revoke and disconnect: at once, and again when the transaction commits.

At once, since access that is taken away should not wait for the rest of a request. Again,
because until the commit a rule still reads the old rows and lets the client back in.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import Model

from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.channels import Target, as_channel, user_id_of
from broadcasting.conf import get_settings
from broadcasting.dispatching.transactions import open_transaction
from broadcasting.exceptions import (
    AutocommitOff,
    InvalidChannelName,
    PublishError,
)
from broadcasting.protocol.names import is_user_id, kind_of

logger = logging.getLogger("broadcasting.revocation")

User = Model | str | int
"""A user, or the id that it is known by to the server: its ``get_broadcast_id()`` or
primary key, unless a rule or the user resolver says otherwise."""


def revoke(*, user: User, channel: Target, via: str | None = None) -> None:
    """Take every connection of ``user`` out of ``channel``, in whatever process it is.

    ``channel``: a wire name, a channel, or a model (its private channel). The client hears
    ``pusher:subscription_error`` with status 403, and must ask the auth view anew to come
    back. ``via``: an alias of BROADCASTERS. In a transaction this is done at once and again
    after the commit. Raises InvalidChannelName for a channel without a guard, ValueError for
    an id that no user can have, NotSupported, and PublishError unless RESCUE is on.
    """
    user_id, name = _user_id(user), _guarded(channel)
    broadcaster = _broadcaster(via)
    _again_after_commit(lambda: broadcaster.revoke(user_id, name))
    with _rescued():
        broadcaster.revoke(user_id, name)


async def arevoke(*, user: User, channel: Target, via: str | None = None) -> None:
    """See revoke()."""
    user_id, name = _user_id(user), _guarded(channel)
    broadcaster = _broadcaster(via)
    await sync_to_async(_again_after_commit)(lambda: broadcaster.revoke(user_id, name))
    with _rescued():
        await broadcaster.arevoke(user_id, name)


def disconnect(*, user: User, reconnect: bool = False, via: str | None = None) -> None:
    """End every connection that is known to belong to ``user``, in whatever process it is.

    Clients stay away until they are told to connect; with ``reconnect`` they return at once
    and authorize anew. ``via`` and transactions: see revoke(). Raises ValueError for an id
    that no user can have, NotSupported, and PublishError unless RESCUE is on.
    """
    user_id, broadcaster = _user_id(user), _broadcaster(via)
    _again_after_commit(lambda: broadcaster.disconnect(user_id, reconnect=reconnect))
    with _rescued():
        broadcaster.disconnect(user_id, reconnect=reconnect)


async def adisconnect(*, user: User, reconnect: bool = False, via: str | None = None) -> None:
    """See disconnect()."""
    user_id, broadcaster = _user_id(user), _broadcaster(via)
    await sync_to_async(_again_after_commit)(
        lambda: broadcaster.disconnect(user_id, reconnect=reconnect)
    )
    with _rescued():
        await broadcaster.adisconnect(user_id, reconnect=reconnect)


def _broadcaster(via: str | None) -> BaseBroadcaster:
    return broadcasters[via or get_settings().default_broadcaster]


def _user_id(user: User) -> str:
    user_id = user_id_of(user)
    if not is_user_id(user_id):
        raise ValueError(f"{user_id[:129]!r} is not a user id: 1 to 128 characters of text")
    return user_id


def _guarded(channel: Target) -> str:
    name = as_channel(channel).name
    if not kind_of(name).guarded:
        raise InvalidChannelName(f"{name!r} has no guard, so there is nothing to revoke")
    return name


def _again_after_commit(act: Callable[[], None]) -> None:
    # Of each database: who knows where the rows are that a rule reads?
    for connection in connections.all(initialized_only=True):
        with contextlib.suppress(AutocommitOff):  # nobody can tell when; it is done at once
            if transaction := open_transaction(connection.alias):
                transaction.on_commit(lambda: _try(act))


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception as error:  # a driver of somebody else's raises what it likes
        # The transaction is over: whoever called can undo nothing any more, and what others do
        # after the commit is not to be kept from them.
        logger.error(
            "Access could not be revoked again after the commit (%s: %s)",
            type(error).__name__,
            error,
        )


@contextlib.contextmanager
def _rescued() -> Iterator[None]:
    try:
        yield
    except PublishError as error:
        if not get_settings().rescue:
            raise
        logger.error("Access could not be revoked: %s", error)
