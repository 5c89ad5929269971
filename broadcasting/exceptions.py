"""What the host program can catch. A peer's mistakes live in ``protocol.errors`` instead.

::

    BroadcastingError
     +- PublishError               an envelope or job could not be handed on
     |   +- NoServerHere           "local" backplane in a process that holds no sockets
     |   +- BackplaneUnavailable   the backplane refused or did not answer in time
     |   +- RegistryUnavailable    the registry's store refused or did not answer in time
     |       +- LeaseLost          the store takes this node for dead
     |   +- QueueUnavailable       the broker refused or did not answer in time
     |   +- BroadcasterUnavailable an outside service failed, or did not answer in time
     |   +- DeliveryPostponed      a webhook that a worker tries again later
     |   +- JobReleased            an event that its middleware put back
     |   +- ListenerFailed         a queued listener that a worker tries again
     |   +- NotAllSent             some of several broadcasts did not leave
     +- JobSkipped                 an event that its middleware dropped
     +- AutocommitOff              no transaction tells when an event may be sent
     +- InvalidChannelName         a channel name Pusher's grammar does not allow
     +- NoSuchRoute                no channel rule has this name, or not with these values
     +- InvalidEventName           an event name that is empty, reserved or too long
     +- PayloadError               a payload that cannot be encoded, with its path
     +- MissingModel               a row that a worker was to fetch again is gone
     +- NotSupported               something that a broadcaster cannot do
     +- BroadcastRefused           an outside service will not take a request, however often
     +- EncryptionUnavailable      an encrypted channel that this installation cannot serve
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class BroadcastingError(Exception):
    """Root of everything this package raises at the host program."""


class PublishError(BroadcastingError):
    """An event could not be handed on.

    After a timeout nobody knows: a broker or backplane that was frozen may still do what it
    was told when it wakes up. An event for several channels may have reached the first of them.
    """

    retry_in: float | None = None
    """Seconds after which a queue should run the job again; None: as the job's options say."""


class NoServerHere(PublishError):
    """The ``local`` backplane was used in a process that holds no sockets."""


class BackplaneUnavailable(PublishError):
    """The backplane refused, or did not answer within ``PUBLISH_TIMEOUT``."""


class RegistryUnavailable(PublishError):
    """The store of a shared registry refused, or did not answer in time."""


class LeaseLost(RegistryUnavailable):
    """A node did not renew its lease in time, so that its sockets count as gone."""


class QueueUnavailable(PublishError):
    """The queue's broker refused, or did not answer within ``PUBLISH_TIMEOUT``."""


class BroadcasterUnavailable(PublishError):
    """An outside service did not answer, failed (5xx) or wants us to slow down (429).

    ``status`` is that of its answer, None if there was none; ``body`` is the answer's text.
    """

    def __init__(self, problem: str, status: int | None = None, body: str = "") -> None:
        super().__init__(problem)
        self.status = status
        self.body = body

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.status, self.body)


class _RunAgain(PublishError):
    def __init__(self, problem: str, retry_in: float) -> None:
        super().__init__(problem)
        self.retry_in = retry_in

    def __reduce__(self) -> tuple[Any, ...]:
        # Queues send it between their processes.
        return type(self), (str(self), self.retry_in)


class DeliveryPostponed(_RunAgain):
    """A webhook did not arrive; its job wants to be run again in ``retry_in`` seconds."""


class JobReleased(_RunAgain):
    """A middleware put an event's job back for ``retry_in`` seconds."""


class ListenerFailed(PublishError):
    """A queued listener raised something, its ``__cause__``, and has attempts left."""


class NotAllSent(PublishError):
    """Some of several broadcasts did not leave: ``failures`` has each of them with its error."""

    def __init__(self, failures: Sequence[tuple[Broadcast, Exception]]) -> None:
        each: dict[int, tuple[Broadcast, Exception]] = {}
        for broadcast, error in failures:  # one that took two requests may have failed twice
            each.setdefault(id(broadcast), (broadcast, error))
        self.failures = tuple(each.values())
        (_, first), *others = self.failures
        more = f", and {len(others)} more" if others else ""
        super().__init__(f"{type(first).__name__}: {first}{more}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.failures,)


class JobSkipped(BroadcastingError):
    """A middleware dropped an event's job. Workers take it as done."""


class AutocommitOff(BroadcastingError):
    """Autocommit is off outside an atomic block, so nothing tells when to send.

    ``after_commit=False`` in the event's ``Meta`` sends it at once.
    """


class InvalidChannelName(BroadcastingError, ValueError):
    """Channel names are 1-200 characters out of ``A-Z a-z 0-9 _ - = @ , . ;``.

    What follows ``#server-to-user-`` is a user id instead: 1-128 characters.
    """


class NoSuchRoute(BroadcastingError, LookupError):
    """No channel rule has the name that reverse() was given, or it does not take the values."""


class InvalidEventName(BroadcastingError, ValueError):
    """Event names are 1-200 characters and do not begin with a reserved prefix."""


class PayloadError(BroadcastingError, TypeError):
    """A payload holds something that may not or cannot be sent.

    ``path`` names the place, for instance ``order.items[3].price``.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class MissingModel(BroadcastingError):
    """A row of an event is gone by the time that a worker looks for it."""

    def __init__(self, label: str, pk: object) -> None:
        super().__init__(f"{label} {pk} is gone")
        self.label = label
        self.pk = pk

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.label, self.pk)


class NotSupported(BroadcastingError):
    """The broadcaster, or the server behind it, has no such ability."""


class EncryptionUnavailable(BroadcastingError):
    """A ``private-encrypted-`` channel was used, but nothing here can encrypt for it."""


class BroadcastRefused(BroadcastingError):
    """An outside service answered that it will not take a request: no queue tries it again.

    ``status`` is that of its answer, ``body`` the answer's text.
    """

    def __init__(self, problem: str, status: int, body: str = "") -> None:
        super().__init__(problem)
        self.status = status
        self.body = body

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.status, self.body)
