"""One event into its broadcasts: asked when, named, addressed and encoded, once each.

Runs when the event is handed on, in the caller, so that a mistake shows where it was made
and a row deleted later is no problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from os import urandom
from typing import TYPE_CHECKING, Any

from broadcasting.broadcasters import broadcasters
from broadcasting.broadcasts import Broadcast
from broadcasting.channels import Channel, as_channels
from broadcasting.conf import get_settings
from broadcasting.dispatching.failures import logger, report
from broadcasting.dispatching.models import Keys
from broadcasting.dispatching.options import EventOptions, is_paced
from broadcasting.dispatching.packing import Packed
from broadcasting.encoding import encode
from broadcasting.exceptions import InvalidEventName, PayloadError
from broadcasting.protocol.names import (
    CLIENT_PREFIX,
    MAX_NAME_LENGTH,
    RESERVED_PREFIXES,
    is_event_name,
)
from broadcasting.queues import JobOptions, get_queue

if TYPE_CHECKING:
    from broadcasting.events import ShouldBroadcast


ByBroadcaster = dict[str, tuple[Channel, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """An event with everything that was decided when it was dispatched."""

    event: ShouldBroadcast = field(repr=False)
    """A shallow copy: what the program does to its own afterwards changes nothing."""

    options: EventOptions
    """Those of the class, with the modifiers of this call applied."""

    except_socket: str | None = None
    id: str = field(default_factory=lambda: urandom(16).hex())
    """Goes with it all the way, for every broadcaster and every attempt."""

    keys: Keys = ()
    """The primary keys of its rows when it began to wait for its commit."""

    @property
    def subject(self) -> ShouldBroadcast:
        """What the program dispatched, where the event is only what carries it."""
        return subject_of(self.event)

    @property
    def label(self) -> str:
        """Dotted path of the event class."""
        cls = type(self.subject)
        return f"{cls.__module__}.{cls.__qualname__}"

    @property
    def broadcasters(self) -> tuple[str, ...]:
        """Aliases of what sends it, each once."""
        aliases = self.options.broadcasters or (get_settings().default_broadcaster,)
        return tuple(dict.fromkeys(aliases))

    @property
    def rescue(self) -> bool:
        """Whether failures are logged instead of raised."""
        rescue = self.options.rescue
        return get_settings().rescue if rescue is None else rescue

    @property
    def values(self) -> Mapping[Any, Any]:
        """The event's public attributes."""
        # Not at import: events are built on this package.
        from broadcasting.events import payload_of

        return payload_of(self.event)

    @property
    def attributes(self) -> Iterator[Any]:
        """All that the event holds: a model that is never shown was saved all the same."""
        from broadcasting.events import attributes_of

        return attributes_of(self.event)


def has_middleware(outgoing: Outgoing) -> bool:
    """Whether something stands around the jobs of this event."""
    return not outgoing.options.now and has_its_own(outgoing, "middleware")


def has_its_own(outgoing: Outgoing, hook: str) -> bool:
    """Whether the class of the event wrote ``hook`` itself."""
    # Not at import: events are built on this package.
    from broadcasting.events import ShouldBroadcast

    written: Any = getattr(type(outgoing.subject), hook)
    return written is not getattr(ShouldBroadcast, hook)


def subject_of(event: ShouldBroadcast) -> ShouldBroadcast:
    """Return what the program dispatched: ``event``, or what it carries."""
    subject: ShouldBroadcast = getattr(event, "_subject", event)
    return subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One rendered event: a broadcast for each of its broadcasters."""

    outgoing: Outgoing
    broadcasts: tuple[Broadcast, ...]
    refused: tuple[tuple[Broadcast, Exception], ...] = ()
    """What a broadcaster said at once that it could never send, and why."""

    packed: Packed | None = None
    """The event for a worker to render, in place of the broadcasts."""

    key: str = ""
    """What tells it apart from others of its class: of which one waits, or the last leaves."""

    @property
    def job_options(self) -> JobOptions:
        """How a queue is to run each of the jobs."""
        options = self.outgoing.options
        return JobOptions(
            queue=options.queue,
            tries=options.tries,
            backoff=options.backoff,
            expires=options.expires,
            delay=options.delay,
            timeout=options.timeout,
            label=self.outgoing.label,
        )


def render(outgoing: Outgoing, *, ask: bool = True) -> Batch | None:
    """Return the broadcasts of an event, or None if there is nothing to send.

    ``ask``: whether the event has not been asked yet if it is to be sent at all. Raises what
    the hooks raise, InvalidEventName, InvalidChannelName and PayloadError, unless the event is to
    be rescued.
    """
    event = outgoing.event
    channels: ByBroadcaster = {}
    step = "broadcast_when"
    try:
        if ask and not event.broadcast_when():
            return None
        step = "broadcast_as"
        name = name_of(outgoing)
        step = "broadcast_on"
        channels = _by_broadcaster(outgoing, event.broadcast_on())
        if not any(channels.values()):
            logger.debug("%s goes nowhere: broadcast_on() returned no channel", outgoing.label)
            return None
        step = "broadcast_with"
        payload = event.broadcast_with()
        values = outgoing.values if payload is None else payload
        data = encode(values, outgoing.options.fields, outgoing.options.serializer)
        step = "telling it apart"
        key = _key_of(outgoing)
    except Exception as error:
        if not outgoing.rescue:
            raise
        report(error, outgoing.label, step, dict.fromkeys(chain(*channels.values())))
        return None
    packed = _packed_for_worker(outgoing)
    good, refused = [], []
    for alias, its_channels in channels.items():
        if not its_channels:
            continue
        broadcast = Broadcast(
            id=outgoing.id,
            name=name,
            channels=tuple(channel.name for channel in its_channels),
            data=data,
            broadcaster=alias,
            except_socket=outgoing.except_socket,
            event_label=outgoing.label,
            event=packed,
        )
        try:
            broadcasters[alias].check(broadcast)
        except Exception as error:
            refused.append((broadcast, error))
        else:
            good.append(broadcast)
    return Batch(outgoing=outgoing, broadcasts=tuple(good), refused=tuple(refused), key=key)


def _key_of(outgoing: Outgoing) -> str:
    # Now, while a row that is deleted has its key yet.
    if outgoing.options.unique:
        return str(outgoing.event.unique_id())
    return str(outgoing.event.coalesce_key()) if is_paced(outgoing.options) else ""


def _by_broadcaster(outgoing: Outgoing, targets: Any) -> ByBroadcaster:
    """Return the channels for each broadcaster: the same for all, or those that it has of its own.

    Raises TypeError for a broadcaster that there is not.
    """
    if not isinstance(targets, Mapping):
        channels = as_channels(targets)
        return dict.fromkeys(outgoing.broadcasters, channels)
    known = get_settings().broadcasters
    if unknown := targets.keys() - known.keys():
        raise TypeError(
            f"{outgoing.label}: broadcast_on() has channels for {', '.join(map(repr, unknown))},"
            f" which BROADCASTERS lacks; known: {', '.join(known)}"
        )
    # Unless it was said otherwise, it goes to whom it has channels for.
    aliases = outgoing.options.broadcasters or targets
    return {alias: as_channels(targets.get(alias)) for alias in aliases}


def name_of(outgoing: Outgoing) -> str:
    """Return what clients listen to. Raises InvalidEventName."""
    name = outgoing.event.broadcast_as()
    if name is None:
        name = outgoing.options.name or type(outgoing.event).__name__
    if isinstance(name, Enum):
        name = name.value
    # What begins with "client-" would pass for another visitor's whisper.
    if not is_event_name(name) or str(name).startswith(CLIENT_PREFIX):
        taken = ", ".join([*RESERVED_PREFIXES, CLIENT_PREFIX])
        raise InvalidEventName(
            f"{outgoing.label}: {name!r} is not an event name: text of 1 to {MAX_NAME_LENGTH}"
            f" characters that begins with none of {taken}"
        )
    return str(name)


def pack(outgoing: Outgoing) -> Batch | None:
    """Return an event for a worker to render, or None if it does not want to be sent.

    Raises what ``broadcast_when()`` raises, and PayloadError for what cannot travel, unless the
    event is to be rescued.
    """
    # Not at import: events are built on this package.
    from broadcasting.references import pack as packed

    try:
        if not outgoing.event.broadcast_when():
            return None
        event, key = packed(outgoing.event), _key_of(outgoing)
    except Exception as error:
        if not outgoing.rescue:
            raise
        report(error, outgoing.label, "packing it for a worker")
        return None
    return Batch(
        outgoing=outgoing,
        broadcasts=(),
        key=key,
        packed=Packed(
            id=outgoing.id,
            event=event,
            label=outgoing.label,
            broadcasters=outgoing.broadcasters,
            queue=outgoing.options.queue,
            except_socket=outgoing.except_socket,
            missing=outgoing.options.missing,
        ),
    )


def _packed_for_worker(outgoing: Outgoing) -> dict[str, Any] | None:
    """Return the event for a worker to ask or to tell, if it has anything to say there."""
    from broadcasting.references import pack as packed

    hears, stands_around = has_its_own(outgoing, "broadcast_failed"), has_middleware(outgoing)
    if outgoing.options.now or not (hears or stands_around) or not get_queue().leaves_process:
        return None
    if stands_around:
        return packed(outgoing.event)
    try:
        return packed(outgoing.event)
    except PayloadError as error:
        logger.warning("A worker cannot tell %s of a failure: %s", outgoing.label, error)
        return None
