"""Notifications over broadcast: ``notify(user, InvoicePaid(invoice))``, Echo's ``.notification()``.

Only what is broadcast; mail and the like are other packages' affair.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, ClassVar, Final
from uuid import uuid4

from django.db.models import Model

from broadcasting.channels import (
    Channel,
    PrivateChannel,
    Targets,
    TargetsByBroadcaster,
    as_channels,
)
from broadcasting.dispatching import Dispatch
from broadcasting.dispatching.dispatch import Via, modified
from broadcasting.dispatching.models import database_of
from broadcasting.events import ShouldBroadcast, attributes_of, payload_of
from broadcasting.job_middleware import Middleware
from broadcasting.shown import public_values
from broadcasting.wording import name_of

ECHO_NOTIFICATION_EVENT: Final = r"Illuminate\Notifications\Events\BroadcastNotificationCreated"
"""What Echo's ``.notification()`` listens to, whatever the language of the server."""


class BroadcastNotification(ShouldBroadcast):
    """Something that somebody should hear of. Declared as an event is, sent with ``notify()``.

    The payload is what ``to_broadcast()`` returns, or the public attributes, with the ``id`` of
    the notification and its ``type``. Laravel's notifications with the channel ``broadcast``.
    """

    _needs_notify: ClassVar[bool] = True
    broadcast_type: ClassVar[str | None] = None
    """What clients get as ``type``; None: the dotted path of the class."""

    def to_broadcast(self, notifiable: Any) -> Any:
        """Return the data for ``notifiable``: a mapping; None for the public attributes."""
        return None

    def broadcast_on(self) -> Targets:
        """Return channels in place of those of whom it is for; None: theirs."""
        return None


class BroadcastNotificationCreated(ShouldBroadcast):
    """A notification on its way to one who is to hear of it."""

    notifiable: Any
    notification: Any
    number: str
    _on: Any = None

    @property
    def _subject(self) -> BroadcastNotification:
        """What the program knows of: for logs, listeners and tests."""
        subject: BroadcastNotification = self.notification
        return subject

    def broadcast_on(self) -> Targets | TargetsByBroadcaster:
        if self._on is not None:
            given: Targets = self._on
            return given
        own: Targets | TargetsByBroadcaster = self._subject.broadcast_on()
        if isinstance(own, Mapping) or (channels := as_channels(own)):
            return own if isinstance(own, Mapping) else channels
        receives = getattr(self.notifiable, "receives_broadcast_notifications_on", None)
        return (
            _private(receives(self.notification)) if receives else PrivateChannel(self.notifiable)
        )

    def broadcast_as(self) -> str | Enum:
        name = self._subject.broadcast_as() or type(self._subject)._broadcasting.name
        return ECHO_NOTIFICATION_EVENT if name is None else name

    def broadcast_with(self) -> Any:
        whole = self._subject.broadcast_with()
        if whole is not None:
            return whole
        data = self._subject.to_broadcast(self.notifiable)
        values = payload_of(self.notification) if data is None else public_values(data)
        if values is None:
            raise TypeError(
                f"{name_of(self.notification)}.to_broadcast() returned a {type(data).__name__},"
                " not a mapping"
            )
        kind = self._subject.broadcast_type or name_of(type(self.notification))
        return {**values, "id": self.number, "type": kind}

    def broadcast_when(self) -> bool:
        return self._subject.broadcast_when()

    def broadcast_queue(self) -> str | None:
        return self._subject.broadcast_queue()

    def middleware(self) -> Iterable[Middleware]:
        return self._subject.middleware()

    def broadcast_failed(self, error: Exception) -> None:
        self._subject.broadcast_failed(error)

    def unique_id(self) -> str:
        return f"{self._whose}:{self._subject.unique_id()}"

    def coalesce_key(self) -> str:
        return f"{self._whose}:{self._subject.coalesce_key()}"

    @property
    def _whose(self) -> str:
        """Tell those apart whom it is for: users and teams may have the same keys."""
        if self.notifiable is None:
            return ",".join(map(str, self._on))
        kind, key = self.notifiable.__class__, getattr(self.notifiable, "pk", self.notifiable)
        return f"{name_of(kind)}:{key}"


def notify(
    notifiables: Any,
    notification: BroadcastNotification,
    *,
    to_others: bool = False,
    via: Via | None = None,
    queue: str | None = None,
    now: bool = False,
) -> None:
    """Tell one user, or several, each with a notification of its own id.

    ``notifiables``: a model, or an iterable of models. It goes to the channels that the
    notification names, else to those of the user's ``receives_broadcast_notifications_on()``,
    else to the user's own private channel (``accounts.User.1``). Raises TypeError for what is
    no notification, and what ``dispatch()`` of an event raises.
    """
    for dispatch in _dispatches(notifiables, notification):
        modified(dispatch, to_others, via, now, queue).dispatch()


async def anotify(
    notifiables: Any,
    notification: BroadcastNotification,
    *,
    to_others: bool = False,
    via: Via | None = None,
    queue: str | None = None,
    now: bool = False,
) -> None:
    """See notify()."""
    if isinstance(notifiables, AsyncIterable):  # a queryset too
        notifiables = [one async for one in notifiables]
    for dispatch in _dispatches(notifiables, notification):
        await modified(dispatch, to_others, via, now, queue).adispatch()


def notify_on(targets: Targets, notification: BroadcastNotification) -> None:
    """Tell whoever listens to ``targets``, without anybody whom it is for."""
    _dispatch(None, notification, as_channels(targets)).dispatch()


async def anotify_on(targets: Targets, notification: BroadcastNotification) -> None:
    """See notify_on()."""
    await _dispatch(None, notification, as_channels(targets)).adispatch()


def _dispatches(notifiables: Any, notification: BroadcastNotification) -> Iterator[Dispatch]:
    is_one = isinstance(notifiables, Model) or not isinstance(notifiables, Iterable)
    for notifiable in [notifiables] if is_one else notifiables:
        if isinstance(notifiable, str):  # a text would be told letter by letter
            raise TypeError("notify() takes whom to tell; for channels there is notify_on()")
        yield _dispatch(notifiable, notification, None)


def _dispatch(notifiable: Any, notification: object, on: tuple[Channel, ...] | None) -> Dispatch:
    if not isinstance(notification, BroadcastNotification):
        kind = type(notification).__name__
        raise TypeError(f"Only a BroadcastNotification can be told, not a {kind}")
    event = BroadcastNotificationCreated(notifiable, notification, str(uuid4()), on)
    using = database_of([*attributes_of(notification), notifiable])
    return Dispatch(event, database=using)


def _private(names: Any) -> tuple[Channel, ...]:
    """Return private channels: names stand without their prefix here, as in Laravel."""
    several = [names] if isinstance(names, str | Channel | Model) else names
    return tuple(
        PrivateChannel(one) if isinstance(one, str) else as_channels(one)[0]
        for one in several or ()
    )
